"""The tables. Imports SQLAlchemy.

What a try writes when all is well is written without them (:mod:`airflow_autoremed.history.db.upsert`). How rows are
found: :mod:`airflow_autoremed.history.db.row_keys`.

Times are ISO 8601 text in UTC with microseconds, of one length, so that they sort as text: SQLite and MySQL drop
the time zone, and MySQL the fraction, of their own types. Everything structured is JSON text in ASCII.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
"""The tables that a try reads and writes. All of them: :data:`airflow_autoremed.history.db.run_metrics_table.metadata`."""

NAME = 250  # characters: the length of ids in Airflow's own tables (airflow.models.base.ID_LEN)
TABLE: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}


def key() -> Column[Any]:
    """The column of a row's digest."""
    return Column("key", String(64), primary_key=True)


meta = Table(
    "autoremed_meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
    **TABLE,
)

attempts = Table(
    "autoremed_attempts",
    metadata,
    key(),
    Column("instance_key", String(64), nullable=False, index=True),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(NAME), nullable=False),
    Column("run_id", String(NAME), nullable=False),
    Column("task_id", String(NAME), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("operator", String(NAME)),
    Column("baseline", Text),
    Column("effective", Text),
    Column("fingerprint", String(64)),
    Column("patched", Boolean(create_constraint=False)),
    Column("patch_key", String(64), index=True),
    Column("started_at", String(32)),
    Column("recorded_at", String(32), nullable=False),
    Column("max_tries", Integer),  # Airflow's at the start: clearing the task raises it
    Column("interrupted_at", String(32)),  # ended from outside: no outcome, nothing to learn from
    Column("source", String(16)),  # NULL: the attempt itself; else what it was made known by later
    Index("ix_autoremed_attempts_task", "deployment", "dag_id", "task_id"),
    Index("ix_autoremed_attempts_recorded", "deployment", "recorded_at"),
    Index("ix_autoremed_attempts_started", "deployment", "started_at"),
    **TABLE,
)

decisions = Table(
    "autoremed_decisions",
    metadata,
    key(),
    Column("action", String(32), nullable=False),
    Column("mode", String(32), nullable=False),
    Column("category", String(NAME), nullable=False),
    Column("rule", String(NAME)),
    Column("restartable", String(32), nullable=False),
    Column("memory_configuration", Boolean(create_constraint=False), nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", String(64), nullable=False),
    Column("lines", Text, nullable=False),
    Column("conf", Text, nullable=False),
    Column("changes", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
    Column("decided_at", String(32), nullable=False),
    Column("max_tries", Integer),
    Column("template", Text),
    Column("template_id", String(16)),
    Column("opinion", Text),
    **TABLE,
)

patches = Table(
    "autoremed_patches",
    metadata,
    key(),  # of the failed attempt whose verdict it is
    Column("kind", String(16), nullable=False),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(NAME), nullable=False),
    Column("run_id", String(NAME), nullable=False),
    Column("task_id", String(NAME), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("from_try", Integer, nullable=False),
    Column("operations", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_at", String(32), nullable=False),
    Column("category", String(NAME), nullable=False),
    Column("succeeded", Boolean(create_constraint=False)),  # of the last try that it was applied to
    Column("settled_at", String(32)),
    Column("last_used_at", String(32)),
    Index("ix_autoremed_patches_task", "deployment", "dag_id", "task_id"),
    Index("ix_autoremed_patches_category", "deployment", "category"),
    **TABLE,
)

grants = Table(
    "autoremed_grants",
    metadata,
    key(),  # of the attempt that holds the memory
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(NAME), nullable=False),
    Column("extra_bytes", BigInteger, nullable=False),
    Column("held_until", String(32), nullable=False),
    Index("ix_autoremed_grants_held", "deployment", "held_until"),
    **TABLE,
)

patch_changes = Table(
    "autoremed_patch_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("patch_key", String(64), nullable=False, index=True),
    Column("at", String(32), nullable=False),
    Column("who", String(NAME), nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("why", Text, nullable=False),
    **TABLE,
)

overrides = Table(
    "autoremed_overrides",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(NAME), nullable=False),  # an empty name: all of them
    Column("task_id", String(NAME), nullable=False),
    Column("category", String(NAME), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("at", String(32), nullable=False),
    Column("who", String(NAME), nullable=False),
    Column("why", Text, nullable=False),
    Column("ended_at", String(32)),  # NULL: in force
    Column("ended_by", String(NAME)),
    Column("ended_why", Text),
    Index("ix_autoremed_overrides_in_force", "deployment", "ended_at"),
    **TABLE,
)

outcomes = Table(
    "autoremed_outcomes",
    metadata,
    key(),
    Column("succeeded", Boolean(create_constraint=False), nullable=False),
    Column("ended_at", String(32), nullable=False),
    Column("duration_s", Float),
    Column("gib_seconds", Float),
    **TABLE,
)
