"""Version 4: every attempt records its start, in which sequence of tries, and whether it was ended from outside."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_autoremed.history.migrations import steps

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what an attempt records when it starts, and ends from outside."""
    with steps.to_version(4):
        steps.add_columns(
            "autoremed_attempts",
            sa.Column("max_tries", sa.Integer),
            sa.Column("interrupted_at", sa.String(32)),
        )
