"""What a try and the store hand each other; loaded in every try, so what only failures and people need is
elsewhere (:mod:`airflow_autoremed.history.rows`), and these are named tuples, which are made faster than dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from airflow_autoremed.types import AttemptId, Conf, TaskRecord


class StoreError(Exception):
    """Anything that keeps the store from doing what it was asked. The only error that a store raises."""


Judge = Callable[[str, TaskRecord], tuple[bool, str]]
"""Whether to ``promote`` a patch, or to ``keep`` a promoted one, and why: the policy, which is not the store's."""


class Beginning(NamedTuple):
    """An attempt as it began."""

    attempt: AttemptId
    baseline: Conf
    """The declared configuration."""
    effective: Conf
    """The configuration it runs with."""
    operator: str
    """The name of the operator's class."""
    started_at: datetime
    patched: bool = False
    """Whether a patch was applied."""
    fingerprint: str | None = None
    """Of the job (:mod:`airflow_autoremed.spark.fingerprint`)."""
    patch_key: str | None = None
    """Of the patch that was applied."""


class Ending(NamedTuple):
    """How an attempt ended."""

    succeeded: bool
    ended_at: datetime
    duration_s: float | None = None
    gib_seconds: float | None = None
    """Memory of all its containers times the time they were held, where known."""


def name_of(attempt: AttemptId) -> str:
    """An attempt as it is named where a change says who."""
    mapped = f" [{attempt.map_index}]" if attempt.map_index >= 0 else ""
    return f"{attempt.dag_id}.{attempt.task_id}{mapped} {attempt.run_id} try {attempt.try_number}"
