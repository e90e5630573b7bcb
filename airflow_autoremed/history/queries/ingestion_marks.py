"""How far each ingestion has come. Imports SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import row_keys, schema
from airflow_autoremed.history.db.upsert import put


def read(connection: Connection, deployment: str, what: str) -> str | None:
    """How far an ingestion has come, as :func:`write` wrote it."""
    query = select(schema.meta.c.value).where(schema.meta.c.name == _name(deployment, what))
    found: str | None = connection.execute(query).scalar()
    return found


def write(connection: Connection, deployment: str, what: str, value: str) -> None:
    """Write how far an ingestion has come (255 characters at most)."""
    put(connection, schema.meta.name, {"name": _name(deployment, what), "value": value}, by=("name",))


def _name(deployment: str, what: str) -> str:
    return "ingested " + row_keys.digest(deployment, what)[:40]
