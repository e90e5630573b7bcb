"""Reading from the tables. Imports SQLAlchemy: loaded only when a store is used."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql import Select

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.attempt_records import AttemptStart
from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.db.readable import readable
from airflow_autoremed.history.stored import (
    OUT_OF_FORCE,
    AttemptFilter,
    Outcome,
    StoredAttempt,
    StoredDecision,
)
from airflow_autoremed.types import Action, AttemptId, Mode, PastAttempt, PatchState, Scope

_attempts, _decisions, _patches, _outcomes = (
    schema.attempts,
    schema.decisions,
    schema.patches,
    schema.outcomes,
)

_HISTORY = (
    _attempts.c.dag_id,
    _attempts.c.run_id,
    _attempts.c.task_id,
    _attempts.c.map_index,
    _attempts.c.try_number,
    _attempts.c.operator,
    _attempts.c.baseline,
    _attempts.c.effective,
    _attempts.c.patched,
    _attempts.c.patch_key,
    _attempts.c.started_at,
    _attempts.c.interrupted_at,
    _attempts.c.source,
    _decisions.c.action,
    _decisions.c.mode,
    _decisions.c.category,
    _decisions.c.rule,
    _decisions.c.reason,
    _decisions.c.decided_by,
    _decisions.c.lines,
    _decisions.c.changes,
    _decisions.c.excerpt,
    _decisions.c.template,
    _decisions.c.opinion,
    _decisions.c.decided_at,
    _outcomes.c.succeeded,
    _outcomes.c.ended_at,
    _outcomes.c.duration_s,
    _outcomes.c.gib_seconds,
)


def past_attempts(connection: Connection, deployment: str, attempt: AttemptId) -> tuple[PastAttempt, ...]:
    """The tries of the same task instance before *attempt*, oldest first."""
    query = (
        select(
            _attempts.c.effective,
            _attempts.c.try_number,
            _decisions.c.category,
            _decisions.c.action,
            _decisions.c.mode,
            _outcomes.c.succeeded,
            _outcomes.c.duration_s,
        )
        .select_from(_joined())
        .where(
            _attempts.c.instance_key == row_keys.instance_key(deployment, attempt),
            _attempts.c.try_number < attempt.try_number,
            # A try whose beginning could not be recorded ran with a configuration that nobody knows.
            _attempts.c.effective.is_not(None),
            # One that was ended from outside says nothing about the job.
            _attempts.c.interrupted_at.is_(None),
        )
        .order_by(_attempts.c.try_number)
    )
    return tuple(readable(connection.execute(query), _past))


def _past(row: Any) -> PastAttempt:
    return PastAttempt(
        conf=encoding.to_conf(row.effective),
        category=row.category,
        succeeded=bool(row.succeeded),
        duration_s=encoding.to_number(row.duration_s),
        try_number=encoding.to_whole(row.try_number),
        remediated=(row.action, row.mode) == (Action.REMEDIATE.value, Mode.ACT.value),
    )


def started_without_end(
    connection: Connection, deployment: str, attempt: AttemptId, max_tries: int
) -> AttemptStart | None:
    """The start of exactly *attempt*, where it told of it itself and nothing was recorded since: no decision and no
    end, not even one from outside."""
    query = (
        select(
            _attempts.c.baseline,
            _attempts.c.effective,
            _attempts.c.operator,
            _attempts.c.started_at,
            _attempts.c.patched,
            _attempts.c.fingerprint,
            _attempts.c.patch_key,
            _attempts.c.max_tries,
        )
        .select_from(_joined())
        .where(
            _attempts.c.key == row_keys.attempt_key(deployment, attempt),
            _attempts.c.source.is_(None),
            _attempts.c.started_at.is_not(None),
            _attempts.c.interrupted_at.is_(None),
            _attempts.c.max_tries == max_tries,
            _decisions.c.key.is_(None),
            _outcomes.c.key.is_(None),
        )
    )
    row = connection.execute(query).first()
    started_at = None if row is None else encoding.to_moment(row.started_at)
    if row is None or started_at is None:
        return None
    return AttemptStart(
        attempt,
        baseline=encoding.to_conf(row.baseline),
        effective=encoding.to_conf(row.effective),
        operator=row.operator or "",
        started_at=started_at,
        patched=bool(row.patched),
        fingerprint=row.fingerprint,
        patch_key=row.patch_key,
        max_tries=row.max_tries,
    )


def decision(connection: Connection, deployment: str, attempt: AttemptId) -> StoredDecision | None:
    """What was decided about exactly *attempt*."""
    query = (
        select(
            _decisions.c.action,
            _decisions.c.mode,
            _decisions.c.reason,
            _decisions.c.category,
            _decisions.c.max_tries,
            _decisions.c.decided_at,
            _patches.c.kind,
            _patches.c.dag_id,
            _patches.c.run_id,
            _patches.c.task_id,
            _patches.c.map_index,
            _patches.c.fingerprint,
            _patches.c.from_try,
            _patches.c.operations,
            _patches.c.state,
        )
        .select_from(_decisions.outerjoin(_patches, _patches.c.key == _decisions.c.key))
        .where(_decisions.c.key == row_keys.attempt_key(deployment, attempt))
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    patch = None
    state = None if row.state is None else encoding.word(PatchState, row.state)
    # A patch that was promoted since is no longer this instance's own: it is found as the task's.
    if row.operations is not None and row.kind == "run" and state not in OUT_OF_FORCE:
        patch = encoding.to_patch(row)
    return StoredDecision(
        attempt,
        encoding.word(Action, row.action),
        encoding.word(Mode, row.mode),
        row.reason,
        row.category,
        patch,
        row.max_tries,
        encoding.to_moment(row.decided_at),
        state,
    )


def outcome(connection: Connection, deployment: str, attempt: AttemptId) -> bool | None:
    """Whether *attempt* succeeded; ``None`` when nothing is known of its end."""
    key = row_keys.attempt_key(deployment, attempt)
    found = connection.execute(select(_outcomes.c.succeeded).where(_outcomes.c.key == key)).scalar()
    return None if found is None else bool(found)


def recent(
    connection: Connection,
    deployment: str,
    limit: int,
    wanted: AttemptFilter,
    *,
    mark_unreadable: bool = False,
) -> list[StoredAttempt]:
    """The *limit* attempts recorded last of those that are *wanted*, latest first."""
    query = _history(deployment)
    for column, value in (
        (_attempts.c.dag_id, wanted.dag_id),
        (_attempts.c.task_id, wanted.task_id),
        (_attempts.c.run_id, wanted.run_id),
        (_decisions.c.category, wanted.category),
        (_decisions.c.action, None if wanted.action is None else wanted.action.value),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.outcome is not None:
        query = query.where(*_ended(wanted.outcome))
    if wanted.since is not None:
        query = query.where(_attempts.c.recorded_at >= encoding.to_text(wanted.since))
    query = query.order_by(_attempts.c.recorded_at.desc(), _attempts.c.try_number.desc()).limit(limit)
    read = _row_or_mark if mark_unreadable else _row
    return list(readable(connection.execute(query), read))


def one(
    connection: Connection, deployment: str, instance: Scope, *, mark_unreadable: bool = False
) -> list[StoredAttempt]:
    """All tries of one task instance, oldest first."""
    key = row_keys.instance_key(deployment, instance)
    query = _history(deployment).where(_attempts.c.instance_key == key).order_by(_attempts.c.try_number)
    read = _row_or_mark if mark_unreadable else _row
    return list(readable(connection.execute(query), read))


def runs_of(connection: Connection, deployment: str, instance: Scope, limit: int) -> list[str]:
    """The latest *limit* runs with attempts of the same task and map index, latest first."""
    last = func.max(_attempts.c.recorded_at)
    query = (
        select(_attempts.c.run_id)
        .where(
            _attempts.c.deployment == deployment,
            _attempts.c.dag_id == instance.dag_id,
            _attempts.c.task_id == instance.task_id,
            _attempts.c.map_index == instance.map_index,
        )
        .group_by(_attempts.c.run_id)
        .order_by(last.desc())
        .limit(limit)
    )
    return [str(run_id) for run_id in connection.execute(query).scalars()]


def _ended(outcome: Outcome) -> tuple[Any, ...]:
    if outcome is Outcome.SUCCEEDED:
        return (_outcomes.c.succeeded.is_(True),)
    if outcome is Outcome.FAILED:
        return (_outcomes.c.succeeded.is_(False),)
    interrupted = _attempts.c.interrupted_at
    return (
        _outcomes.c.succeeded.is_(None),
        interrupted.is_(None) if outcome is Outcome.UNKNOWN else interrupted.is_not(None),
    )


def _history(deployment: str) -> Select[Any]:
    return select(*_HISTORY).select_from(_joined()).where(_attempts.c.deployment == deployment)


def _joined() -> Any:
    return _attempts.outerjoin(_decisions, _decisions.c.key == _attempts.c.key).outerjoin(
        _outcomes, _outcomes.c.key == _attempts.c.key
    )


def _row(row: Row[Any]) -> StoredAttempt:
    return StoredAttempt(
        attempt=_attempt(row),
        operator=row.operator,
        started_at=encoding.to_moment(row.started_at),
        patched=bool(row.patched),
        patch_key=row.patch_key,
        baseline=encoding.to_conf(row.baseline),
        effective=encoding.to_conf(row.effective),
        action=None if row.action is None else encoding.word(Action, row.action),
        mode=None if row.mode is None else encoding.word(Mode, row.mode),
        category=row.category,
        rule=row.rule,
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=encoding.to_moment(row.decided_at),
        changes=encoding.to_changes(row.changes),
        lines=encoding.to_lines(row.lines),
        chain=encoding.to_chain(row.lines),
        unseen=encoding.to_unseen(row.lines),
        template=row.template,
        opinion=encoding.to_object(row.opinion),
        excerpt=row.excerpt or "",
        succeeded=None if row.succeeded is None else bool(row.succeeded),
        interrupted=row.interrupted_at is not None and row.succeeded is None,
        ended_at=encoding.to_moment(row.ended_at or row.interrupted_at),
        duration_s=encoding.to_number(row.duration_s),
        gib_seconds=encoding.to_number(row.gib_seconds),
        source=row.source,
    )


def _row_or_mark(row: Row[Any]) -> StoredAttempt:
    """A list is not lost for one row that somebody else wrote, or a newer version."""
    try:
        return _row(row)
    except StoreError as error:
        return StoredAttempt(_attempt(row), unreadable=str(error))


def _attempt(row: Row[Any]) -> AttemptId:
    index, number = encoding.to_whole(row.map_index), encoding.to_whole(row.try_number)
    return AttemptId(row.dag_id, row.run_id, row.task_id, index, number)
