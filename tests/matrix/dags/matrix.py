"""What has to hold on every supported version of Airflow. See scripts/test_matrix.py."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

from airflow_autoremed import remediate

try:
    from airflow_autoremed import AutoRemediationPolicy
except ImportError:  # Airflow before 3.3
    AutoRemediationPolicy = None


class Soon(BaseTrigger):
    """A trigger that fires when the scheduler has surely heard of the deferral: the scheduler of Airflow 3.0 takes a
    task that resumes before for one that was lost."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "matrix.Soon", {}

    async def run(self) -> Any:
        await asyncio.sleep(10)
        yield TriggerEvent(True)


class DeferringSparkSubmit(SparkSubmitOperator):
    """Waits in the triggerer first; the application runs, and fails, when the task resumes."""

    def execute(self, context: Any) -> Any:
        self.defer(trigger=Soon(), method_name="resume")

    def resume(self, context: Any, event: Any = None) -> Any:
        return super().execute(context)


ARGUMENTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=1),
    "executor_memory": "1g",
    "start_date": datetime(2026, 1, 1),
}
PLAIN = {**ARGUMENTS, "default_args": {}}

with DAG("matrix", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    remediate(SparkSubmitOperator(task_id="heals", application="heap.py", name="{{ run_id }}", **ARGUMENTS))
    remediate(SparkSubmitOperator(task_id="doomed", application="missing.py", **ARGUMENTS))
    remediate(SparkSubmitOperator(task_id="transient", application="transient.py", **ARGUMENTS))
    remediate(
        SparkSubmitOperator.partial(task_id="mapped", application="heap.py", **ARGUMENTS).expand(
            application_args=[["north"], ["south"]]
        )
    )
    remediate(DeferringSparkSubmit(task_id="deferring", application="heap.py", **ARGUMENTS))


def told(context: Any) -> None:
    """A callback of the author's own, which replaces what ``default_args`` hang there."""


class House(SparkSubmitOperator):
    """An operator of the house that decides its memory when it runs."""

    def execute(self, context: Any) -> Any:
        self._executor_memory = "1g"
        return super().execute(context)


with DAG(
    "matrix_house",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args=remediate(ARGUMENTS),
):
    SparkSubmitOperator(task_id="own_callbacks", application="heap.py", on_failure_callback=told)
    House(task_id="ignores", application="heap.py", retries=1)
    if AutoRemediationPolicy is not None:
        SparkSubmitOperator(
            task_id="policy_only", application="heap.py", retry_policy=AutoRemediationPolicy(), **PLAIN
        )

with DAG("matrix_cleared", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    remediate(SparkSubmitOperator(task_id="cleared", application="warned.py", **ARGUMENTS))

with DAG("matrix_terminated", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    remediate(SparkSubmitOperator(task_id="terminated", application="terminated.py", **ARGUMENTS))

with DAG("matrix_killed", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    remediate(SparkSubmitOperator(task_id="killed", application="killed.py", **ARGUMENTS))
