"""The whole way of a failed try through each way in, up to what the next try submits."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_autoremed import (
    AutoRemediationPolicy,
    RemediatedSparkSubmitOperator,
    on_execute,
    on_failure,
    on_retry,
    on_success,
    remediate,
)
from airflow_autoremed.airflow.attempt import lifecycle
from airflow_autoremed.airflow.opt_in import listener
from airflow_autoremed.airflow.opt_in.attach import options_for
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history import Store
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, REFUSED, TaskInstance, forget


@pytest.fixture
def log_lines(caplog):
    caplog.set_level(logging.INFO, logger="airflow_autoremed")
    return lambda: [r.getMessage() for r in caplog.records if "[autoremed]" in r.getMessage()]


def test_a_heap_oom_heals_on_the_second_try(spark_submit, spark_task, log_lines):
    """The cause is far above the 20 lines in the hook's exception, so only the tapped log can name it."""
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    first = ti.run()
    assert "OutOfMemoryError" not in str(first.error)
    assert first.decision.action is RetryAction.RETRY
    second = ti.run()
    assert second.error is None
    assert memory_of(first.argv) == "1g"
    assert memory_of(second.argv) == "2g"
    text = "\n".join(log_lines())
    assert "Attempt 1 failed: executor_oom_heap" in text
    assert "java.lang.OutOfMemoryError: Java heap space" in text
    assert "spark.executor.memory: 1g -> 2g" in text
    assert "Attempt 2 runs with the patch from attempt 1" in text
    assert "healed" in text


def test_a_second_failure_of_the_same_cause_escalates_from_the_baseline(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 8g")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g")))
    memory = [memory_of(ti.run().argv) for _ in range(3)]
    assert memory == ["2g", "4g", "8g"]
    assert ti.tries[-1].error is None


def test_a_missing_table_is_stopped_on_the_first_try(spark_submit, spark_task, log_lines):
    spark_submit(MISSING_TABLE)
    outcome = TaskInstance(remediate(spark_task())).run()
    assert outcome.decision.action is RetryAction.FAIL
    assert "table" in outcome.decision.reason.lower()
    assert any("stop; the remaining retries are skipped" in line for line in log_lines())


def test_a_stop_on_the_last_try_promises_no_skipped_retries(spark_submit, spark_task, log_lines):
    spark_submit(MISSING_TABLE)
    TaskInstance(remediate(spark_task(retries=0)), retries=0).run()
    assert any("Decision: stop. " in line for line in log_lines())


def test_a_refused_connection_is_left_to_a_plain_retry(spark_submit, spark_task):
    spark_submit(REFUSED)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert memory_of(ti.run().argv) == "1g"


def test_what_does_not_fit_the_limits_is_stopped_with_the_reason(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    task = remediate(
        spark_task(executor_memory="2g", executor_cores=1), limits={"max_container_memory": "2500m"}
    )
    ti = TaskInstance(task)
    while (decision := ti.run().decision).action is RetryAction.RETRY:
        assert len(ti.tries) < 4
    assert decision.action is RetryAction.FAIL
    assert "2500m" in decision.reason or "2.4" in decision.reason


def test_the_last_try_asks_for_no_retry(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")), retries=0)
    assert ti.run().decision.action is RetryAction.DEFAULT


def test_a_healthy_task_runs_as_declared_and_leaves_nothing_behind(spark_submit, spark_task, log_lines):
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    assert ti.run().error is None
    assert memory_of(ti.tries[0].argv) == "1g"
    assert ti.state_store.values == {}
    assert log_lines() == []


def test_success_forgets_the_patch(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    assert "autoremed" in ti.state_store.values
    ti.run()
    assert ti.state_store.values == {}


def test_a_cleared_task_does_not_wake_an_old_patch(spark_submit, spark_task, log_lines):
    """Clearing a task makes Airflow grant new tries, counted from the last one."""
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    ti.retries += 1
    assert memory_of(ti.run().argv) == "1g"
    assert any("The task was cleared after attempt 1" in line for line in log_lines())


def test_mapped_instances_do_not_share_a_patch(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    shared = TaskInstance(remediate(spark_task(executor_memory="1g")), map_index=0)
    shared.run()
    other = TaskInstance(shared.task, map_index=1, state_store=shared.state_store, tries=list(shared.tries))
    assert memory_of(other.run().argv) == "1g"


def test_shadow_mode_decides_and_changes_nothing(spark_submit, spark_task, log_lines):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g"), mode="shadow"))
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert memory_of(ti.run().argv) == "1g"
    assert any("shadow mode" in line for line in log_lines())


def test_shadow_mode_stops_nothing(spark_submit, spark_task):
    spark_submit(MISSING_TABLE)
    assert TaskInstance(remediate(spark_task(), mode="shadow")).run().decision.action is RetryAction.DEFAULT


def test_off_for_the_deployment_is_off_for_every_task(spark_submit, spark_task, monkeypatch, log_lines):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__MODE", "off")
    spark_submit(MISSING_TABLE)
    outcome = TaskInstance(remediate(spark_task(), mode="act")).run()
    assert outcome.decision.action is RetryAction.DEFAULT
    assert log_lines() == []


def test_the_authors_policy_that_says_fail_is_final(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    policy = ExceptionRetryPolicy([RetryRule("builtins.Exception", RetryAction.FAIL, reason="mine")])
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g", retry_policy=policy))).run()
    assert outcome.decision.action is RetryAction.FAIL
    assert outcome.decision.reason == "mine"


def test_the_authors_delay_is_the_delay_of_the_remediated_retry(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    policy = ExceptionRetryPolicy([RetryRule("builtins.Exception", retry_delay=timedelta(minutes=7))])
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g", retry_policy=policy))).run()
    assert outcome.decision.action is RetryAction.RETRY
    assert outcome.decision.retry_delay == timedelta(minutes=7)


def test_the_authors_policy_that_raises_means_airflows_default_for_it_only(spark_submit, spark_task):
    class Broken(ExceptionRetryPolicy):
        def evaluate(self, *args, **kwargs):
            raise RuntimeError("author's bug")

    spark_submit(HEAP_OOM)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g", retry_policy=Broken([])))).run()
    assert outcome.decision.action is RetryAction.RETRY


def test_the_authors_callbacks_are_kept_and_called_first(spark_submit, spark_task):
    calls = []
    task = remediate(
        spark_task(
            on_execute_callback=lambda context: calls.append("mine"), on_success_callback=[calls.append]
        )
    )
    spark_submit("", cured_by="job.py")
    TaskInstance(task).run()
    assert calls[0] == "mine"
    assert len(calls) == 2


def test_attaching_twice_keeps_one_of_each_and_the_newer_options(spark_task):
    task = remediate(remediate(spark_task(), mode="shadow"), mode="act")
    assert len(task.on_failure_callback) == len(task.on_retry_callback) == 1
    assert options_for(task).mode == "act"


def test_default_args_opt_in_the_spark_tasks_of_a_dag(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    defaults = {"retries": 3, "owner": "data"}
    opted_in = remediate(defaults)
    assert defaults == {"retries": 3, "owner": "data"}
    ti = TaskInstance(spark_task(executor_memory="1g", default_args=opted_in))
    assert [ti.run().error is None for _ in range(2)] == [False, True]


def test_default_args_leave_other_tasks_alone(log_lines):
    from airflow.providers.standard.operators.python import PythonOperator

    def fail():
        raise ValueError("my own")

    task = PythonOperator(task_id="other", python_callable=fail, default_args=remediate({"retries": 2}))
    execute = task.execute
    listener.on_task_instance_running(None, _ti(task))
    assert task.execute == execute
    assert task.retry_policy is None
    assert log_lines() == []


def test_default_args_do_not_send_empty_operators_through_the_executor():
    """Airflow runs an ``EmptyOperator`` in a worker when it has one of these callbacks."""
    args = remediate({"retries": 2})
    assert "on_execute_callback" not in args
    assert "on_success_callback" not in args


def _ti(task):
    from types import SimpleNamespace

    return SimpleNamespace(
        dag_id="d", run_id="r", task_id=task.task_id, map_index=-1, try_number=1, max_tries=2, task=task
    )


def test_the_operator_heals_itself(spark_submit):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = RemediatedSparkSubmitOperator(
        task_id="daily", application="job.py", executor_memory="1g", remediation_limits={"max_growth": 4}
    )
    ti = TaskInstance(task)
    assert [ti.run().error is None for _ in range(2)] == [False, True]


def test_the_policy_alone_heals_with_the_plugins_listener(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = spark_task(executor_memory="1g", retry_policy=AutoRemediationPolicy())
    ti = TaskInstance(task)
    assert [ti.run().error is None for _ in range(2)] == [False, True]


def test_callbacks_hung_by_hand_heal_through_the_store(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = spark_task(
        executor_memory="1g",
        on_execute_callback=on_execute,
        on_retry_callback=on_retry,
        on_failure_callback=on_failure,
        on_success_callback=on_success,
    )
    ti = TaskInstance(task, state_store=None)
    first = ti.run()
    on_retry({"ti": _same_ti(ti), "exception": first.error})
    assert ti.run().error is None


def _same_ti(instance):
    from types import SimpleNamespace

    return SimpleNamespace(
        dag_id="shop",
        run_id=instance.run_id,
        task_id="daily",
        map_index=-1,
        try_number=len(instance.tries),
        max_tries=3,
        task=instance.task,
    )


def test_a_retry_callback_for_a_dead_worker_does_nothing(spark_task, airflow_home):
    """In the Dag processor there is no exception and no prepared try; store I/O there would block parsing."""
    on_retry({"ti": _ti(spark_task()), "exception": None})
    assert not (airflow_home / "autoremed.db").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mode": "on"}, "'act'"),
        ({"limits": {"max_container_memory": "lots"}}, "'16g'"),
        ({"limits": {"max_container_memory": 16}}, "16 bytes because it has no unit.* for example '16g'"),
        ({"limits": {"max_total_memory": "16384"}}, "at least 64m with its unit, for example '16384m'"),
        ({"limits": {"max_container_memory": "16k"}}, "16384 bytes; write .* '16g'"),
        ({"limits": {"max_memory": "8g"}}, "max_container_memory"),
        ({"limits": {"max_growth": 0.5}}, "at least 1"),
        ({"limits": {"max_executors": 2.5}}, "whole number"),
        ({"limits": ["8g"]}, "mapping"),
    ],
)
def test_wrong_arguments_fail_when_the_dag_is_parsed_and_say_what_to_write(spark_task, arguments, says):
    with pytest.raises(SettingsError, match=says):
        remediate(spark_task(), **arguments)


def test_a_task_that_launches_no_spark_is_refused_by_name():
    from airflow.providers.standard.operators.empty import EmptyOperator

    with pytest.raises(TypeError, match="SparkSubmitOperator"):
        remediate(EmptyOperator(task_id="nothing"))


def test_a_policy_that_is_given_something_else_says_so():
    with pytest.raises(TypeError, match="RetryPolicy"):
        AutoRemediationPolicy("exponential")


def test_a_task_that_resumes_after_a_deferral_keeps_its_patch_and_its_start(
    spark_submit, spark_task, airflow_home
):
    """The resume runs in another process, on another object, minutes later."""
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    options = options_for(ti.task)
    deferred, _, context = ti._begun()
    began = context["ti"].start_date
    lifecycle.before_execute(context, options)
    assert deferred._executor_memory == "2g"
    lifecycle.deferred(context)
    forget()
    resumed, later, context = ti._begun()
    later.start_date = began
    lifecycle.before_execute(context, options, resumes=True)
    assert resumed._executor_memory == "2g"
    lifecycle.after_success(context)
    store = Store(f"sqlite:///{airflow_home}/autoremed.db")
    row = next(row for row in store.recent(10) if row.attempt.try_number == 2)
    store.close()
    assert (row.patched, row.started_at) == (True, began)
    assert row.duration_s >= 100


def test_a_policy_takes_the_objective_and_a_timedelta_like_remediate():
    policy = AutoRemediationPolicy(objective={"stop_above": 0.99}, stall_timeout=timedelta(minutes=15))
    assert policy.options.effective_objective().stop_above == 0.99
    assert policy.options.effective_stall_timeout() == 900


def test_a_policy_with_a_retry_budget_says_what_can_give_one():
    with pytest.raises(SettingsError, match=r"write remediate\(task, retry_budget=2\)"):
        AutoRemediationPolicy(retry_budget=2)
    assert AutoRemediationPolicy(retry_budget=0).options.retry_budget == 0


def test_a_stall_timeout_without_a_unit_is_refused_where_the_dag_file_is_parsed(spark_task):
    with pytest.raises(SettingsError, match=r"remediate\(\) stall_timeout is '900'.*write '900d'.*or '900s'"):
        remediate(spark_task(), stall_timeout="900")
    assert options_for(remediate(spark_task(), stall_timeout=900)).stall_timeout == 900
