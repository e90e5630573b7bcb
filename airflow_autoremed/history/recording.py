"""Writing to the tables. Imports SQLAlchemy: loaded only when a store is used.

Every function writes within the transaction that it is handed, and may be run twice.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_autoremed.history import encoding, schema
from airflow_autoremed.history.database import put
from airflow_autoremed.types import AttemptId, Conf, Decision, Mode, Patch


def attempt(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    *,
    baseline: Conf,
    effective: Conf,
    operator: str,
    started_at: datetime,
    patched: bool,
) -> None:
    row = _identity(deployment, attempt) | {
        "operator": encoding.clip(operator, encoding.MAX_NAME),
        "baseline": encoding.conf_to_json(baseline),
        "effective": encoding.conf_to_json(effective),
        "patched": patched,
        "started_at": encoding.to_text(started_at),
    }
    # A deferred task begins the same try again when it resumes: the first beginning is the attempt's.
    known = connection.execute(
        select(schema.attempts.c.started_at).where(schema.attempts.c.key == row["key"])
    ).scalar()
    put(
        connection,
        schema.attempts,
        row,
        keep=("recorded_at", "started_at") if known else ("recorded_at",),
    )


def decision(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    decision: Decision,
    *,
    mode: Mode,
    excerpt: str,
) -> None:
    key = _make_known(connection, deployment, attempt)
    found = decision.classification
    put(
        connection,
        schema.decisions,
        {
            "key": key,
            "action": decision.action.value,
            "mode": mode.value,
            "category": encoding.clip(found.category, encoding.MAX_NAME),
            "rule": None if found.rule is None else encoding.clip(found.rule, encoding.MAX_NAME),
            "restartable": found.restartable.value,
            "memory_configuration": found.memory_configuration,
            "reason": encoding.clip(decision.reason, encoding.MAX_REASON),
            "decided_by": encoding.clip(decision.decided_by, 64),
            "lines": encoding.lines_to_json(found.lines),
            "conf": encoding.conf_to_json(decision.conf),
            "changes": encoding.to_json({name: list(pair) for name, pair in decision.changes.items()}),
            "excerpt": encoding.clip_around(excerpt, encoding.MAX_EXCERPT),
            "decided_at": encoding.to_text(_now()),
        },
    )
    if decision.patch is not None:
        put(connection, schema.patches, _patch(key, deployment, decision.patch), keep=("created_at",))
    else:
        connection.execute(schema.patches.delete().where(schema.patches.c.key == key))


def outcome(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    *,
    succeeded: bool,
    ended_at: datetime,
    duration_s: float | None,
    gib_seconds: float | None,
) -> None:
    row = {
        "key": _make_known(connection, deployment, attempt),
        "succeeded": succeeded,
        "ended_at": encoding.to_text(ended_at),
        "duration_s": duration_s,
        "gib_seconds": gib_seconds,
    }
    put(connection, schema.outcomes, row)


def _make_known(connection: Connection, deployment: str, attempt: AttemptId) -> str:
    """The key of *attempt*, which gets a row of its own: its beginning may have met a store that was down."""
    row = _identity(deployment, attempt)
    put(connection, schema.attempts, row, keep=tuple(row))
    return str(row["key"])


def _identity(deployment: str, attempt: AttemptId) -> dict[str, str | int | bool]:
    return {
        "key": schema.attempt_key(deployment, attempt),
        "instance_key": schema.instance_key(deployment, attempt),
        "deployment": deployment,
        "dag_id": attempt.dag_id,
        "run_id": attempt.run_id,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index,
        "try_number": attempt.try_number,
        "recorded_at": encoding.to_text(_now()),
    }


def _patch(key: str, deployment: str, patch: Patch) -> dict[str, str | int]:
    scope = patch.scope
    return {
        "key": key,
        "kind": scope.kind,
        "deployment": deployment,
        "dag_id": scope.dag_id,
        "run_id": scope.run_id,
        "task_id": scope.task_id,
        "map_index": scope.map_index,
        "from_try": patch.from_try,
        "operations": encoding.to_json([dict(operation) for operation in patch.operations]),
        "created_at": encoding.to_text(_now()),
    }


def _now() -> datetime:
    return datetime.now(timezone.utc)
