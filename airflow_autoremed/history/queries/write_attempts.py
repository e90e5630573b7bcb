"""Writing to the tables. Imports SQLAlchemy, but not the tables themselves unless a try failed or was patched.

Every function writes within the transaction that it is handed, and may be run twice.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from airflow_autoremed.history.db import encoding, row_keys
from airflow_autoremed.history.db.upsert import put
from airflow_autoremed.history.records import Beginning, Ending
from airflow_autoremed.types import AttemptId

if TYPE_CHECKING:
    from airflow_autoremed.history.rows import Verdict


def beginning(connection: Connection, deployment: str, begun: Beginning) -> None:
    row = identity(deployment, begun.attempt) | {
        "operator": encoding.clip(begun.operator, encoding.MAX_NAME),
        "baseline": encoding.conf_to_json(begun.baseline),
        "effective": encoding.conf_to_json(begun.effective),
        "patched": begun.patched,
        "fingerprint": begun.fingerprint,
        "patch_key": begun.patch_key,
        "started_at": encoding.to_text(begun.started_at),
    }
    # A deferred task begins the same try again when it resumes: the first beginning is the attempt's.
    put(connection, "autoremed_attempts", row, keep=("recorded_at", "started_at"))
    if begun.patch_key is not None:
        from airflow_autoremed.history.queries import patch_life

        patch_life.applied(connection, begun.patch_key, begun.attempt)


def verdict(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    found: Verdict,
    *,
    fingerprint: str | None = None,
) -> None:
    from airflow_autoremed.history.queries import patch_life

    key = row_keys.attempt_key(deployment, attempt)
    decision, cause = found.decision, found.decision.classification
    put(
        connection,
        "autoremed_decisions",
        {
            "key": key,
            "action": decision.action.value,
            "mode": found.mode.value,
            "category": encoding.clip(cause.category, encoding.MAX_NAME),
            "rule": None if cause.rule is None else encoding.clip(cause.rule, encoding.MAX_NAME),
            "restartable": cause.restartable.value,
            "memory_configuration": cause.memory_configuration,
            "reason": encoding.clip(decision.reason, encoding.MAX_REASON),
            "decided_by": encoding.clip(decision.decided_by, 64),
            "lines": encoding.lines_to_json(cause.lines),
            "conf": encoding.conf_to_json(decision.conf),
            "changes": encoding.to_json({name: list(pair) for name, pair in decision.changes.items()}),
            "excerpt": encoding.clip_around(found.excerpt, encoding.MAX_EXCERPT),
            "decided_at": encoding.to_text(_now()),
            "max_tries": found.max_tries,
            "template": None
            if found.template is None
            else encoding.clip(found.template, encoding.MAX_REASON),
            "template_id": found.template_id,
            "opinion": None if found.opinion is None else encoding.clip(found.opinion, encoding.MAX_REASON),
        },
    )
    if decision.patch is not None:
        patch_life.propose(
            connection,
            deployment,
            key,
            attempt,
            decision.patch,
            category=cause.category,
            fingerprint=fingerprint,
            why=decision.reason,
        )
    else:
        patch_life.withdraw(connection, key)


def ending(connection: Connection, deployment: str, attempt: AttemptId, ended: Ending) -> None:
    row = {
        "key": row_keys.attempt_key(deployment, attempt),
        "succeeded": ended.succeeded,
        "ended_at": encoding.to_text(ended.ended_at),
        "duration_s": ended.duration_s,
        "gib_seconds": ended.gib_seconds,
    }
    put(connection, "autoremed_outcomes", row)


def make_known(connection: Connection, deployment: str, attempt: AttemptId) -> None:
    """Give *attempt* a row of its own, if it has none: its beginning may have met a store that was down."""
    row = identity(deployment, attempt)
    put(connection, "autoremed_attempts", row, keep=tuple(row))


def identity(deployment: str, attempt: AttemptId) -> dict[str, str | int | bool]:
    """The columns that name an attempt, for its first row."""
    return {
        "key": row_keys.attempt_key(deployment, attempt),
        "instance_key": row_keys.instance_key(deployment, attempt),
        "deployment": deployment,
        "dag_id": attempt.dag_id,
        "run_id": attempt.run_id,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index,
        "try_number": attempt.try_number,
        "recorded_at": encoding.to_text(_now()),
    }


def _now() -> datetime:
    return datetime.now(timezone.utc)
