"""Version 5: a person sets the mode of a task, a Dag, a category of failures or everything."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_autoremed.history.migrations import steps

revision = "0005"
down_revision = "0004"

_TIME = sa.String(32)
_NAME = sa.String(250)


def upgrade() -> None:
    """Add the modes that people set."""
    with steps.to_version(5):
        steps.create_table(
            "autoremed_overrides",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("deployment", sa.String(64), nullable=False),
            sa.Column("dag_id", _NAME, nullable=False),
            sa.Column("task_id", _NAME, nullable=False),
            sa.Column("category", _NAME, nullable=False),
            sa.Column("mode", sa.String(16), nullable=False),
            sa.Column("at", _TIME, nullable=False),
            sa.Column("who", _NAME, nullable=False),
            sa.Column("why", sa.Text, nullable=False),
            sa.Column("ended_at", _TIME),
            sa.Column("ended_by", _NAME),
            sa.Column("ended_why", sa.Text),
        )
        steps.create_index("ix_autoremed_overrides_in_force", "autoremed_overrides", "deployment", "ended_at")
