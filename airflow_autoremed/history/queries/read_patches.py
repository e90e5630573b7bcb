"""Patches and their lives, for people. Imports SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.db.readable import readable
from airflow_autoremed.history.stored import PatchChange, StoredPatch
from airflow_autoremed.types import PatchState


def latest(connection: Connection, deployment: str, limit: int, *, in_force_only: bool) -> list[StoredPatch]:
    """Patches, those changed last first."""
    query = select(schema.patches).where(schema.patches.c.deployment == deployment)
    if in_force_only:
        query = query.where(schema.patches.c.state == PatchState.PROMOTED.value)
    rows = connection.execute(query.order_by(schema.patches.c.state_at.desc()).limit(limit)).all()
    return list(readable(rows, lambda row: _patch(row, ())))


def find(connection: Connection, deployment: str, key: str) -> list[StoredPatch]:
    """The patches whose key begins with *key*, each with its life."""
    query = select(schema.patches).where(
        schema.patches.c.deployment == deployment, schema.patches.c.key.startswith(key, autoescape=True)
    )
    rows = connection.execute(query.limit(10)).all()
    return list(readable(rows, lambda row: _patch(row, _life(connection, row.key))))


def of_task(
    connection: Connection, deployment: str, dag_id: str, task_id: str, limit: int
) -> list[StoredPatch]:
    """The patches of one task, those changed last first, each with its life."""
    query = (
        select(schema.patches)
        .where(
            schema.patches.c.deployment == deployment,
            schema.patches.c.dag_id == dag_id,
            schema.patches.c.task_id == task_id,
        )
        .order_by(schema.patches.c.state_at.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    return list(readable(rows, lambda row: _patch(row, _life(connection, row.key))))


def _life(connection: Connection, key: str) -> tuple[PatchChange, ...]:
    changes = connection.execute(
        select(schema.patch_changes)
        .where(schema.patch_changes.c.patch_key == key)
        .order_by(schema.patch_changes.c.id)
    )
    return tuple(
        PatchChange(encoding.to_moment(each.at), each.who, each.from_state, each.to_state, each.why)
        for each in changes
    )


def _patch(row: Row[Any], changes: tuple[PatchChange, ...]) -> StoredPatch:
    return StoredPatch(
        row.key,
        encoding.to_patch(row),
        row.category,
        encoding.word(PatchState, row.state),
        encoding.to_moment(row.state_at),
        encoding.to_moment(row.created_at),
        encoding.to_moment(row.last_used_at),
        changes,
    )
