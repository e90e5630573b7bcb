"""The life of patches in the tables. Imports SQLAlchemy.

Every function works within the transaction that it is handed, and may be run twice. A change of state is written
together with who, when and why.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.history.attempt_records import AttemptDecision, Promotion
from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.db.upsert import put, take_turns
from airflow_autoremed.history.queries.promoted_patch import in_force
from airflow_autoremed.history.stored import OUT_OF_FORCE
from airflow_autoremed.types import (
    ANY,
    ANY_MAP_INDEX,
    FLOOR,
    RIGHT_SIZED,
    AttemptId,
    Patch,
    PatchRules,
    PatchState,
    Scope,
    TaskRecord,
)

_patches, _attempts, _decisions, _outcomes = (
    schema.patches,
    schema.attempts,
    schema.decisions,
    schema.outcomes,
)

_RECENT = 50
"""Attempts of a task that its record is made of."""
_IN_USE = (PatchState.PROPOSED.value, PatchState.ACTIVE.value)


class PatchedEnd(NamedTuple):
    """How an attempt that ran with a patch ended."""

    attempt: AttemptId
    succeeded: bool
    category: str | None = None
    """Why it failed, where that is known."""
    goes_on: bool = False
    """It failed, and the next attempt gets more: the remediation has not ended."""


def propose(
    connection: Connection,
    deployment: str,
    attempt: AttemptId,
    made: AttemptDecision,
    fingerprint: str | None,
) -> None:
    """The patch that was decided upon after *attempt*, or that none was: then one that was never applied is
    forgotten. Deciding the same again leaves its life as it is."""
    key = row_keys.attempt_key(deployment, attempt)
    patch = made.decision.patch
    if patch is None:
        proposed = _patches.c.state == PatchState.PROPOSED.value
        connection.execute(_patches.delete().where(_patches.c.key == key, proposed))
        return
    scope = patch.scope
    operations = encoding.to_json([dict(operation) for operation in patch.operations])
    known = connection.execute(select(_patches.c.operations).where(_patches.c.key == key)).scalar()
    row = {
        "key": key,
        "kind": scope.kind,
        "deployment": deployment,
        "dag_id": scope.dag_id,
        "run_id": scope.run_id,
        "task_id": scope.task_id,
        "map_index": scope.map_index,
        "fingerprint": fingerprint or ANY,
        "from_try": patch.from_try,
        "operations": operations,
        "created_at": encoding.to_text(_now()),
        "category": encoding.clip(made.decision.classification.category, encoding.MAX_NAME),
        "state": PatchState.PROPOSED.value,
        "state_at": encoding.to_text(_now()),
    }
    if known == operations:
        return
    put(connection, _patches.name, row, keep=("created_at",))
    _note(connection, key, str(attempt), None, PatchState.PROPOSED, made.reason)


def promote(
    connection: Connection, deployment: str, patch: Patch, *, category: str, who: str, why: str
) -> str:
    """Put *patch*, whose scope is a task, in force for its coming runs; those in force before are superseded. The
    key that it has from now on."""
    scope = patch.scope
    key = row_keys.digest(
        deployment, category, scope.dag_id, scope.task_id, scope.map_index, encoding.to_text(_now())
    )
    _supersede(connection, deployment, scope, who, "another patch of the task took its place")
    put_in_force(connection, deployment, key, patch, category=category, who=who, why=why)
    return key


def put_in_force(
    connection: Connection,
    deployment: str,
    key: str,
    patch: Patch,
    *,
    category: str,
    who: str,
    why: str,
    before: str | None = None,
) -> None:
    """Write *patch*, whose scope is a task, as one that every coming run starts with.

    :param before: the state of the patch that had this key until now.
    """
    scope, now = patch.scope, encoding.to_text(_now())
    put(
        connection,
        _patches.name,
        {
            "key": key,
            "kind": "task",
            "deployment": deployment,
            "dag_id": scope.dag_id,
            "run_id": ANY,
            "task_id": scope.task_id,
            "map_index": scope.map_index,
            "fingerprint": scope.fingerprint,
            "from_try": patch.from_try,
            "operations": encoding.to_json([dict(operation) for operation in patch.operations]),
            "created_at": now,
            "category": category,
            "state": PatchState.PROMOTED.value,
            "state_at": now,
            "last_used_at": None,
        },
        keep=("created_at",),
    )
    _note(connection, key, who, before, PatchState.PROMOTED, why)


def still_holds(connection: Connection, key: str) -> None:
    """A patch in force was found to be right once more: it does not grow old."""
    _set(connection, key, state_at=encoding.to_text(_now()))


def applied(connection: Connection, key: str, attempt: AttemptId) -> None:
    """*attempt* begins, or began, with the patch of that key."""
    row = locked(connection, key)
    if row is None:
        return
    _set(connection, key, last_used_at=encoding.to_text(_now()))
    if row.state == PatchState.PROPOSED.value:
        change(connection, row, PatchState.ACTIVE, str(attempt), "the next try runs with it")


def settle(connection: Connection, key: str, end: PatchedEnd, promotion: Promotion) -> list[str]:
    """An attempt that ran with the patch of that key ended.

    :return: what happened to the patch that a person wants to read, in sentences.
    """
    row = locked(connection, key)
    if row is None or row.category == FLOOR:  # a floor is made anew, not judged
        return []
    failed_for_it = not end.succeeded and end.category == row.category
    if end.succeeded or (failed_for_it and not end.goes_on):  # a step on the way pulls no brake
        _set(connection, key, succeeded=end.succeeded, settled_at=encoding.to_text(_now()))
    if row.state in _IN_USE:
        return _settle_run(connection, row, end, promotion)
    if row.state == PatchState.PROMOTED.value:
        return _settle_task(connection, row, end, promotion)
    return []


def _settle_run(connection: Connection, row: Row[Any], end: PatchedEnd, promotion: Promotion) -> list[str]:
    """A patch that one task instance tries out."""
    who = str(end.attempt)
    if not end.succeeded and end.category == row.category:
        why = f"the patched try failed of the same cause ({end.category})"
        change(connection, row, PatchState.REVOKED, who, why)
        return []
    if not end.succeeded:
        why = f"the patched try failed of another cause ({end.category or 'not known'})"
        change(connection, row, PatchState.SUPERSEDED, who, why)
        return []
    change(connection, row, PatchState.PROVEN, who, "the patched try succeeded")
    if promotion.rules.promote_after < 1:
        return []
    promote, why = promotion.judge("promote", _record(connection, row, end.attempt, promotion.rules))
    if not promote:
        return []
    scope = _promoted_scope(row, end.attempt, promotion.rules)
    _supersede(connection, row.deployment, scope, who, "a newer patch of the task was promoted")
    proven = locked(connection, row.key)
    if proven is None:
        return []
    change(connection, proven, PatchState.PROMOTED, who, why)
    _set(
        connection,
        row.key,
        kind=scope.kind,
        run_id=scope.run_id,
        map_index=scope.map_index,
        fingerprint=scope.fingerprint,
    )
    return [f"The patch is promoted, coming runs begin with it: {why}."]


def _settle_task(connection: Connection, row: Row[Any], end: PatchedEnd, promotion: Promotion) -> list[str]:
    """A patch that every run of the task starts with."""
    if row.category == RIGHT_SIZED:
        if end.succeeded:
            return []
        why = "a run with less than it declares failed"
    elif end.succeeded:
        keep, why = promotion.judge("keep", _record(connection, row, end.attempt, promotion.rules))
        if keep:
            return []
    elif end.category == row.category:
        why = f"a run that began with it failed of the cause that it is for ({row.category})"
    else:
        return []
    change(connection, row, PatchState.REVOKED, str(end.attempt), why)
    return [f"The promoted patch is revoked, coming runs begin as declared: {why}."]


def end(connection: Connection, deployment: str, key: str, to: PatchState, who: str, why: str) -> bool:
    """Take a patch out of force; whether it was in force."""
    row = locked(connection, key)
    if row is None or row.deployment != deployment or row.state in OUT_OF_FORCE:
        return False
    change(connection, row, to, who, why)
    return True


def state(connection: Connection, deployment: str, key: str) -> PatchState | None:
    """The state of the patch of that key; ``None`` where there is no such patch."""
    query = select(_patches.c.state).where(_patches.c.key == key, _patches.c.deployment == deployment)
    found = connection.execute(query).scalar()
    return None if found is None else encoding.word(PatchState, found)


def running_with(connection: Connection, deployment: str, key: str) -> list[AttemptId]:
    """The attempts that started with the patch of that key and have not ended, ten at most, latest first."""
    query = (
        select(
            _attempts.c.dag_id,
            _attempts.c.run_id,
            _attempts.c.task_id,
            _attempts.c.map_index,
            _attempts.c.try_number,
        )
        .select_from(_attempts.outerjoin(_outcomes, _outcomes.c.key == _attempts.c.key))
        .where(
            _attempts.c.patch_key == key,
            _attempts.c.deployment == deployment,
            _attempts.c.interrupted_at.is_(None),
            _outcomes.c.key.is_(None),
        )
        .order_by(_attempts.c.recorded_at.desc())
        .limit(10)
    )
    return [AttemptId(*row) for row in connection.execute(query)]


def _supersede(connection: Connection, deployment: str, scope: Scope, who: str, why: str) -> None:
    """End the patches of the same scope that are in force: one takes their place. Two that are promoted at once take
    turns, so that the second finds the first."""
    take_turns(connection, "promotions", deployment)
    for other in in_force(connection, deployment, scope.dag_id, scope.task_id):
        if other.map_index == scope.map_index and other.category != FLOOR:
            row = locked(connection, other.key)
            if row is not None:
                change(connection, row, PatchState.SUPERSEDED, who, why)


def change(connection: Connection, row: Row[Any], to: PatchState, who: str, why: str) -> None:
    """Write a change of state with who, when and why."""
    _set(connection, row.key, state=to.value, state_at=encoding.to_text(_now()))
    _note(connection, row.key, who, row.state, to, why)


def _record(connection: Connection, row: Row[Any], attempt: AttemptId, rules: PatchRules) -> TaskRecord:
    """What the task's last attempts say about the patch."""
    unpatched = _tries(connection, row, attempt, rules, patched=False)
    patched = _tries(connection, row, attempt, rules, patched=True)
    failures = [found for found in unpatched if not found.succeeded and found.category == row.category]
    proven = select(func.count()).where(
        _patches.c.deployment == row.deployment,
        _patches.c.dag_id == row.dag_id,
        _patches.c.task_id == row.task_id,
        _patches.c.category == row.category,
        _patches.c.state.in_((PatchState.PROVEN.value, PatchState.PROMOTED.value)),
    )
    if not rules.promote_across_mapped:
        proven = proven.where(_patches.c.map_index == row.map_index)
    if rules.promote_same_job_only:
        proven = proven.where(_patches.c.fingerprint == row.fingerprint)
    return TaskRecord(
        proven=int(connection.execute(proven).scalar() or 0),
        unpatched_tries=len(unpatched),
        unpatched_failures=len(failures),
        cost_of_failure=_median_cost(failures),
        cost_unpatched=_median_cost(found for found in unpatched if found.succeeded),
        cost_patched=_median_cost(found for found in patched if found.succeeded),
    )


def _tries(
    connection: Connection, row: Row[Any], attempt: AttemptId, rules: PatchRules, *, patched: bool
) -> Sequence[Row[Any]]:
    """The task's last tries that ended, patched or not. Of those not patched only first ones: a later one is the
    plain retry of a failure, not a run of its own."""
    query = (
        select(_decisions.c.category, _outcomes.c.succeeded, _outcomes.c.gib_seconds)
        .select_from(
            _attempts.join(_outcomes, _outcomes.c.key == _attempts.c.key).outerjoin(
                _decisions, _decisions.c.key == _attempts.c.key
            )
        )
        .where(
            _attempts.c.deployment == row.deployment,
            _attempts.c.dag_id == row.dag_id,
            _attempts.c.task_id == row.task_id,
            _attempts.c.patched.is_(patched),
        )
        .order_by(_attempts.c.recorded_at.desc())
        .limit(_RECENT)
    )
    if not patched:
        query = query.where(_attempts.c.try_number == 1)
    if not rules.promote_across_mapped:
        query = query.where(_attempts.c.map_index == attempt.map_index)
    return list(connection.execute(query))


def _promoted_scope(row: Row[Any], attempt: AttemptId, rules: PatchRules) -> Scope:
    shared = rules.promote_across_mapped and attempt.map_index >= 0
    return Scope(
        row.dag_id,
        ANY,
        row.task_id,
        ANY_MAP_INDEX if shared else attempt.map_index,
        kind="task",
        fingerprint=row.fingerprint if rules.promote_same_job_only else ANY,
    )


def locked(connection: Connection, key: str) -> Row[Any] | None:
    """The row of that key, which no other transaction changes before this one ends."""
    return connection.execute(select(_patches).where(_patches.c.key == key).with_for_update()).first()


def _set(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(_patches.update().where(_patches.c.key == key).values(**values))


def _note(
    connection: Connection, key: str, who: str, before: str | None, after: PatchState, why: str
) -> None:
    connection.execute(
        schema.patch_changes.insert().values(
            patch_key=key,
            at=encoding.to_text(_now()),
            who=encoding.clip(who, encoding.MAX_NAME),
            from_state=before,
            to_state=after.value,
            why=encoding.clip(why, encoding.MAX_REASON),
        )
    )


def _median_cost(tries: Iterable[Row[Any]]) -> float | None:
    costs = [found.gib_seconds for found in tries if found.gib_seconds is not None]
    return statistics.median(costs) if costs else None


def _now() -> datetime:
    return datetime.now(timezone.utc)
