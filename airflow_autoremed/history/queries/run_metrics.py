"""What event logs said about runs, in the tables. Imports SQLAlchemy: loaded only when a store is used.

Every application is a row of its own and belongs to an attempt; an attempt may have several applications. Where no
attempt is known, one is made up of the application: its Dag is called like the application, its run is the
application's id, its task is :data:`NO_TASK`, and its ``source`` is ``event_log``.

Attempts that are made known afterwards count as recorded when they began: what is old is pruned by its age, and does
not pass for the latest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row

from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.db.engine import Database
from airflow_autoremed.history.db.run_metrics_table import run_key, run_metrics
from airflow_autoremed.history.db.upsert import put
from airflow_autoremed.history.queries.application_to_attempt import EVENT_LOG, attempt_of
from airflow_autoremed.history.queries.attempt_row import identity
from airflow_autoremed.spark.allocation import used
from airflow_autoremed.types import AttemptId, Conf, RecordedAttempt, RunMetrics

NO_TASK = "spark application"
"""No task can be called so: Airflow allows no blanks in the ids of tasks."""
CHUNK = 500
"""Rows that are read at once; also the most parameters of a statement."""

_attempts, _outcomes, _runs = schema.attempts, schema.outcomes, run_metrics
_NUMBERS = tuple(
    each.name
    for each in fields(RunMetrics)
    if each.name not in ("conf", "started_at", "ended_at") and each.name in _runs.c
)
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Recorded:
    """What became of an application that was to be recorded."""

    attempt: AttemptId
    matched: bool
    """Whether it is an attempt that was known before, or that the application's configuration names."""
    news: bool
    """``False``: what is known of the application already is as good, and stays."""


def stamp_of(connection: Connection, deployment: str, log_key: str) -> str | None:
    """The stamp under which the log was read; ``None`` where it was not."""
    query = select(_runs.c.log_stamp).where(_runs.c.log_key == log_key, _runs.c.deployment == deployment)
    found: str | None = connection.execute(query).scalar()
    return found


def record_run(
    connection: Connection, deployment: str, run: RunMetrics, *, log_key: str, log_stamp: str
) -> Recorded:
    """Keep *run*; of an application that is known already the log that says more. May be run twice.

    :param run: of an application that has an id.
    :param log_key: names the log (64 characters at most).
    :param log_stamp: changes when the log does (64 characters at most).
    """
    app_id = encoding.clip(run.app_id or "", encoding.MAX_NAME)
    key = run_key(deployment, app_id, run.attempt_id)
    known = connection.execute(
        select(_runs.c.attempt_key, _runs.c.complete, _runs.c.tasks, _runs.c.log_key).where(
            _runs.c.key == key
        )
    ).first()
    found = attempt_of(connection, deployment, run)
    attempt = found or _made_up(run)
    if (
        known is not None
        and known.log_key != log_key
        and (known.complete, known.tasks) >= (run.complete, run.tasks)
    ):
        return Recorded(attempt, found is not None, news=False)
    attempt_key = _make_known(connection, deployment, attempt, run)
    put(
        connection,
        _runs.name,
        {
            "key": key,
            "deployment": deployment,
            "attempt_key": attempt_key,
            "log_key": log_key,
            "log_stamp": log_stamp,
            "recorded_at": encoding.to_text(datetime.now(timezone.utc)),
            "started_at": _text_of(run.started_at),
            "ended_at": _text_of(run.ended_at),
            **{name: _column(name, getattr(run, name)) for name in _NUMBERS},
        },
    )
    if known is not None and known.attempt_key != attempt_key:
        _forget_made_up(connection, [known.attempt_key])
    return Recorded(attempt, found is not None, news=True)


def match_again(database: Database, deployment: str) -> int:
    """Look again for the attempts of applications that had none; how many were found.

    To be done when attempts have become known since. May be broken off and done again.
    """
    found = 0
    last = ""
    while True:
        query = (
            select(_runs, _attempts.c.effective)
            .select_from(_runs.join(_attempts, _attempts.c.key == _runs.c.attempt_key))
            .where(
                _runs.c.deployment == deployment,
                _attempts.c.source == EVENT_LOG,
                _attempts.c.task_id == NO_TASK,
                _runs.c.key > last,
            )
            .order_by(_runs.c.key)
            .limit(CHUNK)
        )
        rows = database.read(lambda connection, q=query: list(connection.execute(q)))  # type: ignore[misc]
        if not rows:
            return found
        last = rows[-1].key
        found += database.write(lambda connection, some=rows: _match_some(connection, deployment, some))  # type: ignore[misc]


def _match_some(connection: Connection, deployment: str, rows: Sequence[Row[Any]]) -> int:
    found = 0
    for row in rows:
        run = run_of(row, encoding.to_conf(row.effective))
        attempt = attempt_of(connection, deployment, run)
        if attempt is None:
            continue
        key = _make_known(connection, deployment, attempt, run)
        connection.execute(_runs.update().where(_runs.c.key == row.key).values(attempt_key=key))
        _forget_made_up(connection, [row.attempt_key])
        found += 1
    return found


def runs_of(connection: Connection, attempt_keys: Iterable[str]) -> dict[str, tuple[RunMetrics, ...]]:
    """The applications of attempts, by their keys, oldest first; those without any are left out.

    The configuration of each is empty: it is the attempt's.
    """
    keys = list(attempt_keys)
    found: dict[str, list[RunMetrics]] = {}
    for start in range(0, len(keys), CHUNK):
        query = (
            select(_runs)
            .where(_runs.c.attempt_key.in_(keys[start : start + CHUNK]))
            .order_by(_runs.c.started_at, _runs.c.key)
        )
        for row in connection.execute(query):
            found.setdefault(row.attempt_key, []).append(run_of(row))
    return {key: tuple(runs) for key, runs in found.items()}


def runs_of_attempt(connection: Connection, deployment: str, attempt: AttemptId) -> tuple[RunMetrics, ...]:
    """The applications of one attempt, oldest first."""
    key = row_keys.attempt_key(deployment, attempt)
    return runs_of(connection, [key]).get(key, ())


def with_runs(record: RecordedAttempt, runs: Sequence[RunMetrics]) -> RecordedAttempt:
    """*record* with what the event logs of its applications say."""
    if not runs:
        return record
    return replace(
        record,
        user=record.user or next((run.user for run in runs if run.user), ""),
        peaks={**used(*runs), **record.peaks},
        input_bytes=float(sum(run.input_bytes for run in runs)),
        signs={
            "spill_bytes": float(sum(run.memory_spilled + run.disk_spilled for run in runs)),
            "shuffle_bytes": float(sum(run.shuffle_read_bytes for run in runs)),
            "stages": float(sum(run.stages for run in runs)),
            "executors_lost": float(sum(run.executors_lost for run in runs)),
            **{
                name: max(known)
                for name in ("gc_share", "skew")
                if (known := [value for run in runs if (value := getattr(run, name)) is not None])
            },
        },
    )


def _made_up(run: RunMetrics) -> AttemptId:
    name = encoding.clip(run.app_name or run.app_id or "", encoding.MAX_NAME)
    attempt = run.attempt_id or ""
    number = int(attempt) if attempt.isdecimal() and len(attempt) < 9 else 1
    return AttemptId(name, encoding.clip(run.app_id or "", encoding.MAX_NAME), NO_TASK, -1, number)


def _make_known(connection: Connection, deployment: str, attempt: AttemptId, run: RunMetrics) -> str:
    """Make sure that there is such an attempt, with the configuration that it ran with; its key."""
    key = row_keys.attempt_key(deployment, attempt)
    known = connection.execute(
        select(_attempts.c.effective, _attempts.c.source).where(_attempts.c.key == key)
    ).first()
    conf, began = encoding.conf_to_json(run.conf), _text_of(run.started_at)
    if known is None:
        connection.execute(
            _attempts.insert().values(
                **identity(deployment, attempt)
                | {"started_at": began, "effective": conf, "source": EVENT_LOG}
                | ({"recorded_at": began} if began else {})
            )
        )
    elif known.source == EVENT_LOG or (known.source is not None and known.effective in (None, "{}")):
        connection.execute(_attempts.update().where(_attempts.c.key == key).values(effective=conf))
    return key


def _forget_made_up(connection: Connection, keys: Sequence[str]) -> None:
    """Delete attempts that were made up of an application which belongs to another one."""
    still = select(_runs.c.attempt_key).where(_runs.c.attempt_key == _attempts.c.key).exists()
    connection.execute(
        _attempts.delete().where(
            _attempts.c.key.in_(list(keys)),
            _attempts.c.source == EVENT_LOG,
            _attempts.c.task_id == NO_TASK,
            ~still,
        )
    )


def run_of(row: Any, conf: Conf | None = None) -> RunMetrics:
    """What a row of the table says. The configuration is the attempt's, where it is known."""
    found = {name: getattr(row, name) for name in _NUMBERS}
    found |= {name: bool(found[name]) for name in ("ended", "complete")}
    return replace(
        RunMetrics(**found),
        conf=conf or {},
        started_at=_seconds(row.started_at),
        ended_at=_seconds(row.ended_at),
    )


def _column(name: str, value: Any) -> Any:
    """*value* as the column of that *name* takes it."""
    if isinstance(value, str):
        return encoding.clip(value, getattr(_runs.c[name].type, "length", None) or encoding.MAX_REASON)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(value, _MOST)
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    return value


def _text_of(moment: float | None) -> str | None:
    """A moment as it stands in the tables; ``None`` also for one that no calendar has."""
    if moment is None:
        return None
    try:
        return encoding.to_text(datetime.fromtimestamp(moment, timezone.utc))
    except (OverflowError, ValueError, OSError):
        return None


def _seconds(text: str | None) -> float | None:
    moment = encoding.to_moment(text)
    return None if moment is None else moment.timestamp()
