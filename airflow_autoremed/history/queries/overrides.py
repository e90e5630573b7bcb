"""The modes that people set, for people. Imports SQLAlchemy.

What an attempt asks for stands in :mod:`airflow_autoremed.history.queries.promoted_patch`. Nothing is deleted: the
rows are also the record of who set what, and who ended it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.types import Mode, Override

_overrides = schema.overrides


def put(connection: Connection, deployment: str, wanted: Override) -> int:
    """Put *wanted* in force, in place of what holds for the same by now; its id."""
    place = {"dag_id": wanted.dag_id, "task_id": wanted.task_id, "category": wanted.category}
    here = [_overrides.c[name] == value for name, value in place.items()]
    _end(connection, deployment, here, wanted.who, f"set to {wanted.mode.value}: {wanted.why}")
    row = {
        "deployment": deployment,
        **place,
        "mode": wanted.mode.value,
        "at": encoding.to_text(wanted.at),
        "who": encoding.clip(wanted.who, encoding.MAX_NAME),
        "why": encoding.clip(wanted.why, encoding.MAX_REASON),
    }
    key = connection.execute(_overrides.insert().values(row)).inserted_primary_key
    return 0 if key is None else int(key[0])


def end(connection: Connection, deployment: str, number: int, who: str, why: str) -> bool:
    """End one; whether it was in force."""
    return _end(connection, deployment, [_overrides.c.id == number], who, why) > 0


def latest(connection: Connection, deployment: str, limit: int, *, in_force_only: bool) -> list[Override]:
    """The latest *limit*, latest first."""
    query = select(_overrides).where(_overrides.c.deployment == deployment)
    if in_force_only:
        query = query.where(_overrides.c.ended_at.is_(None))
    rows = connection.execute(query.order_by(_overrides.c.id.desc()).limit(limit)).all()
    return [_override(row) for row in rows]


def one(connection: Connection, deployment: str, number: int) -> Override | None:
    """The one of that id, in force or not."""
    query = select(_overrides).where(_overrides.c.deployment == deployment, _overrides.c.id == number)
    row = connection.execute(query).first()
    return None if row is None else _override(row)


def _end(connection: Connection, deployment: str, which: Sequence[Any], who: str, why: str) -> int:
    done = connection.execute(
        _overrides.update()
        .where(_overrides.c.deployment == deployment, _overrides.c.ended_at.is_(None), *which)
        .values(
            ended_at=encoding.to_text(datetime.now(timezone.utc)),
            ended_by=encoding.clip(who, encoding.MAX_NAME),
            ended_why=encoding.clip(why, encoding.MAX_REASON),
        )
    )
    return int(done.rowcount)


def _override(row: Row[Any]) -> Override:
    return Override(
        encoding.word(Mode, row.mode),
        row.who,
        row.why,
        encoding.to_moment(row.at) or datetime.fromtimestamp(0, timezone.utc),
        row.dag_id,
        row.task_id,
        row.category,
        row.id,
        encoding.to_moment(row.ended_at),
        row.ended_by,
        row.ended_why,
    )
