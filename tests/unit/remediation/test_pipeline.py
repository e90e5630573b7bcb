"""What is decided about a failure whose cause is known, and how it is said."""

from __future__ import annotations

from airflow_autoremed.remediation.pipeline import decide
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Classification,
    FailedAttempt,
    Limits,
    Restartable,
)

CONF = {"spark.executor.memory": "4g"}
HEAP = Classification(
    "executor_oom_heap", "rule", Restartable.WITH_CHANGES, True, summary="The heap was full."
)


def failed(retries_left: int) -> FailedAttempt:
    return FailedAttempt(AttemptId("d", "r", "t", -1, 1), CONF, CONF, retries_left)


def test_a_retry_that_is_left_runs_with_what_the_cause_needs():
    decision = decide(failed(1), HEAP, Limits())
    assert decision.action is Action.REMEDIATE
    assert decision.reason == "The heap was full. The next try runs with spark.executor.memory 4g -> 8g."


def test_when_no_retry_is_left_it_is_said_what_a_next_run_would_need():
    decision = decide(failed(0), HEAP, Limits())
    assert decision.action is Action.LEAVE_ALONE
    assert decision.patch is None
    assert decision.reason == (
        "The heap was full. No retry is left. A next run would need spark.executor.memory 4g -> 8g."
    )
