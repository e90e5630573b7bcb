"""Version 2: patches have a life, each change of which is written down, and grants of memory are counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_autoremed.history.migrations import steps

revision = "0002"
down_revision = "0001"

_KEY = sa.String(64)
_TIME = sa.String(32)
_NAME = sa.String(250)


def upgrade() -> None:
    """Add the life of patches."""
    with steps.to_version(2):
        steps.add_columns("autoremed_attempts", sa.Column("fingerprint", _KEY), sa.Column("patch_key", _KEY))
        steps.create_index("ix_autoremed_attempts_patch_key", "autoremed_attempts", "patch_key")
        steps.add_columns(
            "autoremed_decisions",
            sa.Column("max_tries", sa.Integer),
            sa.Column("template", sa.Text),
            sa.Column("template_id", sa.String(16)),
            sa.Column("opinion", sa.Text),
        )
        wanted = [
            sa.Column("fingerprint", _KEY),
            sa.Column("state", sa.String(16)),
            sa.Column("state_at", _TIME),
            sa.Column("category", _NAME),
        ]
        steps.add_columns(
            "autoremed_patches",
            *wanted,
            sa.Column("succeeded", sa.Boolean(create_constraint=False)),
            sa.Column("settled_at", _TIME),
            sa.Column("last_used_at", _TIME),
        )
        _fill()
        steps.require("autoremed_patches", *wanted)
        steps.create_index("ix_autoremed_patches_category", "autoremed_patches", "deployment", "category")
        steps.create_table(
            "autoremed_grants",
            sa.Column("key", _KEY, primary_key=True),
            sa.Column("deployment", _KEY, nullable=False),
            sa.Column("dag_id", _NAME, nullable=False),
            sa.Column("extra_bytes", sa.BigInteger, nullable=False),
            sa.Column("held_until", _TIME, nullable=False),
        )
        steps.create_index("ix_autoremed_grants_held", "autoremed_grants", "deployment", "held_until")
        steps.create_table(
            "autoremed_patch_changes",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("patch_key", _KEY, nullable=False),
            sa.Column("at", _TIME, nullable=False),
            sa.Column("who", _NAME, nullable=False),
            sa.Column("from_state", sa.String(16)),
            sa.Column("to_state", sa.String(16), nullable=False),
            sa.Column("why", sa.Text, nullable=False),
        )
        steps.create_index("ix_autoremed_patch_changes_patch_key", "autoremed_patch_changes", "patch_key")


def _fill() -> None:
    """A patch of version 1 is active (its next try looks for it), whatever the configuration."""
    columns = ("key", "created_at", "fingerprint", "state", "state_at", "category")
    patches = sa.table("autoremed_patches", *(sa.column(name, sa.String) for name in columns))
    decisions = sa.table("autoremed_decisions", sa.column("key", sa.String), sa.column("category", sa.String))
    decided = sa.select(decisions.c.category).where(decisions.c.key == patches.c.key).scalar_subquery()
    op.execute(
        patches.update()
        .where(patches.c.state.is_(None))
        .values(
            fingerprint="*",
            state="active",
            state_at=patches.c.created_at,
            category=sa.func.coalesce(decided, "unknown"),
        )
    )
