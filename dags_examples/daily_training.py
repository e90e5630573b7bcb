"""Once a day: take in what the Spark jobs and Airflow itself recorded, train, audit, and let the model decide if it
is better than the one in use. Nothing is promoted that fails an audit, and the card beside the model says why.

Runs where ``airflow-autoremed[learning,ingest]`` is installed; the directory ``[autoremed] models_path`` must be one
that the workers of your Spark tasks read, such as a shared volume.

A history that has outgrown one machine is read by Spark instead, between an export and the training::

    export = BashOperator(task_id="export", bash_command="autoremed db export /shared/export")
    examples = SparkSubmitOperator(
        task_id="examples",
        application=submit.__file__,  # from airflow_autoremed.distributed import submit
        application_args=["examples", "--out", "s3a://lake/autoremed/examples", "s3a://lake/autoremed/export"],
    )
    train = TrainModelOperator(task_id="train", examples="s3://lake/autoremed/examples")
"""

from __future__ import annotations

import os
from datetime import datetime

from airflow.sdk import DAG

from airflow_autoremed import IngestHistoryOperator, TrainModelOperator

EVENT_LOGS = os.environ.get("AUTOREMED_EVENT_LOGS", "/tmp/spark-events")

with DAG(
    "autoremed_daily_training",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,  # a demo has no history worth learning from; switch it on where you have one
    doc_md=__doc__,
):
    # What the jobs used: peaks, spill, skew. Also: airflow_conn_id="..." for the tries from before the plugin.
    ingest = IngestHistoryOperator(task_id="ingest", event_logs=[EVENT_LOGS])

    # Half a year is enough to know a task, and old enough to forget what it was. A day without new logs trains too.
    train = TrainModelOperator(task_id="train", since="180d", trigger_rule="all_done")

    ingest >> train
