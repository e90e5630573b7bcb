"""Switched on in one place: which tasks, which limits where, and retries for remediable failures only."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.airflow.opt_in import cluster_policy
from airflow_autoremed.airflow.opt_in.attach import is_attached, options_for
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import from_options
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, REFUSED, TaskInstance, forget


@pytest.fixture
def setting(monkeypatch):
    def set_(name, value):
        monkeypatch.setenv(f"AIRFLOW__AUTOREMED__{name.upper()}", str(value))
        forget()

    return set_


@pytest.fixture
def task_of(spark_task):
    """A task in a Dag, as the cluster policy sees it."""

    def build(dag_id="sales_daily", tags=("etl",), **kwargs):
        with DAG(dag_id, tags=list(tags)):
            return spark_task(**kwargs)

    return build


def opted_in(task):
    cluster_policy.task_policy(task)
    return is_attached(task)


@pytest.mark.parametrize(
    ("option", "value", "fits"),
    [
        ("attach_operators", "SparkSubmit*", True),
        ("attach_operators", "EmrAddStepsOperator", False),
        ("attach_dags", "sales_*, finance_*", True),
        ("attach_dags", "*, !sales_daily", False),
        ("attach_dags", "!adhoc_*", True),
        ("attach_tags", "etl", True),
        ("attach_tags", "ml", False),
        ("attach_owners", "data", True),
        ("attach_owners", "!data", False),
        ("attach_pools", "default_*", True),
        ("attach_pools", "small", False),
    ],
)
def test_a_part_of_the_deployment_is_opted_in_by_what_its_tasks_are(task_of, setting, option, value, fits):
    setting(option, value)
    assert opted_in(task_of(owner="data")) is fits


def test_every_option_that_is_set_has_to_be_met(task_of, setting):
    setting("attach_dags", "sales_*")
    setting("attach_tags", "ml")
    assert not opted_in(task_of())
    assert opted_in(task_of(tags=("ml",)))


def test_without_an_option_no_task_is_opted_in(task_of):
    assert not opted_in(task_of())


def test_what_a_dag_file_says_of_its_task_comes_before_the_deployment(task_of, setting):
    setting("attach_to_all", True)
    task = remediate(task_of(), mode="off")
    cluster_policy.task_policy(task)
    assert options_for(task).mode.value == "off"


def test_limits_hold_for_a_pool_a_queue_and_a_connection(spark_task, setting):
    setting(
        "limits_for",
        json.dumps(
            {
                "pool=small": {"max_container_memory": "8g", "max_executors": 4},
                "queue=gpu": {"max_container_memory": "32g"},
                "connection=spark_eu": {"max_executors": 2},
            }
        ),
    )
    gib = 1024**3
    options = Options()
    assert options.effective_limits(spark_task()).max_container_memory == 64 * gib
    assert options.effective_limits(spark_task(pool="small")).max_container_memory == 8 * gib
    both = options.effective_limits(spark_task(pool="small", queue="gpu", conn_id="spark_eu"))
    assert (both.max_container_memory, both.max_executors) == (32 * gib, 2)
    own = Options.checked(limits={"max_executors": 7}, where="x").effective_limits(spark_task(pool="small"))
    assert own.max_executors == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pool=small", "is not JSON"),
        ("[1]", "write for example"),
        ('{"small": {}}', "write pool="),
        ('{"pool=small": {"max_containr_memory": "8g"}}', "is not a limit"),
    ],
)
def test_limits_that_cannot_be_used_say_what_to_write(text, told):
    with pytest.raises(SettingsError, match=told):
        from_options({"limits_for": text})


# ---------------------------------------------------------------------------------------------- retry budget


def test_retries_beyond_the_authors_are_for_remediable_failures_only(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 6g")
    task = remediate(spark_task(executor_memory="1g", retries=0), retry_budget=2)
    assert task.retries == 2
    ti = TaskInstance(task, retries=task.retries)
    assert [memory_of(ti.run().argv) for _ in range(3)] == ["1g", "2g", "6g"]
    assert ti.tries[-1].error is None


def test_other_failures_end_the_task_when_the_authors_own_retries_are_used_up(spark_submit, spark_task):
    spark_submit(REFUSED)
    task = remediate(spark_task(retries=1), retry_budget=3)
    ti = TaskInstance(task, retries=task.retries)
    assert ti.run().decision.action is RetryAction.DEFAULT
    last = ti.run().decision
    assert last.action is RetryAction.FAIL
    assert "The task's own retries (1) are used up" in last.reason


def test_a_remediable_failure_does_not_use_up_the_authors_own_retries(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g", retries=1), retry_budget=2)
    ti = TaskInstance(task, retries=task.retries)
    assert ti.run().decision.action is RetryAction.RETRY
    spark_submit(REFUSED)
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert ti.run().decision.action is RetryAction.FAIL


def test_attaching_twice_raises_the_retries_once(spark_task):
    task = remediate(remediate(spark_task(retries=1), retry_budget=2), retry_budget=2)
    assert task.retries == 3
    assert remediate(task, retry_budget=0).retries == 1


def test_the_deployments_budget_is_given_to_tasks_that_it_opts_in(task_of, setting):
    setting("attach_to_all", True)
    setting("retry_budget", 2)
    task = task_of(retries=1)
    cluster_policy.task_policy(task)
    assert task.retries == 3


def test_in_shadow_mode_no_retry_is_added(task_of, setting):
    setting("mode", "shadow")
    setting("attach_to_all", True)
    setting("retry_budget", 2)
    task = task_of(retries=1)
    cluster_policy.task_policy(task)
    assert task.retries == 1


def test_a_budget_for_default_args_is_refused_with_what_to_do():
    with pytest.raises(SettingsError, match="pass the tasks themselves"):
        remediate({"retries": 1}, retry_budget=2)


@pytest.mark.parametrize("budget", [-1, 1.5, True, "two"])
def test_a_budget_that_is_no_count_is_refused(spark_task, budget):
    with pytest.raises(SettingsError, match="write a whole number"):
        remediate(spark_task(), retry_budget=budget)


def test_a_mapped_task_gets_its_budget_too(spark_task):
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    with DAG("mapped"):
        task = SparkSubmitOperator.partial(task_id="m", retries=1, application="job.py").expand(
            application_args=[["1"], ["2"]]
        )
    assert remediate(task, retry_budget=2).retries == 3
