"""Airflow before 3.3 has no retry policies: the wrapped ``execute`` decides in its place."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.timeout import timeout

from airflow_autoremed import remediate
from airflow_autoremed.airflow.attempt import lifecycle, wrapped_execute
from airflow_autoremed.airflow.opt_in import listener
from airflow_autoremed.airflow.options import Options
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, REFUSED


@pytest.fixture
def older_airflow(monkeypatch):
    """No retry policy and no task state store; the listener is called, as on 2.11 and 3.0 to 3.2."""
    for module in ("compat", "attempt.wrapped_execute"):
        monkeypatch.setattr(f"airflow_autoremed.airflow.{module}.HAS_RETRY_POLICY", False)

    def run(build, try_number, retries=3):
        task = build()
        ti = SimpleNamespace(
            dag_id="shop", run_id="r", task_id="daily", map_index=-1,
            try_number=try_number, max_tries=retries, task=task,
        )  # fmt: skip
        context = {"ti": ti, "task": task}
        ti.get_template_context = lambda: context
        listener.on_task_instance_running(None, ti)
        task.execute(context)

    return run


def argv(tmp_path):
    return (tmp_path / "argv").read_text()


def test_a_doomed_task_fails_for_good_with_its_own_exception_as_the_cause(
    older_airflow, spark_submit, spark_task
):
    spark_submit(MISSING_TABLE)
    with pytest.raises(AirflowFailException, match="does not exist") as failure:
        older_airflow(lambda: remediate(spark_task()), 1)
    assert "Error code is: 1." in str(failure.value.__cause__)


def test_a_transient_failure_keeps_its_own_exception(older_airflow, spark_submit, spark_task):
    spark_submit(REFUSED)
    with pytest.raises(Exception, match="Error code is: 1") as failure:
        older_airflow(lambda: remediate(spark_task()), 1)
    assert not isinstance(failure.value, AirflowFailException)


def test_the_patch_reaches_the_next_try_through_the_store(older_airflow, spark_submit, spark_task, tmp_path):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")

    def build():
        return remediate(spark_task(executor_memory="1g"))

    with pytest.raises(Exception, match="Error code is: 1"):
        older_airflow(build, 1)
    older_airflow(build, 2)
    assert memory_of(argv(tmp_path)) == "2g"


def test_shadow_mode_raises_what_the_task_raised(older_airflow, spark_submit, spark_task):
    spark_submit(MISSING_TABLE)
    with pytest.raises(Exception, match="Error code is: 1") as failure:
        older_airflow(lambda: remediate(spark_task(), mode="shadow"), 1)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_store_that_is_slow_takes_nothing_from_the_execution_timeout(monkeypatch):
    """The alarm that Airflow sets around ``execute`` stands still while we prepare, and has the same time afterwards."""
    left_s: list[float] = []

    class Operator:
        execution_timeout = timedelta(seconds=0.3)

        def execute(self, context):
            left_s.append(signal.getitimer(signal.ITIMER_REAL)[0])

        def on_kill(self):
            pass

    monkeypatch.setattr(lifecycle, "is_executing", lambda operator: False)
    monkeypatch.setattr(lifecycle, "before_execute", lambda *_, **__: time.sleep(0.5))
    monkeypatch.setattr(lifecycle, "after_success", lambda context: None)
    operator = Operator()
    wrapped_execute.wrap(operator, Options())
    with timeout(0.3):
        operator.execute({"ti": None})
    assert 0.1 < left_s[0] <= 0.3
