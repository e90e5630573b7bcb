"""Every decision passes the gates, and says in plain words what one of them held back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_autoremed.remediation import reasons
from airflow_autoremed.remediation.gates import GATES, Passage
from airflow_autoremed.remediation.pipeline import decide
from airflow_autoremed.types import Action, Brakes, FailedAttempt, Limits, Mode, PastAttempt
from tests.support.failed_attempts import CONF, HEAP, TABLE, failed

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
GROWN = {"spark.executor.memory": "8g"}


class Books:
    """Other attempts, as a test tells them."""

    def __init__(self, outcomes=(), refusal=None):
        self._outcomes, self._refusal, self.asked = outcomes, refusal, []

    def outcomes(self, wanted):
        return [self._outcomes for _ in wanted]

    def grant(self, attempt, extra_bytes):
        self.asked.append((attempt, extra_bytes))
        return self._refusal


def two_failures(ago=timedelta(minutes=10)):
    return Books([(False, NOON - ago)] * 2)


def passage(books, **kwargs):
    return Passage(books=books, brakes=Brakes(brake_task=2, brake_pause=3600), now=NOON, **kwargs)


def test_a_paused_task_is_retried_as_it_is_and_the_reason_says_until_when():
    decision = decide(failed(2), HEAP, Limits(), passage(two_failures()))
    assert decision.action is Action.LEAVE_ALONE
    assert decision.patch is None
    assert reasons.text(decision) == (
        "The heap was full. Would have retried with spark.executor.memory 4g -> 8g, but remediation of this task "
        "is paused until 2026-01-01 12:50 UTC: its last 2 remediations all ended in failure."
    )


def test_a_pause_ends():
    decision = decide(failed(2), HEAP, Limits(), passage(two_failures(ago=timedelta(hours=2))))
    assert decision.action is Action.REMEDIATE


def test_what_a_paused_task_ran_with_is_not_taken_from_it():
    ran = FailedAttempt(
        failed(2).attempt, CONF, GROWN, 2, history=(PastAttempt(CONF, "executor_oom_heap", succeeded=False),)
    )
    decision = decide(ran, HEAP, Limits(), passage(two_failures()))
    assert decision.action is Action.LEAVE_ALONE
    assert decision.conf == GROWN
    assert decision.patch.operations[-1]["value"] == "8g"


def test_memory_that_is_not_granted_is_not_taken():
    books = Books(refusal="it would exceed the ceiling of 1.5 GiB")
    decision = decide(failed(2), HEAP, Limits(), passage(books))
    assert decision.action is Action.LEAVE_ALONE
    assert reasons.text(decision).endswith("but it would exceed the ceiling of 1.5 GiB.")
    ((attempt, extra),) = books.asked
    assert attempt.try_number == 2
    assert extra > 4 * 1024**3


def test_retries_of_the_budget_are_not_spent_on_plain_retries():
    past = (PastAttempt(CONF, "network_timeout", succeeded=False),)
    plain = replace(HEAP, category="network_timeout", memory_configuration=False)
    ran = replace(failed(2), history=past)
    decision = decide(ran, plain, Limits(), Passage(own_retries=1))
    assert decision.action is Action.STOP
    assert "The task's own retries (1) are used up" in reasons.text(decision)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)
def test_no_gate_turns_a_stop_into_anything_else(gate):
    stop = decide(failed(2), TABLE, Limits(), Passage())
    assert gate(stop, failed(2), passage(two_failures())) == stop


def test_shadow_mode_asks_for_no_memory_and_is_never_paused():
    books = two_failures()
    decision = decide(failed(2), HEAP, Limits(), passage(books, mode=Mode.SHADOW))
    assert decision.action is Action.REMEDIATE
    assert books.asked == []


def test_an_outcome_from_the_future_pauses_nothing():
    books = Books([(False, NOON + timedelta(days=3650))] * 2)
    assert decide(failed(2), HEAP, Limits(), passage(books)).action is Action.REMEDIATE
