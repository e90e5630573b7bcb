"""Four Spark tasks that more memory would not help: one is stopped at once, one is retried as it is, one cannot
have what it needs, and one is healthy.

All of them are opted in at once, through ``default_args``. Tasks that launch no Spark would be left alone.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from airflow_autoremed import remediate

JOBS = Path(__file__).parent / "jobs"
SCRATCH = os.environ.get("AUTOREMED_DEMO_SCRATCH", "/tmp/autoremed-demo")

with DAG(
    "judged_tasks",
    schedule=None,
    default_args=remediate({"retries": 3, "retry_delay": timedelta(seconds=2)}),
    doc_md=__doc__,
):
    # Nobody has created the table, and no retry will: stopped on the first try.
    SparkSubmitOperator(task_id="missing_table", application=str(JOBS / "order_totals.py"))

    # The service it asks is down for a moment: a plain retry is right, the configuration stays as it is.
    SparkSubmitOperator(
        task_id="service_restarting",
        application=str(JOBS / "exchange_rates.py"),
        application_args=[f"{SCRATCH}/rates-service-restarted"],
    )

    # It needs more memory than the largest container there is has: stopped, and the reason says so in numbers.
    remediate(
        SparkSubmitOperator(
            task_id="no_room",
            application=str(JOBS / "customer_documents.py"),
            application_args=["150"],
            executor_memory="600m",
        ),
        limits={"max_container_memory": "1g"},
    )

    # Nothing is wrong with it, so nothing is done.
    SparkSubmitOperator(task_id="healthy", application=str(JOBS / "active_users.py"))
