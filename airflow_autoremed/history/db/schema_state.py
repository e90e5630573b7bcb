"""Whether the tables are what this code reads and writes, and what to say when not. Imports SQLAlchemy.

Only looks; what is done about it: :mod:`airflow_autoremed.history.opening`.

The version stands in ``autoremed_meta`` as ``schema_version``; it is written after the tables of that version stand.
MySQL commits every CREATE and ALTER by itself, so a row ``upgrading`` stands beside it while the tables are being
changed: where it is found, they may be anything between two versions. Alembic's own table names the same version
once more, for Alembic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.engine.reflection import Inspector

from airflow_autoremed.history.db import schema, schema_version
from airflow_autoremed.history.db.run_metrics_table import metadata

ALEMBIC_TABLE = "autoremed_alembic_version"
"""Alembic's own table. Not ``alembic_version``: that one is Airflow's, where both share a database."""

UPGRADING = "upgrading"
"""The row of ``autoremed_meta`` that stands while the tables are being changed: since when, and to what."""

_FIRST_TABLES = frozenset(
    f"autoremed_{name}" for name in ("meta", "attempts", "decisions", "patches", "outcomes")
)
"""The tables of version 1, which every later version has as well."""

alembic_version = Table(
    ALEMBIC_TABLE,
    MetaData(),
    Column("version_num", String(32), primary_key=True),
)


class State(str, Enum):
    """How the tables stand to this code."""

    CURRENT = "up to date"
    BEHIND = "behind"
    NEWER = "newer"
    HALF_MADE = "half-made"
    ABSENT = "absent"


@dataclass(frozen=True)
class Readiness:
    """What was found."""

    state: State
    version: int | None
    """The version of the tables; ``None`` where they have none."""
    detail: str
    """In plain words, to follow "the store has" or the like: one line without a full stop."""


def revision(version: int) -> str:
    """Alembic's name for a version of the schema."""
    return f"{version:04d}"


def is_automatic(backend: str, found: Readiness) -> bool:
    """Whether the tables are created or upgraded at first use.

    :param backend: the name of the database's dialect, or a URL, which begins with it.
    """
    return backend.startswith("sqlite") and found.state in (State.ABSENT, State.BEHIND)


def look(connection: Connection) -> Readiness:
    """How the tables stand to this code, from a close look at all of them."""
    inspector = inspect(connection)
    present = {name for name in inspector.get_table_names() if name in metadata.tables}
    if not present:
        return Readiness(State.ABSENT, None, "no tables yet")
    if schema.meta.name not in present:
        return _half_made(None, f"missing: {schema.meta.name}")
    query = select(schema.meta.c.name, schema.meta.c.value)
    rows = {row.name: row.value for row in connection.execute(query)}
    text = rows.get("schema_version")
    try:
        version = None if text is None else int(text)
    except ValueError:
        return _half_made(None, f"its schema version is {str(text)[:40]!r}, which is not a number")
    if version is not None and version > schema_version.VERSION:
        return Readiness(
            State.NEWER,
            version,
            f"tables of schema version {version}, newer than the {schema_version.VERSION} that this "
            "airflow-autoremed knows",
        )
    if UPGRADING in rows:
        return _half_made(version, f"an upgrade is under way, or stopped half-way: {rows[UPGRADING][:80]}")
    if version is None:
        return _half_made(None, "they have no schema version")
    return _compared(inspector, present, version)


def _compared(inspector: Inspector, present: set[str], version: int) -> Readiness:
    """How tables of *version*, ours or an earlier one, stand to this code."""
    is_behind = version < schema_version.VERSION
    missing = sorted(_FIRST_TABLES - present) if is_behind else _missing(inspector, present)
    if missing:
        return _half_made(version, f"missing: {', '.join(missing)}")
    if not is_behind:
        return Readiness(State.CURRENT, version, f"tables of schema version {version}")
    return Readiness(
        State.BEHIND,
        version,
        f"tables of schema version {version}, older than the {schema_version.VERSION} that this "
        "airflow-autoremed needs",
    )


def _missing(inspector: Inspector, present: set[str]) -> list[str]:
    """Columns and tables of this version that are not there."""
    found = []
    for table in metadata.sorted_tables:
        if table.name in present:
            there = {column["name"] for column in inspector.get_columns(table.name)}
            found += [f"{table.name}.{column.name}" for column in table.columns if column.name not in there]
    return found + sorted(set(metadata.tables) - present)


def advice(found: Readiness) -> str:
    """Why the tables cannot be used as they are, and what to do."""
    if found.state is State.NEWER:
        return f"it has {found.detail}; upgrade airflow-autoremed here, or give it a store of its own"
    if found.state is State.HALF_MADE:
        return (
            f"its tables are half-made ({found.detail}); "
            "run `autoremed db upgrade`, which waits for an upgrade under way and completes one that stopped"
        )
    return f"it has {found.detail}; run `autoremed db upgrade` once, with the right to create tables"


def set_version(connection: Connection, version: int) -> None:
    """Write that the tables are of *version* now, for this code and for Alembic."""
    _meta(connection, "schema_version", str(version))
    alembic_version.create(connection, checkfirst=True)
    connection.execute(alembic_version.delete())
    connection.execute(alembic_version.insert().values(version_num=revision(version)))


def moment() -> str:
    """Now, as it is noted while the tables are being changed."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _half_made(version: int | None, what: str) -> Readiness:
    return Readiness(State.HALF_MADE, version, what)


def _meta(connection: Connection, name: str, value: str) -> None:
    connection.execute(schema.meta.delete().where(schema.meta.c.name == name))
    connection.execute(schema.meta.insert().values(name=name, value=value))
