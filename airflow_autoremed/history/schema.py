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
import time
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    select,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from airflow_autoremed.history.records import StoreError
from airflow_autoremed.types import AttemptId, Scope

VERSION = 1
"""The version of the schema that this code reads and writes."""

_SETTLE_S = 1.0
"""How long tables that stand without a version may be another process's work in progress: MySQL commits every
CREATE TABLE by itself."""

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
    Column("patched", Boolean(create_constraint=False)),
    Column("started_at", String(32)),
    Column("recorded_at", String(32), nullable=False),
    Index("ix_autoremed_attempts_task", "deployment", "dag_id", "task_id"),
    Index("ix_autoremed_attempts_recorded", "deployment", "recorded_at"),
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
    **_TABLE,
)

patches = Table(
    "autoremed_patches",
    metadata,
    _key(),
    Column("kind", String(16), nullable=False),
    Column("deployment", String(64), nullable=False),
    Column("dag_id", String(_NAME), nullable=False),
    Column("run_id", String(_NAME), nullable=False),
    Column("task_id", String(_NAME), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("from_try", Integer, nullable=False),
    Column("operations", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("ix_autoremed_patches_task", "deployment", "dag_id", "task_id"),
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


def instance_key(deployment: str, where: AttemptId | Scope) -> str:
    """Names a task instance of a deployment, whatever its try."""
    return _digest(deployment, where.dag_id, where.run_id, where.task_id, where.map_index)


def attempt_key(deployment: str, attempt: AttemptId) -> str:
    """Names an attempt of a deployment."""
    return _digest(
        deployment, attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index, attempt.try_number
    )


def _digest(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def make_ready(engine: Engine) -> None:
    """Create the tables if there are none; otherwise make sure that they are of the version this code knows.

    :raises StoreError: when they are newer than the code, or not all there.
    """
    until = time.monotonic() + _SETTLE_S
    while True:
        with engine.connect() as connection:
            present, version = _found(connection)
        if version is not None and version > VERSION:
            raise StoreError(
                f"its tables are of schema version {version}, newer than the {VERSION} that this "
                "airflow-autoremed knows; upgrade airflow-autoremed here, or give it a store of its own"
            )
        missing = sorted(set(metadata.tables) - present)
        if version == VERSION and not missing:
            return
        if not present:
            try:
                _create(engine)
            except DBAPIError:
                # Another process may have created them in this very moment; if not, the fault comes again.
                if time.monotonic() > until:
                    raise
        elif time.monotonic() > until:
            raise StoreError(
                f"its tables are half-made ({_what_is_wrong(version, missing)}); "
                "drop the tables whose names begin with autoremed_, or give airflow-autoremed another store"
            )
        time.sleep(0.02)


def _found(connection: Connection) -> tuple[set[str], int | None]:
    present = set(inspect(connection).get_table_names()) & set(metadata.tables)
    if meta.name not in present:
        return present, None
    text = connection.execute(select(meta.c.value).where(meta.c.name == "schema_version")).scalar()
    try:
        return present, None if text is None else int(text)
    except ValueError:
        raise StoreError(f"its schema version is {str(text)[:40]!r}, which is not a number") from None


def _create(engine: Engine) -> None:
    with engine.execution_options(autoremed_writes=True).begin() as connection:
        metadata.create_all(connection, checkfirst=False)
        connection.execute(meta.insert().values(name="schema_version", value=str(VERSION)))


def _what_is_wrong(version: int | None, missing: list[str]) -> str:
    if missing:
        return f"missing: {', '.join(missing)}"
    if version is None:
        return "they have no schema version"
    return f"they have schema version {version}, not {VERSION}"
