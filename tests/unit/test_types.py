"""An attempt is called the same everywhere: in messages, in audit trails and on the command line."""

from __future__ import annotations

from airflow_autoremed.types import AttemptId

_ATTEMPT = AttemptId("daily", "manual__1", "load", -1, 2)


def test_an_attempt_is_named_by_dag_task_run_and_try() -> None:
    assert str(_ATTEMPT) == "daily.load manual__1 try 2"
    assert _ATTEMPT.task == _ATTEMPT.instance == "daily.load"


def test_a_mapped_instance_is_named_with_its_index() -> None:
    mapped = AttemptId("daily", "manual__1", "load", 0, 2)
    assert str(mapped) == "daily.load[0] manual__1 try 2"
    assert (mapped.task, mapped.instance) == ("daily.load", "daily.load[0]")


def test_the_neighbours_of_an_attempt_are_tries_of_the_same_instance() -> None:
    assert _ATTEMPT.next() == AttemptId("daily", "manual__1", "load", -1, 3)
    assert _ATTEMPT.previous() == AttemptId("daily", "manual__1", "load", -1, 1)
