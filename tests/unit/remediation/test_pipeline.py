"""What is decided about a failure whose cause is known."""

from __future__ import annotations

from airflow_autoremed.remediation import reasons
from airflow_autoremed.remediation.gates import Passage
from airflow_autoremed.remediation.pipeline import decide
from airflow_autoremed.types import (
    Action,
    Classification,
    Limits,
    Mode,
    Restartable,
)
from tests.support.failed_attempts import HEAP, TABLE, failed

NAMELESS = Classification("unknown", None, Restartable.AS_IS, False)


def test_a_retry_that_is_left_runs_with_what_the_cause_needs():
    decision = decide(failed(1), HEAP, Limits(), Passage())
    assert decision.action is Action.REMEDIATE
    assert reasons.text(decision) == (
        "The heap was full. The next attempt runs with spark.executor.memory 4g -> 8g."
    )


def test_when_no_retry_is_left_it_is_said_what_the_next_run_would_need():
    decision = decide(failed(0), HEAP, Limits(), Passage())
    assert decision.action is Action.LEAVE_ALONE
    assert decision.patch is None
    assert reasons.text(decision) == (
        "The heap was full. No retry is left. The next run would need spark.executor.memory 4g -> 8g."
    )


def test_shadow_mode_says_everything_in_the_conditional():
    for cause in (HEAP, TABLE):
        decision = decide(failed(1), cause, Limits(), Passage(mode=Mode.SHADOW))
        assert "would" in reasons.outcome(decision.action, Mode.SHADOW)
        assert "runs with" not in reasons.text(decision, Mode.SHADOW)


def test_what_no_rule_names_is_left_to_airflow_and_says_so():
    decision = decide(failed(1), NAMELESS, Limits(), Passage())
    assert decision.action is Action.LEAVE_ALONE
    assert reasons.text(decision) == (
        "No rule names the cause of this failure. Airflow's own retry rules apply."
    )


def test_airflow_gets_the_cause_first_and_never_more_than_it_can_store():
    long = Classification(
        "missing_data", "r", Restartable.NO, False, summary="The table is missing " + "x" * 900
    )
    text = reasons.retry_reason(decide(failed(1), long, Limits(), Passage()))
    assert text.startswith("The table is missing")
    assert len(text) == 500
    assert text.endswith("...")
