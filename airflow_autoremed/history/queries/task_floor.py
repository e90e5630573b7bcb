"""The floor of a task in the tables: made anew when an attempt is recorded that says something about it, and kept as
a patch in force, so that a try which starts asks for nothing more than before. Imports SQLAlchemy."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from airflow_autoremed.history.attempt_records import AttemptRecord
from airflow_autoremed.history.db import encoding, row_keys
from airflow_autoremed.history.queries import patch_life, training_attempts
from airflow_autoremed.types import ANY, FLOOR, AttemptId, Patch, PatchState, Scope

_TRIES = 60
"""Latest attempts that are read: those of the last 15 runs, with three retries each."""


def make_anew(connection: Connection, deployment: str, found: AttemptRecord) -> list[str]:
    """The floor after *found*, which was just recorded, in place of the one before.

    A person who revokes a floor revokes what was known then: it comes back with the next failure, not before.

    :return: what changed, in sentences for the task's log.
    """
    if found.promotion is None or found.promotion.floor is None or found.end is None:
        return []
    attempt = found.attempt
    new = found.promotion.floor(training_attempts.of_instance(connection, deployment, attempt, _TRIES))
    key = row_keys.digest(deployment, FLOOR, attempt.dag_id, attempt.task_id, attempt.map_index)
    old = patch_life.locked(connection, key)
    in_force = old is not None and old.state == PatchState.PROMOTED.value
    if new is None:
        if old is None or not in_force:
            return []
        why = "none of the last runs failed for want of memory"
        patch_life.change(connection, old, PatchState.EXPIRED, str(attempt), why)
        return [f"Coming runs start as declared again: {why}."]
    if old is not None and old.state == PatchState.REVOKED.value and found.end.succeeded:
        return []
    patch = Patch(new.operations, _scope(attempt, found), attempt.try_number)
    if old is not None and in_force and _same(old.operations, old.fingerprint, patch):
        patch_life.still_holds(connection, key)
        return []
    patch_life.put_in_force(
        connection,
        deployment,
        key,
        patch,
        category=FLOOR,
        who=str(attempt),
        why=new.why,
        before=None if old is None else old.state,
    )
    # After a failure the decision about it is what a person wants to read.
    return [f"Coming runs start with {new.why}."] if found.end.succeeded else []


def _scope(attempt: AttemptId, found: AttemptRecord) -> Scope:
    fingerprint = ANY
    if found.promotion is not None and found.promotion.rules.promote_same_job_only:
        fingerprint = (found.start.fingerprint if found.start is not None else None) or ANY
    return Scope(attempt.dag_id, ANY, attempt.task_id, attempt.map_index, "task", fingerprint)


def _same(operations: str, fingerprint: str, patch: Patch) -> bool:
    return (
        operations == encoding.to_json([dict(operation) for operation in patch.operations])
        and fingerprint == patch.scope.fingerprint
    )
