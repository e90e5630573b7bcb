"""Version 3: what event logs say about runs, and attempts that were made known by ingestion."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_autoremed.history.migrations import steps

revision = "0003"
down_revision = "0002"

_KEY = sa.String(64)
_TIME = sa.String(32)
_NAME = sa.String(250)
_COUNTS = (
    "jobs failed_jobs stages failed_stages tasks failed_tasks executors_added executors_lost most_executors "
    "memory_spilled disk_spilled input_bytes input_records output_bytes shuffle_read_bytes shuffle_write_bytes "
    "result_bytes"
)
_PEAKS = (
    "peak_heap peak_driver_heap peak_jvm_off_heap peak_off_heap peak_direct peak_python peak_rss peak_overhead "
    "peak_driver_rss peak_execution"
)
_SHARES = "gc_share skew executor_seconds core_seconds gib_seconds"


def upgrade() -> None:
    """Add what event logs say of runs."""
    with steps.to_version(3):
        steps.add_columns("autoremed_attempts", sa.Column("source", sa.String(16)))
        steps.create_index("ix_autoremed_attempts_started", "autoremed_attempts", "deployment", "started_at")
        steps.create_table(
            "autoremed_run_metrics",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("deployment", _KEY, nullable=False),
            sa.Column("attempt_key", _KEY, nullable=False),
            sa.Column("log_key", _KEY, nullable=False),
            sa.Column("log_stamp", _KEY, nullable=False),
            sa.Column("recorded_at", _TIME, nullable=False),
            sa.Column("app_id", _NAME),
            sa.Column("app_name", _NAME),
            sa.Column("attempt_id", _NAME),
            sa.Column("user", _NAME),
            sa.Column("spark_version", _KEY),
            sa.Column("started_at", _TIME),
            sa.Column("ended_at", _TIME),
            sa.Column("ended", sa.Boolean(create_constraint=False), nullable=False),
            sa.Column("complete", sa.Boolean(create_constraint=False), nullable=False),
            sa.Column("failure", sa.Text),
            sa.Column("task_failure", sa.Text),
            sa.Column("executor_loss", sa.Text),
            *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS.split()),
            *(sa.Column(name, sa.BigInteger) for name in _PEAKS.split()),
            sa.Column("task_seconds", sa.Float, nullable=False),
            sa.Column("cpu_seconds", sa.Float, nullable=False),
            *(sa.Column(name, sa.Float) for name in _SHARES.split()),
        )
        steps.create_index("ix_autoremed_run_metrics_attempt_key", "autoremed_run_metrics", "attempt_key")
        steps.create_index("ix_autoremed_run_metrics_log_key", "autoremed_run_metrics", "log_key")
        steps.create_index(
            "ix_autoremed_run_metrics_recorded", "autoremed_run_metrics", "deployment", "recorded_at"
        )
