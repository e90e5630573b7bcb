"""From event logs to the history, one after the other. May be broken off and done again at any time: a log that has
not changed since is not read again, and an application is one row whatever the number of its logs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_autoremed.errors import EventLogError
from airflow_autoremed.redaction import mask_secrets
from airflow_autoremed.spark.event_log import EventLog, read_event_log
from airflow_autoremed.spark.event_log_files import find_event_logs, is_remote
from airflow_autoremed.types import AttemptId, RunMetrics

if TYPE_CHECKING:
    from airflow_autoremed.history.db.engine import Database


@dataclass(frozen=True)
class Source:
    """A log that can be fetched."""

    name: str
    """Where it is, for people."""
    stamp: str
    """Changes when the log does."""
    size: int
    """Bytes to be read, where that is known beforehand; else 0."""
    fetch: Callable[[], AbstractContextManager[EventLog]]
    """Makes it readable; raises EventLogError where it cannot."""


class Fate(str, Enum):
    """What became of a log."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    """Read before, and the same since."""
    NO_NEWS = "no news"
    """Another log of the same application said as much."""
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Ingested:
    """What became of a log."""

    name: str
    fate: Fate
    run: RunMetrics | None = None
    attempt: AttemptId | None = None
    matched: bool = False
    """Whether the attempt that launched the application is known."""
    problem: str = ""


def sources_in(places: Iterable[str]) -> Iterator[Source | EventLogError]:
    """The logs that local paths and fsspec URLs stand for, or why they stand for none."""
    for found in find_event_logs(list(places)):
        if isinstance(found, EventLogError):
            yield found
            continue
        name = found.name if is_remote(found.name) else str(Path(found.name).expanduser().absolute())
        yield Source(name, found.stamp, found.size, lambda log=found: nullcontext(log))  # type: ignore[misc]


def ingest(
    database: Database,
    deployment: str,
    sources: Iterable[Source | EventLogError],
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[Ingested]:
    """Read each log and record what it says; what became of it, one by one.

    Each log is judged alone: one that cannot be read, or whose figures the store does not take, is told of, and the
    next one follows.

    :param on_bytes: told of progress in the sizes of the sources.
    :raises sqlalchemy.exc.SQLAlchemyError: when the store cannot be reached or written.
    """
    for source in sources:
        if isinstance(source, EventLogError):
            yield Ingested("", Fate.DAMAGED, problem=str(source))
            continue
        try:
            fate = _ingested(database, deployment, source, on_bytes)
        except EventLogError as error:
            fate = Ingested(source.name, Fate.DAMAGED, problem=str(error))
        except Exception as error:
            if _is_the_stores(error):
                raise
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            fate = Ingested(source.name, Fate.DAMAGED, problem=f"{source.name} was left out: {told}")
        yield fate


def _ingested(
    database: Database, deployment: str, source: Source, on_bytes: Callable[[int], None] | None
) -> Ingested:
    from airflow_autoremed.history.queries import run_metrics

    log_key, log_stamp = _digest(source.name), _digest(source.stamp)
    if database.read(lambda c: run_metrics.stamp_of(c, deployment, log_key)) == log_stamp:
        if on_bytes is not None:
            on_bytes(source.size)
        return Ingested(source.name, Fate.UNCHANGED)
    with source.fetch() as log:
        run = measured(log, on_bytes)
    recorded = database.write(
        lambda c: run_metrics.record_run(c, deployment, run, log_key=log_key, log_stamp=log_stamp)
    )
    fate = Fate.RECORDED if recorded.news else Fate.NO_NEWS
    return Ingested(source.name, fate, run, recorded.attempt, recorded.matched)


def _is_the_stores(error: Exception) -> bool:
    """Whether the next log would fare no better, because the store is at fault and not the log."""
    from sqlalchemy import exc

    return isinstance(
        error, (exc.OperationalError, exc.InterfaceError, exc.ProgrammingError, exc.TimeoutError)
    )


def measured(log: EventLog, on_bytes: Callable[[int], None] | None = None) -> RunMetrics:
    """What *log* says, fit to be stored: secrets are masked, and the application has an id.

    This is all that is done for a log, on one machine and on many.

    :raises EventLogError: when nothing of it can be read.
    """
    run = read_event_log(log, on_bytes)
    return replace(
        run,
        # Logs without the event that names the application are the rest of a rolling log.
        app_id=run.app_id or Path(log.name.rstrip("/")).name,
        failure=_masked(run.failure),
        task_failure=_masked(run.task_failure),
        executor_loss=_masked(run.executor_loss),
    )


def _masked(text: str | None) -> str | None:
    return None if text is None else mask_secrets(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
