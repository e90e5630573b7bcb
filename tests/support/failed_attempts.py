"""Failures to decide about."""

from __future__ import annotations

from airflow_autoremed.types import (
    AttemptId,
    Classification,
    FailedAttempt,
    Restartable,
)

CONF = {"spark.executor.memory": "4g"}

HEAP = Classification(
    "executor_oom_heap", "rule", Restartable.WITH_CHANGES, True, summary="The heap was full."
)

TABLE = Classification("missing_data", "rule", Restartable.NO, False, summary="The table is missing.")


def failed(retries_left: int) -> FailedAttempt:
    return FailedAttempt(AttemptId("d", "r", "t", -1, 1), CONF, CONF, retries_left)
