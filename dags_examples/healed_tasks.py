"""Four Spark tasks whose configuration is too small, each in another way. One line lets them heal themselves.

Every one fails on its first try, for real; the retry runs with the one setting changed that was too small. The
task log says which, and why. Without the line, each would fail four times in the same way.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from airflow_autoremed import RemediatedSparkSubmitOperator, remediate

JOBS = Path(__file__).parent / "jobs"

with DAG(
    "healed_tasks",
    schedule=None,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=2)},
    doc_md=__doc__,
):
    # 150 MB of one customer's documents meet in one row: more than this executor's heap holds.
    remediate(
        SparkSubmitOperator(
            task_id="executor_heap",
            application=str(JOBS / "customer_documents.py"),
            application_args=["150"],
            executor_memory="600m",
        )
    )

    # The report is larger than what the driver may collect. The log states the size, so one retry is enough.
    remediate(
        SparkSubmitOperator(
            task_id="driver_result",
            application=str(JOBS / "regional_report.py"),
            conf={"spark.driver.maxResultSize": "16m"},
        )
    )

    # All users share one partition. The cluster grants no larger container than this task has already, so each
    # of its Spark tasks must get a smaller share instead of more memory.
    remediate(
        SparkSubmitOperator(
            task_id="skewed_aggregation",
            application=str(JOBS / "sessions_per_user.py"),
            executor_memory="700m",
            conf={"spark.sql.shuffle.partitions": "1"},
        ),
        limits={"max_container_memory": "1084m"},
    )

    # A task of six megabytes does not fit into one message of one megabyte. The same as an operator of its own.
    RemediatedSparkSubmitOperator(
        task_id="rpc_message",
        application=str(JOBS / "price_list.py"),
        conf={"spark.rpc.message.maxSize": "1"},
    )
