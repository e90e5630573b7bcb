"""The steps that migrations are made of. Each one looks first whether it has been done.

Where SQL is only printed, nothing can be looked at: then every step is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from airflow_autoremed.history.db.schema_state import UPGRADING, moment

_META = sa.table("autoremed_meta", sa.column("name", sa.String), sa.column("value", sa.String))
_MYSQL: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_engine": "InnoDB",
}


@contextmanager
def to_version(version: int) -> Iterator[None]:
    """Around all steps of a migration: says that the tables are being changed, and then of which version they are."""
    _write(UPGRADING, f"to version {version}, begun {moment()}")
    yield
    _write("schema_version", str(version))
    _remove(UPGRADING)


def create_table(name: str, *columns: sa.Column[Any]) -> None:
    """Create a table with InnoDB and binary collation on MySQL, where names differ by every character."""
    if not _there(lambda inspector: name in inspector.get_table_names()):
        op.create_table(name, *columns, **_MYSQL)


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns; they must be nullable at first, for the rows that are there: see :func:`require`."""
    for column in columns:
        if not _has_column(table, column.name):
            op.add_column(table, column)


def require(table: str, *columns: sa.Column[Any]) -> None:
    """Let columns, filled by now, refuse NULL. On SQLite the table is rebuilt."""
    with op.batch_alter_table(table) as batch:
        for column in columns:
            batch.alter_column(column.name, existing_type=column.type, nullable=False)


def create_index(name: str, table: str, *columns: str) -> None:
    """Create an index."""
    if not _there(lambda inspector: name in {index["name"] for index in inspector.get_indexes(table)}):
        op.create_index(name, table, list(columns))


def insert(table: sa.TableClause, **row: str) -> None:
    """Insert a row of texts."""
    context.execute(table.insert().values(**row))


def _has_column(table: str, name: str) -> bool:
    return _there(lambda inspector: name in {column["name"] for column in inspector.get_columns(table)})


def _there(look: Any) -> bool:
    return not context.is_offline_mode() and bool(look(sa.inspect(op.get_bind())))


def _write(name: str, value: str) -> None:
    _remove(name)
    insert(_META, name=name, value=value)


def _remove(name: str) -> None:
    context.execute(_META.delete().where(_META.c.name == name))
