"""Version 1: attempts, decisions, patches and outcomes."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_autoremed.history.migrations import steps

revision = "0001"
down_revision = None

_NAME = sa.String(250)
_KEY = sa.String(64)
_TIME = sa.String(32)
_BOOLEAN = sa.Boolean(create_constraint=False)


def upgrade() -> None:
    """Create the tables."""
    steps.create_table(
        "autoremed_meta",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(255), nullable=False),
    )
    with steps.to_version(1):
        steps.create_table(
            "autoremed_attempts",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("instance_key", _KEY, nullable=False),
            *_whose(),
            sa.Column("try_number", sa.Integer, nullable=False),
            sa.Column("operator", _NAME),
            sa.Column("baseline", sa.Text),
            sa.Column("effective", sa.Text),
            sa.Column("patched", _BOOLEAN),
            sa.Column("started_at", _TIME),
            sa.Column("recorded_at", _TIME, nullable=False),
        )
        steps.create_index("ix_autoremed_attempts_instance_key", "autoremed_attempts", "instance_key")
        steps.create_index(
            "ix_autoremed_attempts_task", "autoremed_attempts", "deployment", "dag_id", "task_id"
        )
        steps.create_index(
            "ix_autoremed_attempts_recorded", "autoremed_attempts", "deployment", "recorded_at"
        )
        steps.create_table(
            "autoremed_decisions",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("action", sa.String(32), nullable=False),
            sa.Column("mode", sa.String(32), nullable=False),
            sa.Column("category", _NAME, nullable=False),
            sa.Column("rule", _NAME),
            sa.Column("restartable", sa.String(32), nullable=False),
            sa.Column("memory_configuration", _BOOLEAN, nullable=False),
            sa.Column("reason", sa.Text, nullable=False),
            sa.Column("decided_by", sa.String(64), nullable=False),
            sa.Column("lines", sa.Text, nullable=False),
            sa.Column("conf", sa.Text, nullable=False),
            sa.Column("changes", sa.Text, nullable=False),
            sa.Column("excerpt", sa.Text, nullable=False),
            sa.Column("decided_at", _TIME, nullable=False),
        )
        steps.create_table(
            "autoremed_patches",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("kind", sa.String(16), nullable=False),
            *_whose(),
            sa.Column("from_try", sa.Integer, nullable=False),
            sa.Column("operations", sa.Text, nullable=False),
            sa.Column("created_at", _TIME, nullable=False),
        )
        steps.create_index(
            "ix_autoremed_patches_task", "autoremed_patches", "deployment", "dag_id", "task_id"
        )
        steps.create_table(
            "autoremed_outcomes",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("succeeded", _BOOLEAN, nullable=False),
            sa.Column("ended_at", _TIME, nullable=False),
            sa.Column("duration_s", sa.Float),
            sa.Column("gib_seconds", sa.Float),
        )


def _whose() -> list[sa.Column[object]]:
    return [
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("dag_id", _NAME, nullable=False),
        sa.Column("run_id", _NAME, nullable=False),
        sa.Column("task_id", _NAME, nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
    ]
