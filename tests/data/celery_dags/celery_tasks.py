"""What runs under Celery: see tests/integration/test_celery.py. Spark is played by tests/matrix/bin/spark-submit."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from airflow_autoremed import remediate

ARGUMENTS = {"retries": 2, "retry_delay": timedelta(seconds=1), "executor_memory": "1g"}

with DAG("celery_tasks", schedule=None):
    remediate(SparkSubmitOperator(task_id="heals", application="heap.py", **ARGUMENTS))
    remediate(
        SparkSubmitOperator.partial(task_id="mapped", application="heap.py", **ARGUMENTS).expand(
            application_args=[["north"], ["south"]]
        )
    )
    remediate(SparkSubmitOperator(task_id="doomed", application="missing.py", **ARGUMENTS))
    SparkSubmitOperator(task_id="plain", application="heap.py", **{**ARGUMENTS, "retries": 1})
    remediate(SparkSubmitOperator(task_id="killed", application="killed.py", **{**ARGUMENTS, "retries": 3}))
