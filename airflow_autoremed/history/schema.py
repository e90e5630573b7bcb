"""The tables. Imports SQLAlchemy: loaded only when a store is used.

Rows are found by a digest of the attempt's identity (:func:`attempt_key`), not by the names themselves: four
names of 250 characters make an index larger than the 3,072 bytes that MySQL allows, and MySQL takes names that
differ only in case, or in trailing blanks, for equal. The names stand beside the digest for people and filters.

Times are ISO 8601 text in UTC with microseconds, of one length, so that they sort as text: SQLite and MySQL drop
the time zone, and MySQL the fraction, of their own types. Everything structured is JSON text in ASCII.
"""

from __future__ import annotations

import hashlib
import json
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

from airflow_autoremed.types import AttemptId, Scope

VERSION = 3
"""The version of the schema that this code reads and writes; the last file in ``migrations/versions`` leads to it."""

metadata = MetaData()

_NAME = 250  # characters: the length of ids in Airflow's own tables (airflow.models.base.ID_LEN)
_TABLE: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}


def _key() -> Column[Any]:
    return Column("key", String(64), primary_key=True)


meta = Table(
    "autoremed_meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
    **_TABLE,
)

attempts = Table(
    "autoremed_attempts",
    metadata,
    _key(),
    Column("instance_key", String(64), nullable=False, index=True),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(_NAME), nullable=False),
    Column("run_id", String(_NAME), nullable=False),
    Column("task_id", String(_NAME), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("operator", String(_NAME)),
    Column("baseline", Text),
    Column("effective", Text),
    Column("fingerprint", String(64)),
    Column("patched", Boolean(create_constraint=False)),
    Column("patch_key", String(64), index=True),
    Column("started_at", String(32)),
    Column("recorded_at", String(32), nullable=False),
    Column("source", String(16)),  # NULL: the attempt itself; else what it was made known by later
    Index("ix_autoremed_attempts_task", "deployment", "dag_id", "task_id"),
    Index("ix_autoremed_attempts_recorded", "deployment", "recorded_at"),
    Index("ix_autoremed_attempts_started", "deployment", "started_at"),
    **_TABLE,
)

decisions = Table(
    "autoremed_decisions",
    metadata,
    _key(),
    Column("action", String(32), nullable=False),
    Column("mode", String(32), nullable=False),
    Column("category", String(_NAME), nullable=False),
    Column("rule", String(_NAME)),
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
    **_TABLE,
)

patches = Table(
    "autoremed_patches",
    metadata,
    _key(),  # of the failed attempt whose verdict it is
    Column("kind", String(16), nullable=False),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(_NAME), nullable=False),
    Column("run_id", String(_NAME), nullable=False),
    Column("task_id", String(_NAME), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("from_try", Integer, nullable=False),
    Column("operations", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_at", String(32), nullable=False),
    Column("category", String(_NAME), nullable=False),
    Column("succeeded", Boolean(create_constraint=False)),  # of the last try that it was applied to
    Column("settled_at", String(32)),
    Column("last_used_at", String(32)),
    Index("ix_autoremed_patches_task", "deployment", "dag_id", "task_id"),
    Index("ix_autoremed_patches_category", "deployment", "category"),
    **_TABLE,
)

grants = Table(
    "autoremed_grants",
    metadata,
    _key(),  # of the attempt that holds the memory
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(_NAME), nullable=False),
    Column("extra_bytes", BigInteger, nullable=False),
    Column("held_until", String(32), nullable=False),
    Index("ix_autoremed_grants_held", "deployment", "held_until"),
    **_TABLE,
)

patch_changes = Table(
    "autoremed_patch_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("patch_key", String(64), nullable=False, index=True),
    Column("at", String(32), nullable=False),
    Column("who", String(_NAME), nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("why", Text, nullable=False),
    **_TABLE,
)

outcomes = Table(
    "autoremed_outcomes",
    metadata,
    _key(),
    Column("succeeded", Boolean(create_constraint=False), nullable=False),
    Column("ended_at", String(32), nullable=False),
    Column("duration_s", Float),
    Column("gib_seconds", Float),
    **_TABLE,
)

run_metrics = Table(
    "autoremed_run_metrics",
    metadata,
    _key(),  # of the application, see run_key
    Column("deployment", String(64), nullable=False),
    Column("attempt_key", String(64), nullable=False, index=True),
    Column("log_key", String(64), nullable=False, index=True),  # where the event log was read
    Column("log_stamp", String(64), nullable=False),  # changes when it does
    Column("recorded_at", String(32), nullable=False),
    # The others are the fields of types.RunMetrics, but for its conf, which is the attempt's.
    Column("app_id", String(_NAME)),
    Column("app_name", String(_NAME)),
    Column("attempt_id", String(_NAME)),
    Column("user", String(_NAME)),
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
    **_TABLE,
)


def run_key(deployment: str, app_id: str, attempt_id: str | None) -> str:
    """Names an application (an attempt of it, where the cluster makes several) of a deployment."""
    return digest(deployment, "application", app_id, attempt_id or "")


def instance_key(deployment: str, where: AttemptId | Scope) -> str:
    """Names a task instance of a deployment, whatever its try."""
    return digest(deployment, where.dag_id, where.run_id, where.task_id, where.map_index)


def attempt_key(deployment: str, attempt: AttemptId) -> str:
    """Names an attempt of a deployment."""
    return digest(
        deployment, attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index, attempt.try_number
    )


def digest(*parts: str | int) -> str:
    """A name of fixed length for *parts*, of which no two lists share one."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
