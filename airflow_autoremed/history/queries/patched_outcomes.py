"""How the last patched attempts ended: what the brakes are pulled by. Imports SQLAlchemy.

One task must not pause the others', and one wrong clock nothing: of a whole deployment each task counts once, with its
latest outcome, and what is said to have ended in the future does not count.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.stored import OutcomesOf

_patches = schema.patches

_CLOCKS_DIFFER = timedelta(minutes=5)
_OF_ONE_TASK = 20
"""Outcomes that are read for each task that is asked for."""


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
    whole = of.dag_id is None
    latest = encoding.to_text(datetime.now(timezone.utc) + _CLOCKS_DIFFER)
    query = (
        select(_patches.c.succeeded, _patches.c.settled_at, _patches.c.dag_id, _patches.c.task_id)
        .where(*(_patches.c[name] == value for name, value in where.items() if value is not None))
        .where(_patches.c.settled_at.is_not(None), _patches.c.settled_at <= latest)
        .order_by(_patches.c.settled_at.desc())
        .limit(of.most * _OF_ONE_TASK if whole else of.most)
    )
    found: list[tuple[bool, datetime]] = []
    tasks: set[tuple[str, str]] = set()
    for row in connection.execute(query):
        if len(found) == of.most:
            break
        if whole and (row.dag_id, row.task_id) in tasks:
            continue
        tasks.add((row.dag_id, row.task_id))
        moment = encoding.to_moment(row.settled_at)
        if moment is not None:
            found.append((bool(row.succeeded), moment))
    return found
