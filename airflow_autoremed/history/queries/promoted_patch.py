"""The patch that a coming run begins with. Imports SQLAlchemy.

Apart from the rest of a patch's life because every try asks, and most find none: whatever a try loads, it pays for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.types import ANY, ANY_MAP_INDEX, FLOOR, AttemptId, PatchState

if TYPE_CHECKING:
    from airflow_autoremed.history.stored import PromotedPatch

# As text, because SQLAlchemy takes longer to put the query together than the database to answer it.
_IN_FORCE = text(
    "SELECT autoremed_patches.*, (SELECT autoremed_patch_changes.why FROM autoremed_patch_changes "
    "WHERE autoremed_patch_changes.patch_key = autoremed_patches.key "
    "ORDER BY autoremed_patch_changes.id DESC LIMIT 1) AS why FROM autoremed_patches WHERE deployment = :deployment AND dag_id = :dag_id "
    f"AND task_id = :task_id AND kind = 'task' AND state = '{PatchState.PROMOTED.value}' ORDER BY state_at DESC"
)


def find(
    connection: Connection, deployment: str, attempt: AttemptId, fingerprint: str
) -> PromotedPatch | None:
    """The promoted patch that *attempt* is in the scope of, the one promoted last where there are several, with the
    floor of its task; the floor alone where there is no other."""
    promoted, floor = None, None
    for row in in_force(connection, deployment, attempt.dag_id, attempt.task_id):
        if row.map_index in (attempt.map_index, ANY_MAP_INDEX) and row.fingerprint in (ANY, fingerprint):
            if row.category == FLOOR:
                floor = floor or _checked(row)
            else:
                promoted = promoted or _checked(row)
    return floor if promoted is None else replace(promoted, floor=floor)


def in_force(connection: Connection, deployment: str, dag_id: str, task_id: str) -> Sequence[Row[Any]]:
    """The promoted patches of a task, whatever their scope, latest first."""
    rows = connection.execute(_IN_FORCE, {"deployment": deployment, "dag_id": dag_id, "task_id": task_id})
    # MySQL compares names without regard to trailing blanks.
    return [row for row in rows if (row.dag_id, row.task_id) == (dag_id, task_id)]


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
