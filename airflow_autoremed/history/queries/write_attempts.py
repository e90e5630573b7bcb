"""What an attempt tells of itself, into the tables. Imports SQLAlchemy, but not the tables themselves unless the
attempt failed or was patched: those cost a successful attempt several milliseconds.

Every function writes within the transaction that it is handed, and may be run twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_autoremed.history.attempt_records import (
    AttemptDecision,
    AttemptEnd,
    AttemptRecord,
    AttemptStart,
)
from airflow_autoremed.history.db import encoding, row_keys
from airflow_autoremed.history.db.upsert import put
from airflow_autoremed.history.queries import promoted_patch
from airflow_autoremed.history.queries.attempt_row import identity
from airflow_autoremed.types import Action, AttemptId, Mode, Override

if TYPE_CHECKING:
    from airflow_autoremed.history.stored import PromotedPatch

_RELEASE = text("DELETE FROM autoremed_grants WHERE autoremed_grants.key IN (:key, :before)")


def record(connection: Connection, deployment: str, found: AttemptRecord) -> list[str]:
    """Write what is known of an attempt; what became of patches because of it, in sentences."""
    if found.start is not None:
        _start(connection, deployment, found.start)
    else:
        _make_known(connection, deployment, found.attempt)
    if found.decision is not None:
        fingerprint = found.start.fingerprint if found.start is not None else None
        _decision(connection, deployment, found.attempt, found.decision, fingerprint)
    if found.end is None:
        return []
    _end(connection, deployment, found.attempt, found.end)
    if found.promotion is None or found.end.succeeded is None:
        return []
    key = found.start.patch_key if found.start is not None else None
    cause = found.decision.decision.classification if found.decision is not None else None
    news: list[str] = []
    if key is not None:
        from airflow_autoremed.history.queries import patch_life

        ended = patch_life.PatchedEnd(
            found.attempt,
            found.end.succeeded,
            None if cause is None else cause.category,
            goes_on=_goes_on(found.decision),
        )
        news = patch_life.settle(connection, key, ended, found.promotion)
    ran_short = cause is not None and cause.memory_configuration
    if found.promotion.floor is not None and (key is not None or ran_short or found.promotion.every_end):
        from airflow_autoremed.history.queries import task_floor

        about_floor = task_floor.make_anew(connection, deployment, found)
        news = news or about_floor
    return news


def _goes_on(made: AttemptDecision | None) -> bool:
    """Whether the next attempt gets more."""
    return made is not None and made.mode is Mode.ACT and made.decision.action is Action.REMEDIATE


def start(
    connection: Connection,
    deployment: str,
    started: AttemptStart,
    goes_on: Callable[[tuple[Override, ...]], bool],
) -> PromotedPatch | None:
    """Write the start of an attempt, unless *goes_on* says otherwise of the modes that people set; the promoted patch
    of its task."""
    found, overrides = promoted_patch.standing(
        connection, deployment, started.attempt, started.fingerprint or ""
    )
    if not goes_on(overrides):
        return None
    if connection.dialect.name == "postgresql":
        # Not worth waiting for the server's disk: a start lost in its crash is no evidence of a lost attempt.
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    _start(connection, deployment, started)
    return found


def _start(connection: Connection, deployment: str, started: AttemptStart) -> None:
    """*started* ran, or runs, with that configuration."""
    row = identity(deployment, started.attempt) | {
        "operator": encoding.clip(started.operator, encoding.MAX_NAME),
        "baseline": encoding.conf_to_json(started.baseline),
        "effective": encoding.conf_to_json(started.effective),
        "patched": started.patched,
        "fingerprint": started.fingerprint,
        "patch_key": started.patch_key,
        "max_tries": started.max_tries,
        "started_at": encoding.to_text(started.started_at),
    }
    # A deferred task starts the same try again when it resumes: the first start is the attempt's.
    put(connection, "autoremed_attempts", row, keep=("recorded_at", "started_at", "max_tries"))
    if started.patch_key is not None:
        from airflow_autoremed.history.queries import patch_life

        patch_life.applied(connection, started.patch_key, started.attempt)
    if started.attempt.try_number > 1:
        # The try before is over, even if nobody recorded its end. It took memory for this one, which a patch that was
        # not applied does not need.
        before = row_keys.attempt_key(deployment, started.attempt.previous())
        mine = before if started.patched else row["key"]
        connection.execute(_RELEASE, {"key": mine, "before": before})


def _decision(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    made: AttemptDecision,
    fingerprint: str | None,
) -> None:
    from airflow_autoremed.history.queries import patch_life

    decided, cause = made.decision, made.decision.classification
    put(
        connection,
        "autoremed_decisions",
        {
            "key": row_keys.attempt_key(deployment, attempt),
            "action": decided.action.value,
            "mode": made.mode.value,
            "category": encoding.clip(cause.category, encoding.MAX_NAME),
            "rule": None if cause.rule is None else encoding.clip(cause.rule, encoding.MAX_NAME),
            "restartable": cause.restartable.value,
            "memory_configuration": cause.memory_configuration,
            "reason": encoding.clip(made.reason, encoding.MAX_REASON),
            "decided_by": encoding.clip(decided.decided_by, 64),
            "lines": encoding.cause_to_json(cause),
            "conf": encoding.conf_to_json(decided.conf),
            "changes": encoding.to_json({name: list(pair) for name, pair in decided.changes.items()}),
            "excerpt": encoding.clip_around(made.excerpt, encoding.MAX_EXCERPT),
            "decided_at": encoding.to_text(_now()),
            "max_tries": made.max_tries,
            "template": None if made.template is None else encoding.clip(made.template, encoding.MAX_REASON),
            "template_id": made.template_id,
            "opinion": None if made.opinion is None else encoding.clip(made.opinion, encoding.MAX_REASON),
        },
    )
    patch_life.propose(connection, deployment, attempt, made, fingerprint)


def _end(connection: Connection, deployment: str, attempt: AttemptId, ended: AttemptEnd) -> None:
    """*attempt* ended, and gives back the memory that it was granted."""
    key = row_keys.attempt_key(deployment, attempt)
    connection.execute(_RELEASE, {"key": key, "before": key})
    if ended.succeeded is None:
        known = identity(deployment, attempt)
        row = known | {"interrupted_at": encoding.to_text(ended.ended_at)}
        put(connection, "autoremed_attempts", row, keep=tuple(known))
        return
    put(
        connection,
        "autoremed_outcomes",
        {
            "key": key,
            "succeeded": ended.succeeded,
            "ended_at": encoding.to_text(ended.ended_at),
            "duration_s": ended.duration_s,
            "gib_seconds": ended.gib_seconds,
        },
    )


def _make_known(connection: Connection, deployment: str, attempt: AttemptId) -> None:
    """Give *attempt* a row of its own, if it has none: its beginning may have met a store that was down."""
    row = identity(deployment, attempt)
    put(connection, "autoremed_attempts", row, keep=tuple(row))


def _now() -> datetime:
    return datetime.now(timezone.utc)
