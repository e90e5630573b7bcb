"""The table of what event logs say of applications. Imports SQLAlchemy.

Apart from the other tables because it is wide and no try needs it: whatever a try loads, it pays for.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, String, Table, Text

from airflow_autoremed.history.db import row_keys, schema

metadata = schema.metadata
"""All tables, this one included."""

run_metrics = Table(
    "autoremed_run_metrics",
    metadata,
    schema.key(),  # of the application, see run_key
    Column("deployment", String(64), nullable=False),
    Column("attempt_key", String(64), nullable=False, index=True),
    Column("log_key", String(64), nullable=False, index=True),  # where the event log was read
    Column("log_stamp", String(64), nullable=False),  # changes when it does
    Column("recorded_at", String(32), nullable=False),
    # The others are the fields of types.RunMetrics, but for its conf, which is the attempt's.
    Column("app_id", String(schema.NAME)),
    Column("app_name", String(schema.NAME)),
    Column("attempt_id", String(schema.NAME)),
    Column("user", String(schema.NAME)),
    Column("spark_version", String(64)),
    Column("started_at", String(32)),
    Column("ended_at", String(32)),
    Column("ended", Boolean(create_constraint=False), nullable=False),
    Column("complete", Boolean(create_constraint=False), nullable=False),
    Column("failure", Text),
    Column("task_failure", Text),
    Column("executor_loss", Text),
    *(
        Column(name, BigInteger, nullable=False)
        for name in (
            "jobs",
            "failed_jobs",
            "stages",
            "failed_stages",
            "tasks",
            "failed_tasks",
            "executors_added",
            "executors_lost",
            "most_executors",
            "memory_spilled",
            "disk_spilled",
            "input_bytes",
            "input_records",
            "output_bytes",
            "shuffle_read_bytes",
            "shuffle_write_bytes",
            "result_bytes",
        )
    ),
    *(
        Column(name, BigInteger)
        for name in (
            "peak_heap",
            "peak_driver_heap",
            "peak_jvm_off_heap",
            "peak_off_heap",
            "peak_direct",
            "peak_python",
            "peak_rss",
            "peak_overhead",
            "peak_driver_rss",
            "peak_execution",
        )
    ),
    Column("task_seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    *(
        Column(name, Float)
        for name in ("gc_share", "skew", "executor_seconds", "core_seconds", "gib_seconds")
    ),
    Index("ix_autoremed_run_metrics_recorded", "deployment", "recorded_at"),
    **schema.TABLE,
)


def run_key(deployment: str, app_id: str, attempt_id: str | None) -> str:
    """Names an application (an attempt of it, where the cluster makes several) of a deployment."""
    return row_keys.digest(deployment, "application", app_id, attempt_id or "")
