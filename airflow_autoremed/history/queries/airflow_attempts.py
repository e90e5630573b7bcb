"""Attempts as Airflow's own history tells of them, in the tables. Imports SQLAlchemy.

Attempts that are made known afterwards count as recorded when they began: what is old is pruned by its age, and does
not pass for the latest.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_autoremed.history.attempt_records import AirflowAttempt
from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.queries.attempt_row import identity

_attempts, _outcomes = schema.attempts, schema.outcomes


def record(connection: Connection, deployment: str, tried: AirflowAttempt) -> bool:
    """Keep what Airflow's history says of an attempt, without touching what the attempt told of itself; whether
    anything was new. May be run twice."""
    key = row_keys.attempt_key(deployment, tried.attempt)
    known = connection.execute(
        select(_attempts.c.operator, _attempts.c.started_at, _attempts.c.effective, _attempts.c.source).where(
            _attempts.c.key == key
        )
    ).first()
    row = {
        "operator": encoding.clip(tried.operator, encoding.MAX_NAME),
        "started_at": encoding.to_text(tried.started_at),
        "baseline": encoding.conf_to_json(tried.conf) if tried.conf else None,
        "effective": encoding.conf_to_json(tried.conf) if tried.conf else None,
    }
    news = False
    if known is None:
        connection.execute(
            _attempts.insert().values(
                **identity(deployment, tried.attempt)
                | row
                | {"recorded_at": row["started_at"], "source": "airflow"}
            )
        )
        news = True
    else:
        missing = {
            name: value
            for name, value in row.items()
            if value is not None and (name == "baseline" or getattr(known, name) in (None, "{}"))
        }
        if known.effective not in (None, "{}"):
            missing.pop("baseline", None)
        if missing:
            connection.execute(_attempts.update().where(_attempts.c.key == key).values(**missing))
            news = True
    if tried.succeeded is None or tried.ended_at is None:
        return news
    ended = connection.execute(select(_outcomes.c.key).where(_outcomes.c.key == key)).first()
    if ended is None:
        connection.execute(
            _outcomes.insert().values(
                key=key,
                succeeded=tried.succeeded,
                ended_at=encoding.to_text(tried.ended_at),
                duration_s=tried.duration_s,
                gib_seconds=tried.gib_seconds,
            )
        )
        return True
    return news
