"""However long it takes to find out why a task failed, the task does not wait for it for ever."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from airflow_autoremed import remediate
from airflow_autoremed.errors import OverrunError
from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.history.store import Store
from tests.support.days import day
from tests.support.tasks import HEAP_OOM


@pytest.fixture
def task(spark_submit: Any, spark_task: Any, setting: Any) -> Any:
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    return remediate(spark_task(executor_memory="1g"))


@pytest.fixture
def endless() -> Any:
    """Blocks whoever waits, until the test is over."""
    over = threading.Event()
    yield lambda *_, **__: over.wait(30)
    over.set()


def test_a_classification_without_end_costs_the_decision_and_one_warning(
    task: Any, endless: Any, monkeypatch: pytest.MonkeyPatch, log_lines: Any, setting: Any, store: Store
) -> None:
    setting("failure_deadline", 0.3)
    monkeypatch.setattr(LogTap, "classify", endless)
    ti = day(task, 1)
    began = time.monotonic()
    tried = ti.run()
    assert time.monotonic() - began < 10
    assert "Cannot execute" in str(tried.error), "the task's own error"
    assert log_lines().count("Nothing was decided about attempt 1 within 0.3 s") == 1
    assert "Decision" not in log_lines()
    (row,) = store.recent(10)
    assert (row.succeeded, row.action) == (False, None)


def test_a_record_that_takes_too_long_costs_the_record_and_not_the_decision(
    task: Any, monkeypatch: pytest.MonkeyPatch, log_lines: Any
) -> None:
    from airflow_autoremed.airflow.attempt.history_client import HistoryClient

    def takes_too_long(*_: object) -> bool:
        raise OverrunError(threading.current_thread())

    monkeypatch.setattr(HistoryClient, "failure", takes_too_long)
    ti = day(task, 1)
    ti.run()
    assert log_lines().count("failed while recording the failure") == 1
    assert "retry with a better configuration" in log_lines()
    assert ti.run().error is None
