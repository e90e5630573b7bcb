"""Which attempt an application belongs to. Imports SQLAlchemy.

An application does not know the task that launched it, unless its configuration says so. What is asked, in this order:

1. settings that name the attempt (``spark.airflow.dag_id``, ``run_id``, ``task_id``, ``map_index``, ``try_number``,
   or the same under ``spark.autoremed.``);
2. labels of the driver's pod, as the Kubernetes operators of Airflow write them;
3. OpenLineage's parent job, as Airflow's Spark operators inject it;
4. the application's name: the same as in the attempt's ``spark.app.name``, or made of its Dag and task.

From 2 on, the attempt must have been running when the application began. Where more than one attempt is possible,
none is taken: a wrong one would teach what is not so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import and_, func, literal, or_, select
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql import ColumnElement

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.types import AttemptId, RunMetrics

_attempts, _outcomes = schema.attempts, schema.outcomes

_LONGEST = timedelta(days=2)
"""How long before the application its attempt may have begun."""
_SKEW = timedelta(seconds=60)
"""How much the clocks of Airflow's workers and Spark's drivers may differ."""
_SEPARATORS = (".", "-", "_", "__", "/", ":", " ")
_MOST = 200
"""Attempts that are looked at. More are too many to be told apart."""


def attempt_of(connection: Connection, deployment: str, run: RunMetrics) -> AttemptId | None:
    """The attempt of *deployment* that launched the application; ``None`` where it is not known for certain."""
    named = _named(run.conf)
    if named is not None:
        return named
    if run.started_at is None:
        return None
    try:
        began = datetime.fromtimestamp(run.started_at, timezone.utc)
        earliest, latest = encoding.to_text(began - _LONGEST), encoding.to_text(began + _SKEW)
    except (OverflowError, ValueError, OSError):
        return None
    running = and_(
        _attempts.c.deployment == deployment,
        _attempts.c.started_at >= earliest,
        _attempts.c.started_at <= latest,
        or_(_attempts.c.source.is_(None), _attempts.c.source != EVENT_LOG),
    )
    for condition in _conditions(run):
        query = (
            select(
                _attempts.c.dag_id,
                _attempts.c.run_id,
                _attempts.c.task_id,
                _attempts.c.map_index,
                _attempts.c.try_number,
                _attempts.c.instance_key,
                _attempts.c.started_at,
                func.coalesce(_outcomes.c.ended_at, _attempts.c.interrupted_at).label("ended_at"),
            )
            .select_from(_attempts.outerjoin(_outcomes, _outcomes.c.key == _attempts.c.key))
            .where(running, condition)
            .limit(_MOST)
        )
        fitting = _fitting(list(connection.execute(query)), began)
        if fitting:
            return _only(fitting)
    return None


EVENT_LOG = "event_log"
"""The source of attempts that only an event log tells of."""


def _named(conf: Mapping[str, str]) -> AttemptId | None:
    for prefix in ("spark.autoremed.", "spark.airflow."):
        try:
            named = AttemptId(
                conf[prefix + "dag_id"],
                conf[prefix + "run_id"],
                conf[prefix + "task_id"],
                int(conf.get(prefix + "map_index", "-1")),
                int(conf[prefix + "try_number"]),
            )
        except (KeyError, ValueError):
            continue
        if _may_exist(named):
            return named
    return None


def _may_exist(named: AttemptId) -> bool:
    """Whether Airflow could have such an attempt: a log may claim anything."""
    names = (named.dag_id, named.run_id, named.task_id)
    return (
        all(name and encoding.clip(name, encoding.MAX_NAME) == name for name in names)
        and -1 <= named.map_index < 2**31
        and 0 <= named.try_number < 2**31
    )


def _conditions(run: RunMetrics) -> list[ColumnElement[bool]]:
    """What the attempt must meet, the most certain first."""
    conditions: list[ColumnElement[bool]] = []
    label = "spark.kubernetes.driver.label."
    dag_id, task_id = run.conf.get(label + "dag_id"), run.conf.get(label + "task_id")
    if dag_id and task_id:
        met = and_(_attempts.c.dag_id == dag_id, _attempts.c.task_id == task_id)
        for name, column in (("try_number", _attempts.c.try_number), ("map_index", _attempts.c.map_index)):
            text = run.conf.get(label + name, "")
            if text.isdecimal() and len(text) < 9:
                met = and_(met, column == int(text))
        conditions.append(met)
    parent = run.conf.get("spark.openlineage.parentJobName")
    if parent:
        conditions.append(_joined(".") == parent)
    if run.app_name:
        written = json.dumps({"spark.app.name": run.app_name}, separators=(",", ":"))[1:-1]
        conditions.append(_attempts.c.effective.contains(written, autoescape=True))
        conditions.append(or_(*(_joined(separator) == run.app_name for separator in _SEPARATORS)))
        conditions.append(_attempts.c.task_id == run.app_name)
    return conditions


def _joined(separator: str) -> ColumnElement[str]:
    joined: ColumnElement[str] = _attempts.c.dag_id + literal(separator) + _attempts.c.task_id
    return joined


def _fitting(rows: Sequence[Row[Any]], began: datetime) -> list[Row[Any]]:
    """The attempts that were running at that moment: by the clock or, where none was, with clocks that differ."""
    for skew in (timedelta(0), _SKEW):
        found = [row for row in rows if _was_running(row, began, skew)]
        if found:
            return found
    return []


def _was_running(row: Row[Any], moment: datetime, skew: timedelta) -> bool:
    try:
        started, ended = encoding.to_moment(row.started_at), encoding.to_moment(row.ended_at)
    except StoreError:  # of a row that somebody else wrote
        return False
    if started is None or started - skew > moment:
        return False
    return ended is None or moment <= ended + skew


def _only(rows: Sequence[Row[Any]]) -> AttemptId | None:
    """Of tries of one task instance the last one; of different ones none."""
    if len(rows) >= _MOST or len({row.instance_key for row in rows}) > 1:
        return None
    row = max(rows, key=lambda each: (each.started_at, each.try_number))
    return AttemptId(row.dag_id, row.run_id, row.task_id, row.map_index, row.try_number)
