"""``SparkSubmitOperator`` keeps the contract of all adapters."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from tests.support.platform_contract import PlatformContract


class TestSparkSubmit(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("conf", "_executor_memory", "_executor_cores")

    def build(self, **conf: str) -> Any:
        arguments = {
            "executor_memory": conf.pop("spark.executor.memory", None),
            "executor_cores": conf.pop("spark.executor.cores", None),
        }
        return SparkSubmitOperator(
            task_id="daily", application="job.py", conf=conf or None, name="{{ ds }}", **arguments
        )
