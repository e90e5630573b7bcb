"""Memory that patched attempts hold beyond what their tasks declare. Imports SQLAlchemy.

A grant is given back when its attempt starts without a patch, or ends
(:mod:`airflow_autoremed.history.queries.write_attempts`); one whose attempt never comes ends by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import case, func, select
from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.db.upsert import put, take_turns
from airflow_autoremed.types import AttemptId, Ceilings

_grants = schema.grants


def grant(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    extra_bytes: int,
    held_s: float,
    ceilings: Ceilings,
) -> str | None:
    """Let *attempt* hold more memory than declared, or say why not. Asking again for the same attempt renews it."""
    take_turns(connection, "grants", deployment)
    now = _now()
    key = row_keys.attempt_key(deployment, attempt)
    held = connection.execute(
        select(
            func.coalesce(func.sum(_grants.c.extra_bytes), 0).label("deployment"),
            func.coalesce(
                func.sum(case((_grants.c.dag_id == attempt.dag_id, _grants.c.extra_bytes), else_=0)), 0
            ).label("dag"),
        ).where(
            _grants.c.deployment == deployment,
            _grants.c.held_until > encoding.to_text(now),
            _grants.c.key != key,
        )
    ).one()
    for ceiling, holds, whose in (
        (ceilings.max_extra_memory, int(held.deployment), "this deployment"),
        (ceilings.max_extra_memory_per_dag, int(held.dag), f"the Dag {attempt.dag_id}"),
    ):
        if ceiling is not None and holds + extra_bytes > ceiling:
            return (
                f"remediated tries of {whose} hold {_gib(holds)} beyond what they declare, and {_gib(extra_bytes)} "
                f"more would exceed the ceiling of {_gib(ceiling)}"
            )
    put(
        connection,
        _grants.name,
        {
            "key": key,
            "deployment": deployment,
            "dag_id": attempt.dag_id,
            "extra_bytes": extra_bytes,
            "held_until": encoding.to_text(now + timedelta(seconds=held_s)),
        },
    )
    return None


def _gib(size: int) -> str:
    return f"{size / 1024**3:.3g} GiB"


def _now() -> datetime:
    return datetime.now(timezone.utc)
