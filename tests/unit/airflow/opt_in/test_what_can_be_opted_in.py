"""``remediate`` takes what a Dag author has at hand, or says while the Dag file is parsed what to write instead."""

from __future__ import annotations

from datetime import datetime

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, task

from airflow_autoremed import RemediatedSparkSubmitOperator, remediate
from airflow_autoremed.airflow.opt_in.attach import options_for
from airflow_autoremed.errors import SettingsError


@pytest.fixture
def dag():
    with DAG("shop", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        yield dag


def test_a_decorated_function_and_what_calling_it_returns(dag):
    @task.pyspark(conn_id="spark_default", retries=2)
    def load(spark):
        return None

    @task.pyspark(conn_id="spark_default", retries=2)
    def other(spark):
        return None

    remediate(load, mode="shadow")()
    remediate(other(), mode="act")
    assert options_for(dag.get_task("load")).mode == "shadow"
    assert options_for(dag.get_task("other")).mode == "act"


def test_a_decorator_above_the_tasks_own(dag):
    @remediate
    @task.pyspark(conn_id="spark_default", retries=2)
    def plain(spark):
        return None

    @remediate(mode="shadow", retry_budget=0)
    @task.pyspark(conn_id="spark_default", retries=2)
    def with_options(spark):
        return None

    plain()
    with_options()
    assert options_for(dag.get_task("plain")) is not None
    assert options_for(dag.get_task("with_options")).mode == "shadow"


def test_a_partial_operator_gives_every_mapped_instance_its_options_and_retries(dag):
    partial = SparkSubmitOperator.partial(task_id="each", application="job.py", retries=1)
    remediate(partial, retry_budget=2).expand(name=["a", "b"])
    mapped = dag.get_task("each")
    assert options_for(mapped).own_retries == 1
    assert mapped.retries == 3


def test_the_operators_partial_has_its_budget_even_without_retries_of_its_own(dag):
    RemediatedSparkSubmitOperator.partial(
        task_id="each", application="job.py", retries=0, remediation_retry_budget=2
    ).expand(name=["a", "b"])
    mapped = dag.get_task("each")
    assert mapped.retries == 2
    one = mapped.unmap({"name": "a"})
    assert (one.retries, options_for(one).own_retries) == (2, 0)


def test_a_budget_for_retries_that_nobody_knows_yet_is_refused_with_what_to_write(dag):
    @task.pyspark(conn_id="spark_default")
    def load(spark):
        return None

    with pytest.raises(SettingsError, match=r"'load'.*write retries=\.\.\. there too"):
        remediate(load, retry_budget=2)


def test_what_launches_no_spark_is_named_with_its_task_id(dag):
    @task
    def plain():
        return None

    with pytest.raises(TypeError, match="'plain'"):
        remediate(plain())


def test_a_task_without_retries_is_told_at_parse_time_that_nothing_can_heal_it(dag, caplog):
    remediate(SparkSubmitOperator(task_id="once", application="job.py", retries=0))
    assert "Task once has retries=0" in caplog.text
