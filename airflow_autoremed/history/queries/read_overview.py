"""What was recorded since a moment, counted in the database. Imports SQLAlchemy.

Grouped by task, so that whoever shows it can leave out the Dags that a reader may not see.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import Label

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.stored import DayCount, FailureGroup, Overview, PatchedGroup
from airflow_autoremed.types import UNKNOWN, Action, Mode

_attempts, _decisions, _outcomes = schema.attempts, schema.decisions, schema.outcomes

_MOST_GROUPS = 5_000
"""Of one kind. A fleet that fails in more ways at once has other worries than a complete page."""


def since(connection: Connection, deployment: str, moment: datetime) -> Overview:
    """Decisions, patched attempts, and decisions by day, of what was recorded at *moment* or later."""
    recorded = and_(_attempts.c.deployment == deployment, _attempts.c.recorded_at >= encoding.to_text(moment))
    return Overview(
        _failures(connection, recorded), _patched(connection, recorded), _days(connection, recorded)
    )


def _failures(connection: Connection, recorded: Any) -> tuple[FailureGroup, ...]:
    skipped = _decisions.c.max_tries + 1 - _attempts.c.try_number
    cost = func.coalesce(_outcomes.c.gib_seconds, 0.0)
    stopped = and_(_decisions.c.action == Action.STOP.value, _decisions.c.mode == Mode.ACT.value, skipped > 0)
    groups = (
        _attempts.c.dag_id,
        _attempts.c.task_id,
        _decisions.c.category,
        _decisions.c.rule,
        _decisions.c.action,
        _decisions.c.mode,
        case((skipped <= 0, 1), else_=0).label("exhausted"),
        _decisions.c.template_id,
    )
    query = (
        select(
            *groups,
            func.max(case((_decisions.c.category == UNKNOWN, _decisions.c.template))).label("template"),
            func.count().label("failures"),
            func.max(_decisions.c.decided_at).label("last_at"),
            func.sum(cost).label("spent"),
            func.sum(case((stopped, skipped * cost), else_=0.0)).label("skipped"),
        )
        .select_from(
            _attempts.join(_decisions, _decisions.c.key == _attempts.c.key).outerjoin(
                _outcomes, _outcomes.c.key == _attempts.c.key
            )
        )
        .where(recorded)
        .group_by(*_names(groups))
        .order_by(func.max(_decisions.c.decided_at).desc())
        .limit(_MOST_GROUPS)
    )
    return tuple(
        FailureGroup(
            row.dag_id,
            row.task_id,
            row.category,
            row.rule,
            row.action,
            row.mode,
            bool(row.exhausted),
            row.template_id,
            row.template,
            int(row.failures),
            encoding.to_moment(row.last_at),
            float(row.spent or 0.0),
            float(row.skipped or 0.0),
        )
        for row in connection.execute(query)
    )


def _patched(connection: Connection, recorded: Any) -> tuple[PatchedGroup, ...]:
    groups = (
        _attempts.c.dag_id,
        _attempts.c.task_id,
        case((_attempts.c.try_number == 1, 1), else_=0).label("first_try"),
        _outcomes.c.succeeded,
    )
    query = (
        select(
            *groups,
            func.count().label("attempts"),
            func.sum(func.coalesce(_outcomes.c.gib_seconds, 0.0)).label("spent"),
        )
        .select_from(_attempts.join(_outcomes, _outcomes.c.key == _attempts.c.key))
        .where(recorded, _attempts.c.patched.is_(True))
        .group_by(*_names(groups))
        .limit(_MOST_GROUPS)
    )
    return tuple(
        PatchedGroup(
            row.dag_id,
            row.task_id,
            bool(row.first_try),
            bool(row.succeeded),
            int(row.attempts),
            float(row.spent or 0.0),
        )
        for row in connection.execute(query)
    )


def _days(connection: Connection, recorded: Any) -> tuple[DayCount, ...]:
    day = func.substr(_decisions.c.decided_at, 1, 10)  # the times are ISO 8601 text in UTC
    groups = (day.label("day"), _attempts.c.dag_id, _decisions.c.action, _decisions.c.mode)
    query = (
        select(*groups, func.count().label("failures"))
        .select_from(_attempts.join(_decisions, _decisions.c.key == _attempts.c.key))
        .where(recorded)
        .group_by(*_names(groups))
    )
    return tuple(
        DayCount(str(row.day), row.dag_id, row.action, row.mode, int(row.failures))
        for row in connection.execute(query)
    )


def _names(groups: tuple[Any, ...]) -> list[Any]:
    """Computed columns by their labels: with parameters in them, PostgreSQL takes an expression that is written
    twice for two."""
    return [each.name if isinstance(each, Label) else each for each in groups]
