"""Writing one row, and taking turns. Imports SQLAlchemy.

As text, by names: SQLAlchemy takes longer to make the tables and to put such a statement together than the database
to take the row, and every try writes two in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import row_keys


def put(
    connection: Connection,
    table: str,
    row: Mapping[str, Any],
    *,
    by: Sequence[str] = ("key",),
    keep: Sequence[str] = (),
) -> None:
    """Insert *row* into *table*, or overwrite the row with the same *by*; of its columns *keep*, what stands there
    stays.

    One statement on the databases that know such a one. On others update, then insert when there was nothing to
    update: two processes that insert at once collide there, and :meth:`Database.write` runs the loser again.

    :param row: columns to values that the driver takes as they are: text, numbers, truth values, ``None``.
    """
    quoted = connection.dialect.identifier_preparer.quote
    column = {name: quoted(name) for name in row}
    # Assigning a key to itself keeps a row without anything else to change from being taken for a missing one.
    changed = ", ".join(
        f"{column[name]} = COALESCE({table}.{column[name]}, :{name})"
        if name in keep
        else f"{column[name]} = :{name}"
        for name in [name for name in row if name not in by] or by[:1]
    )
    insert = (
        f"INSERT INTO {table} ({', '.join(column.values())}) VALUES ({', '.join(f':{name}' for name in row)})"
    )
    dialect = connection.dialect.name
    if dialect in ("sqlite", "postgresql"):
        key = ", ".join(column[name] for name in by)
        connection.execute(text(f"{insert} ON CONFLICT ({key}) DO UPDATE SET {changed}"), row)
    elif dialect in ("mysql", "mariadb"):
        connection.execute(text(f"{insert} ON DUPLICATE KEY UPDATE {changed}"), row)
    else:
        where = " AND ".join(f"{column[name]} = :{name}" for name in by)
        if connection.execute(text(f"UPDATE {table} SET {changed} WHERE {where}"), row).rowcount == 0:
            connection.execute(text(insert), row)


def take_turns(connection: Connection, what: str, deployment: str) -> None:
    """Wait until no other transaction of *deployment* does *what*; SQLite has one writer anyway.

    :param what: 20 characters at most.
    """
    # Writing a row locks it until the transaction ends, whether it was there or not.
    row = {"name": f"{what} {row_keys.digest(deployment)[:40]}", "value": "lock"}
    put(connection, "autoremed_meta", row, by=("name",))
