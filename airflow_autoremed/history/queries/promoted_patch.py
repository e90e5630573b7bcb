"""The patch that a coming run begins with, and the modes that people set. Imports SQLAlchemy.

Apart from the rest of a patch's life because every try asks, and most find none: whatever a try loads, it pays for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.types import ANY, ANY_MAP_INDEX, FLOOR, AttemptId, Mode, Override, PatchState

if TYPE_CHECKING:
    from airflow_autoremed.history.stored import PromotedPatch

_A_MODE = "mode"
"""In place of the kind of a patch, of a row that is an override."""

# As text, because SQLAlchemy takes longer to put the query together than the database to answer it. One query for both,
# because every try asks for both: an override stands in the columns of a patch, see _override().
_IN_FORCE = text(
    "SELECT p.key, p.kind, p.dag_id, p.run_id, p.task_id, p.map_index, p.fingerprint, p.from_try, p.operations, "
    "p.category, p.state, p.state_at, p.last_used_at, "
    "(SELECT autoremed_patch_changes.why FROM autoremed_patch_changes WHERE autoremed_patch_changes.patch_key = p.key "
    "ORDER BY autoremed_patch_changes.id DESC LIMIT 1) AS why "
    "FROM autoremed_patches p WHERE p.deployment = :deployment AND p.dag_id = :dag_id AND p.task_id = :task_id "
    f"AND p.kind = 'task' AND p.state = '{PatchState.PROMOTED.value}' "
    f"UNION ALL SELECT o.mode, '{_A_MODE}', o.dag_id, o.who, o.task_id, -1, '', o.id, '', o.category, '', o.at, NULL, o.why "
    "FROM autoremed_overrides o WHERE o.deployment = :deployment AND o.ended_at IS NULL "
    "AND (o.dag_id = '' OR o.dag_id = :dag_id) AND (o.task_id = '' OR o.task_id = :task_id)"
)


def find(
    connection: Connection, deployment: str, attempt: AttemptId, fingerprint: str
) -> PromotedPatch | None:
    """The promoted patch that *attempt* is in the scope of, the one promoted last where there are several, with the
    floor of its task; the floor alone where there is no other."""
    return standing(connection, deployment, attempt, fingerprint)[0]


def standing(
    connection: Connection, deployment: str, attempt: AttemptId, fingerprint: str
) -> tuple[PromotedPatch | None, tuple[Override, ...]]:
    """What :func:`find` finds, and the modes that people set for *attempt* and for categories."""
    promoted, floor = None, None
    patches, overrides = _in_force(connection, deployment, attempt.dag_id, attempt.task_id)
    for row in patches:
        if row.map_index in (attempt.map_index, ANY_MAP_INDEX) and row.fingerprint in (ANY, fingerprint):
            if row.category == FLOOR:
                floor = floor or _checked(row)
            else:
                promoted = promoted or _checked(row)
    return floor if promoted is None else replace(promoted, floor=floor), overrides


def in_force(connection: Connection, deployment: str, dag_id: str, task_id: str) -> Sequence[Row[Any]]:
    """The promoted patches of a task, whatever their scope, latest first."""
    return _in_force(connection, deployment, dag_id, task_id)[0]


def overrides(connection: Connection, deployment: str, dag_id: str, task_id: str) -> tuple[Override, ...]:
    """The modes that people set for a task, its Dag, categories and everything."""
    return _in_force(connection, deployment, dag_id, task_id)[1]


def _in_force(
    connection: Connection, deployment: str, dag_id: str, task_id: str
) -> tuple[Sequence[Row[Any]], tuple[Override, ...]]:
    rows = connection.execute(_IN_FORCE, {"deployment": deployment, "dag_id": dag_id, "task_id": task_id})
    patches, modes = [], []
    for row in rows:
        # MySQL compares names without regard to trailing blanks.
        if row.kind == _A_MODE:
            if row.dag_id in ("", dag_id) and row.task_id in ("", task_id):
                modes.append(_override(row))
        elif (row.dag_id, row.task_id) == (dag_id, task_id):
            patches.append(row)
    return sorted(patches, key=lambda row: row.state_at, reverse=True), tuple(modes)


def _override(row: Row[Any]) -> Override:
    from airflow_autoremed.history.db import encoding

    at = encoding.to_moment(row.state_at) or datetime.fromtimestamp(0, timezone.utc)
    mode = encoding.word(Mode, row.key)
    return Override(mode, row.run_id, row.why, at, row.dag_id, row.task_id, row.category, row.from_try)


def _checked(row: Row[Any]) -> PromotedPatch:
    from airflow_autoremed.errors import StoreError
    from airflow_autoremed.history.db import encoding
    from airflow_autoremed.history.stored import PromotedPatch

    since = encoding.to_moment(row.state_at)
    if since is None:
        raise StoreError("a promoted patch in it has no start time")
    return PromotedPatch(
        row.key,
        encoding.to_patch(row),
        row.category,
        since,
        encoding.to_moment(row.last_used_at),
        row.why or "",
    )
