"""The row of an attempt as it first comes into the tables."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow_autoremed.history.db import encoding, row_keys
from airflow_autoremed.types import AttemptId


def identity(deployment: str, attempt: AttemptId) -> dict[str, str | int | bool]:
    """The columns that name an attempt, for its first row."""
    return {
        "key": row_keys.attempt_key(deployment, attempt),
        "instance_key": row_keys.instance_key(deployment, attempt),
        "deployment": deployment,
        "dag_id": attempt.dag_id,
        "run_id": attempt.run_id,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index,
        "try_number": attempt.try_number,
        "recorded_at": encoding.to_text(_now()),
    }


def _now() -> datetime:
    return datetime.now(timezone.utc)
