"""How the last patched attempts ended: what the brakes are pulled by. Imports SQLAlchemy."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.stored import OutcomesOf

_patches = schema.patches


def recent(
    connection: Connection, deployment: str, *questions: OutcomesOf
) -> list[list[tuple[bool, datetime]]]:
    """For each question: whether the last patched attempts succeeded and when they ended, latest first."""
    return [_recent(connection, deployment, question) for question in questions]


def _recent(connection: Connection, deployment: str, of: OutcomesOf) -> list[tuple[bool, datetime]]:
    where = {
        "deployment": deployment,
        "dag_id": of.dag_id,
        "task_id": of.task_id,
        "category": of.category,
    }
    query = (
        select(_patches.c.succeeded, _patches.c.settled_at)
        .where(*(_patches.c[name] == value for name, value in where.items() if value is not None))
        .where(_patches.c.settled_at.is_not(None))
        .order_by(_patches.c.settled_at.desc())
        .limit(of.most)
    )
    found = []
    for row in connection.execute(query):
        moment = encoding.to_moment(row.settled_at)
        if moment is not None:
            found.append((bool(row.succeeded), moment))
    return found
