"""The Dag whose pages a browser opens; nothing of it ever runs."""

from __future__ import annotations

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from airflow_autoremed import remediate

with DAG("nightly_sales", schedule=None):
    for name in ("join_orders", "load_customers"):
        remediate(SparkSubmitOperator(task_id=name, application="job.py", retries=3))
