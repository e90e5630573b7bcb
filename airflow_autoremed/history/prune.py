"""What has to be done to a history that grows for months. Imports SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.db.engine import Database
from airflow_autoremed.history.db.run_metrics_table import run_metrics
from airflow_autoremed.types import PatchState

_MOST_PARAMETERS = 500
"""Keys in one statement: SQLite before 3.32 takes 999 parameters."""

_attempts, _patches, _grants = schema.attempts, schema.patches, schema.grants

_HANGING = (
    ("decisions", schema.decisions.c.key),
    ("outcomes", schema.outcomes.c.key),
    ("patches", _patches.c.key),
    ("changes", schema.patch_changes.c.patch_key),
    ("grants", _grants.c.key),
    ("runs", run_metrics.c.attempt_key),
)
"""What hangs on an attempt: its name in :class:`PruneCounts`, and the column with the attempt's key."""


@dataclass(frozen=True)
class PruneCounts:
    """Rows that were deleted (or would be), and attempts that were old enough and stay."""

    attempts: int = 0
    decisions: int = 0
    outcomes: int = 0
    patches: int = 0
    changes: int = 0
    """Entries in the lives of these patches."""
    grants: int = 0
    runs: int = 0
    """What event logs said."""
    kept: int = 0
    """Attempts, because the patch that was made of them is in force, or because memory is still granted to them."""

    def __add__(self, other: PruneCounts) -> PruneCounts:
        return PruneCounts(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


def prune(
    database: Database,
    deployment: str,
    before: datetime,
    *,
    batch: int = 1000,
    on_batch: Callable[[PruneCounts], None] | None = None,
) -> PruneCounts:
    """Delete the attempts of *deployment* recorded before a time, with all that hangs on them.

    An attempt whose patch is promoted stays, with the decision that says why: coming runs begin with that patch.
    What was deleted stays deleted when the work is broken off; it may go on at any time, and beside workers.

    :param batch: attempts deleted in one transaction.
    :param on_batch: told the counts so far, after each transaction.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch!r}; write a number of at least 1")
    total = PruneCounts(kept=database.read(lambda connection: _kept(connection, deployment, before)))
    while True:
        done = database.write(lambda connection: _one_batch(connection, deployment, before, batch))
        total += done
        if on_batch is not None:
            on_batch(total)
        if done.attempts < batch:
            return total


def would_prune(database: Database, deployment: str, before: datetime) -> PruneCounts:
    """What :func:`prune` would delete now."""
    keys = _old(deployment, before)

    def work(connection: Connection) -> PruneCounts:
        hanging = {
            name: _count(connection, select(func.count()).where(column.in_(keys)))
            for name, column in _HANGING
        }
        attempts = _count(connection, select(func.count()).where(_attempts.c.key.in_(keys)))
        return PruneCounts(attempts=attempts, kept=_kept(connection, deployment, before), **hanging)

    return database.read(work)


def _one_batch(connection: Connection, deployment: str, before: datetime, batch: int) -> PruneCounts:
    query = _old(deployment, before).order_by(_attempts.c.recorded_at).limit(batch)
    keys = [row.key for row in connection.execute(query)]
    counts = dict.fromkeys(("attempts", *(name for name, _ in _HANGING)), 0)
    # In the order in which workers write, so that neither waits for the other while being waited for.
    for name, column in (("attempts", _attempts.c.key), *_HANGING):
        for some in _slices(keys):
            counts[name] += connection.execute(column.table.delete().where(column.in_(some))).rowcount
    return PruneCounts(**counts)


def _old(deployment: str, before: datetime) -> Select[Any]:
    """The keys of the attempts that may go."""
    return select(_attempts.c.key).where(*_old_enough(deployment, before), ~_in_force())


def _kept(connection: Connection, deployment: str, before: datetime) -> int:
    query = select(func.count()).select_from(_attempts).where(*_old_enough(deployment, before), _in_force())
    return _count(connection, query)


def _old_enough(deployment: str, before: datetime) -> tuple[ColumnElement[bool], ...]:
    return (_attempts.c.deployment == deployment, _attempts.c.recorded_at < encoding.to_text(before))


def _in_force() -> ColumnElement[bool]:
    promoted = select(_patches.c.key).where(
        _patches.c.key == _attempts.c.key, _patches.c.state == PatchState.PROMOTED.value
    )
    holding = select(_grants.c.key).where(
        _grants.c.key == _attempts.c.key, _grants.c.held_until > encoding.to_text(datetime.now(timezone.utc))
    )
    return or_(promoted.exists(), holding.exists())


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar() or 0)


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _MOST_PARAMETERS):
        yield keys[start : start + _MOST_PARAMETERS]
