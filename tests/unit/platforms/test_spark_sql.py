"""``SparkSqlOperator``, ``SparkJDBCOperator``, ``SparkPipelinesOperator`` and ``PySparkOperator``: the provider's classes."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import pytest
from airflow.providers.apache.spark.operators.spark_jdbc import SparkJDBCOperator
from airflow.providers.apache.spark.operators.spark_sql import SparkSqlOperator
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.platforms import find_platform
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

pipelines = pytest.importorskip("airflow.providers.apache.spark.operators.spark_pipelines")
pyspark = pytest.importorskip("airflow.providers.apache.spark.operators.spark_pyspark")

HEAP = "spark.executor.memory"


class TestSql(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("_conf", "_executor_memory", "_executor_cores")

    def build(self, **conf: str) -> Any:
        return SparkSqlOperator(
            task_id="daily",
            sql="select 1",
            executor_memory=conf.pop(HEAP, None),
            executor_cores=conf.pop("spark.executor.cores", None),
            conf=conf or None,
        )


class TestSqlAsText(PlatformContract):
    """``conf`` as one text of pairs."""

    conf_fields: ClassVar[tuple[str, ...]] = ("_conf",)

    def build(self, **conf: str) -> Any:
        pairs = ",".join(f"{key}={value}" for key, value in conf.items())
        return SparkSqlOperator(task_id="daily", sql="select 1", conf=pairs or None)


class TestJdbc(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("_spark_conf", "_executor_memory")

    def build(self, **conf: str) -> Any:
        return SparkJDBCOperator(
            task_id="daily",
            cmd_type="jdbc_to_spark",
            jdbc_table="orders",
            metastore_table="orders",
            executor_memory=conf.pop(HEAP, None),
            spark_conf=conf or None,
        )


class TestPipelines(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("conf", "executor_memory", "executor_cores")

    def build(self, **conf: str) -> Any:
        return pipelines.SparkPipelinesOperator(
            task_id="daily",
            pipeline_spec="daily.yml",
            executor_memory=conf.pop(HEAP, None),
            executor_cores=conf.pop("spark.executor.cores", None),
            conf=conf or None,
        )

    def test_the_hook_is_made_when_it_is_used_with_the_conf_of_that_moment(self, operator, platform):
        platform.tap(operator, lambda _: None)
        operator.conf = {**operator.conf, "spark.openlineage.parentRunId": "x"}
        assert operator.hook._conf["spark.openlineage.parentRunId"] == "x"


def compute(spark=None):
    return spark


class TestPySpark(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("config_kwargs",)

    def build(self, **conf: str) -> Any:
        return pyspark.PySparkOperator(task_id="daily", python_callable=compute, config_kwargs=conf)

    def test_an_exception_of_the_function_is_the_jobs_own(self, platform):
        assert platform.in_process

    def test_memory_of_a_jvm_that_is_there_already_cannot_be_changed(self, operator, platform, monkeypatch):
        import pyspark as spark

        monkeypatch.setattr(spark.SparkContext, "_gateway", None)
        assert platform.renew(operator) is None
        monkeypatch.setattr(spark.SparkContext, "_gateway", object())
        assert "keeps its memory" in platform.renew(operator)


def test_the_decorator_is_recognised():
    from airflow.providers.apache.spark.decorators.pyspark import _PySparkDecoratedOperator

    assert find_platform(_PySparkDecoratedOperator).name == "pyspark"


@pytest.fixture
def spark_sql(tmp_path, monkeypatch, spark_submit):
    """A ``spark-sql`` that does what the scripted ``spark-submit`` does."""
    spark_submit(HEAP_OOM, cured_by="--executor-memory 4g")
    (tmp_path / "bin" / "spark-sql").symlink_to(tmp_path / "bin" / "spark-submit")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_a_query_that_ran_out_of_heap_heals_on_its_second_try(spark_sql):
    ti = TaskInstance(
        remediate(SparkSqlOperator(task_id="daily", sql="select 1", executor_memory="2g", retries=3))
    )
    first = ti.run()
    assert "OutOfMemoryError" not in str(first.error)  # the hook's exception says nothing of the cause
    assert first.decision.action is RetryAction.RETRY
    second = ti.run()
    assert second.error is None
    assert "--executor-memory 4g" in second.argv
