"""Stores as earlier versions of the code left them, frozen: see ``tests/data/store_v*``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, Table, func, select
from sqlalchemy.engine import Connection, Engine

DATA = Path(__file__).parents[1] / "data"
VERSIONS = (1, 2, 3, 4)
"""Earlier versions of the schema, of each of which a store is kept."""


def rows_of(version: int) -> dict[str, list[dict[str, Any]]]:
    """By table: the rows of the store that is kept of *version*."""
    return dict(json.loads((DATA / f"store_v{version}" / "rows.json").read_text()))


def make(engine: Engine, version: int, *, rows: bool = True) -> None:
    """Make the tables of *version* in an empty database, by statements that its code printed, and fill them."""
    script = (DATA / f"store_v{version}" / f"{engine.dialect.name}.sql").read_text()
    with engine.execution_options(autoremed_writes=True).begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        for name, values in rows_of(version).items():
            if rows or name == "autoremed_meta":
                connection.execute(_table(connection, name).insert(), values)


def content(engine: Engine, tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """What the tables hold now, in the columns and in the form of *tables*."""
    found = {}
    with engine.connect() as connection:
        for name, values in tables.items():
            table = _table(connection, name)
            columns = [table.c[column] for column in values[0]]
            rows = connection.execute(select(*columns))
            found[name] = sorted((dict(row._mapping) for row in rows), key=_key)
    return found


def sorted_rows(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """*tables* in the order of :func:`content`."""
    return {name: sorted(values, key=_key) for name, values in tables.items()}


def count(engine: Engine, table: Table) -> int:
    """Rows of a table."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar() or 0)


def _table(connection: Connection, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=connection)


def _key(row: dict[str, Any]) -> str:
    return str(row.get("key") or row.get("name") or sorted(row.items()))
