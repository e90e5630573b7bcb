"""One task over its runs: how large its containers were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_autoremed.airflow.ui import wording
from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.sizes import GIB


def size_chart(rows: Sequence[StoredAttempt]) -> dict[str, list[Any]]:
    """Columns for the chart, oldest attempt first: ``at`` (seconds since 1970), ``executor`` and ``driver`` (GiB of
    one container), ``failed`` (the executor's size where the attempt failed, else ``None``)."""
    chart: dict[str, list[Any]] = {"at": [], "executor": [], "driver": [], "failed": []}
    for row in sorted((row for row in rows if row.started_at and row.effective), key=_started):
        try:
            executor = round(allocation.container(row.effective, "executor") / GIB, 2)
            driver = round(allocation.container(row.effective, "driver") / GIB, 2)
        except ValueError:
            continue  # a size that Spark would not read either
        chart["at"].append(_started(row))
        chart["executor"].append(executor)
        chart["driver"].append(driver)
        chart["failed"].append(executor if wording.state(row) == "failed" else None)
    return chart


def _started(row: StoredAttempt) -> float:
    return row.started_at.timestamp() if row.started_at is not None else 0.0
