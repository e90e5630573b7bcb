"""Attempts as the predictor learns from them. Imports SQLAlchemy: loaded only when a store is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql import Select

from airflow_autoremed import database_urls
from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import encoding, row_keys, schema
from airflow_autoremed.history.db.engine import make_engine
from airflow_autoremed.history.db.readable import readable
from airflow_autoremed.history.queries import run_metrics
from airflow_autoremed.types import AttemptId, RecordedAttempt

_attempts, _decisions, _outcomes = schema.attempts, schema.decisions, schema.outcomes

_COLUMNS = (
    _attempts.c.key,
    _attempts.c.dag_id,
    _attempts.c.run_id,
    _attempts.c.task_id,
    _attempts.c.map_index,
    _attempts.c.try_number,
    _attempts.c.operator,
    _attempts.c.baseline,
    _attempts.c.effective,
    _attempts.c.fingerprint,
    _attempts.c.started_at,
    _attempts.c.recorded_at,
    _decisions.c.category,
    _decisions.c.template_id,
    _outcomes.c.succeeded,
    _outcomes.c.duration_s,
)
_PAGE = 2_000
"""Rows that are fetched at once."""
_PATIENCE_S = 30.0
_LONGEST_QUERY_S = 3600.0


def of_task(
    connection: Connection, deployment: str, attempt: AttemptId, most: int
) -> tuple[RecordedAttempt, ...]:
    """The latest *most* attempts of the task of *attempt* whose end is known, oldest first, itself left out."""
    query = (
        _query(deployment)
        .where(
            _attempts.c.dag_id == attempt.dag_id,
            _attempts.c.task_id == attempt.task_id,
            _attempts.c.key != row_keys.attempt_key(deployment, attempt),
        )
        .order_by(_attempts.c.recorded_at.desc())
        .limit(most)
    )
    return _with_runs(connection, connection.execute(query).all())


def of_instance(
    connection: Connection, deployment: str, attempt: AttemptId, most: int
) -> tuple[RecordedAttempt, ...]:
    """The latest *most* attempts of the same task and map index whose end is known, oldest first, itself among them."""
    query = (
        _query(deployment)
        .where(
            _attempts.c.dag_id == attempt.dag_id,
            _attempts.c.task_id == attempt.task_id,
            _attempts.c.map_index == attempt.map_index,
        )
        .order_by(_attempts.c.recorded_at.desc())
        .limit(most)
    )
    return _with_runs(connection, connection.execute(query).all())


def _with_runs(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[RecordedAttempt, ...]:
    """*rows*, latest first, as attempts, oldest first, with what event logs say about them."""
    runs = run_metrics.runs_of(connection, [row.key for row in rows])
    return tuple(
        readable(reversed(rows), lambda row: run_metrics.with_runs(record(row), runs.get(row.key, ())))
    )


def everything(url: str, deployment: str, since: datetime | None = None) -> Iterator[RecordedAttempt]:
    """All attempts whose end is known, task by task, for training.

    :param url: of the store.
    :param since: only those recorded from then on.
    :raises StoreError: when the store cannot be used.
    """
    from sqlalchemy.exc import SQLAlchemyError

    query = _query(deployment).order_by(
        _attempts.c.dag_id, _attempts.c.task_id, _attempts.c.recorded_at, _attempts.c.key
    )
    if since is not None:
        query = query.where(_attempts.c.recorded_at >= encoding.to_text(since))
    engine = make_engine(url, _PATIENCE_S, statements_s=_LONGEST_QUERY_S)
    try:
        # Two connections: some servers cannot be asked anything else on one whose answer is still being read.
        with engine.connect() as reading, engine.connect() as asking:
            rows = reading.execution_options(stream_results=True, yield_per=_PAGE).execute(query)
            for part in rows.partitions(_PAGE):
                runs = run_metrics.runs_of(asking, [row.key for row in part])
                yield from readable(
                    part,
                    lambda row, runs=runs: run_metrics.with_runs(record(row), runs.get(row.key, ())),  # type: ignore[misc]
                )
    except SQLAlchemyError as error:
        told = getattr(error, "orig", None) or error
        raise StoreError(f"the store {database_urls.mask(url, url)} cannot be read: {told}") from None
    finally:
        engine.dispose()


def _query(deployment: str) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .select_from(
            _attempts.join(_outcomes, _outcomes.c.key == _attempts.c.key).outerjoin(
                _decisions, _decisions.c.key == _attempts.c.key
            )
        )
        .where(_attempts.c.deployment == deployment, _attempts.c.effective.is_not(None))
    )


def record(row: Row[Any]) -> RecordedAttempt:
    """One row of the query as the predictor sees it."""
    began = encoding.to_moment(row.started_at) or encoding.to_moment(row.recorded_at)
    failed = not row.succeeded
    return RecordedAttempt(
        AttemptId(
            row.dag_id,
            row.run_id,
            row.task_id,
            encoding.to_whole(row.map_index),
            encoding.to_whole(row.try_number),
        ),
        began.timestamp() if began is not None else 0.0,
        encoding.to_conf(row.baseline),
        encoding.to_conf(row.effective),
        bool(row.succeeded),
        encoding.to_number(row.duration_s),
        category=(row.category or "unknown") if failed else None,
        template_id=row.template_id if failed else None,
        operator=row.operator or "",
        fingerprint=row.fingerprint or "",
    )
