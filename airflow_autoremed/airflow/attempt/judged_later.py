"""Attempts that are decided about only when the next one begins: their worker was killed before it could decide, or
their platform had not written the log yet.

A lost attempt is known by positive evidence alone: it recorded its start, and nothing after that, in the same sequence
of tries. What is decided is decided by the same pipeline and the same gates as ever, and recorded as the decision
about that attempt; the one that begins keeps its own verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from airflow_autoremed.airflow.attempt import task_log
from airflow_autoremed.airflow.attempt.handover import Handover, carried_settings, resource_settings
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.attempt.running import RunningAttempt
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.airflow.options import settings
from airflow_autoremed.deadline import within
from airflow_autoremed.errors import OverrunError
from airflow_autoremed.types import (
    UNKNOWN,
    Action,
    Advice,
    AttemptId,
    Classification,
    Conf,
    Decision,
    FailedAttempt,
    PastAttempt,
    Reason,
    Source,
)

if TYPE_CHECKING:
    from airflow_autoremed.history.attempt_records import AttemptStart

_MOST_LOG = 256 * 1024 * 1024
"""Bytes of the lost attempt's log that are read at most; at 100 MB/s and more that takes a few seconds."""
_TAIL = 128 * 1024
"""Bytes at the end of a log in which its failure stands, if it failed."""
_FAILED = re.compile(rb"Task failed with exception|Cannot execute: |Error code is: |Final app status: FAILED")
"""What Airflow and its Spark hook write when a task fails, on every version."""
_LATE_S = 10.0
"""How long a platform may take to say what it knows by now."""


def lost(running: RunningAttempt, started: AttemptStart, retries_left: int) -> Decision:
    """The decision about the attempt before *running*, which was lost with its worker; recorded and logged.

    :param started: what it recorded when it started.
    :param retries_left: of the attempt that begins now, which is a retry of it.
    """
    attempt = running.attempt.previous()
    cause, failure_seen = _from_its_log(running, attempt)
    effective = _ran_with(running, started.effective)
    failed = FailedAttempt(
        attempt,
        running.baseline,
        effective,
        retries_left + 1,
        history=running.past,
        failure_seen=failure_seen,
        unseen=running.platform.unseen(running.operator),
    )
    if cause.category == UNKNOWN:
        decision = Decision(Action.LEAVE_ALONE, _nothing_is_left(attempt), cause, conf=effective)
    else:
        decision = _decided(running, failed, cause)
        decision = replace(decision, reason=replace(decision.reason, lost_attempt=attempt.try_number))
    running.past = (*running.past, _past(attempt, effective, decision))
    running.promotes = False  # that it succeeds now shows nothing: nobody saw it fail without the patch
    HistoryClient.current().judged_later(attempt, decision, running, ended=True)
    task_log.decided(failed, decision, running.mode_of(decision.classification.category))
    return decision


def late_log(running: RunningAttempt, left: Handover, retries_left: int) -> Decision | None:
    """A better decision about the attempt before *running*, whose cause nobody knew, from what its platform has
    written since; ``None`` where that says nothing new."""
    if left.category != UNKNOWN or not left.note:
        return None
    evidence = _late_evidence(running, left)
    if not evidence:
        return None
    from airflow_autoremed.failures.matching.log_tap import LogTap

    try:
        cause = within(settings().failure_deadline, lambda: LogTap(running.catalogue).classify(evidence))
    except OverrunError as error:
        warn("reading the log of the last attempt", error)
        return None
    if cause.category == UNKNOWN:
        return None
    attempt = running.attempt.previous()
    effective = _ran_with(running, left.attempts[-1].conf if left.attempts else {})
    failed = FailedAttempt(
        attempt,
        running.baseline,
        effective,
        retries_left + 1,
        history=running.past[:-1],
        unseen=running.platform.unseen(running.operator),
    )
    decision = _decided(running, failed, cause)
    running.past = (*running.past[:-1], _past(attempt, effective, decision))
    HistoryClient.current().judged_later(attempt, decision, running, ended=False)
    task_log.decided(failed, decision, running.mode_of(decision.classification.category))
    return decision


def log_of(attempt: AttemptId) -> Path | None:
    """The log file of an attempt, where it is on this machine."""
    from airflow_autoremed.airflow.compat import logging_option

    folder = logging_option("base_log_folder")
    template = logging_option("log_filename_template")
    if not folder or not template:
        return None
    from jinja2 import Environment

    # The names that Airflow's own template (airflow.utils.log.file_task_handler) knows.
    named = SimpleNamespace(
        dag_id=attempt.dag_id,
        run_id=attempt.run_id,
        task_id=attempt.task_id,
        map_index=attempt.map_index,
        try_number=attempt.try_number,
    )
    relative = (
        Environment(autoescape=False).from_string(template).render(ti=named, try_number=attempt.try_number)
    )
    path = Path(folder) / relative
    return path if path.is_file() else None


def _decided(running: RunningAttempt, failed: FailedAttempt, cause: Classification) -> Decision:
    from airflow_autoremed.airflow.attempt.gate_books import passage
    from airflow_autoremed.remediation import pipeline

    return pipeline.decide(failed, cause, running.limits, passage(running))


def _ran_with(running: RunningAttempt, written_down: Conf) -> dict[str, str]:
    """What an attempt ran with that is known from what was written down about it."""
    from airflow_autoremed.spark.keys import restored

    settings = resource_settings(written_down)
    try:
        return {**running.baseline, **restored(settings, running.baseline)}
    except ValueError:  # the author changed the JVM options since
        kept = {key: value for key, value in settings.items() if not key.endswith("extraJavaOptions")}
        return {**running.baseline, **kept}


def _past(attempt: AttemptId, effective: Conf, decision: Decision) -> PastAttempt:
    return PastAttempt(
        carried_settings(effective),
        decision.classification.category,
        succeeded=False,
        try_number=attempt.try_number,
        remediated=decision.action is Action.REMEDIATE,
    )


def _nothing_is_left(attempt: AttemptId) -> Reason:
    what = (
        f"Attempt {attempt.try_number} ended without a decision: its worker was lost, or it was killed from outside. "
        "No log is left that shows why."
    )
    return Reason(what, Advice.UNCLASSIFIED)


def _from_its_log(running: RunningAttempt, attempt: AttemptId) -> tuple[Classification, bool]:
    """What the log of *attempt* names as the cause, and whether it shows that the attempt failed."""
    from airflow_autoremed.failures.matching.classify import classify_file
    from airflow_autoremed.failures.matching.precedence import unknown

    try:
        path = log_of(attempt)
        if path is None or path.stat().st_size > _MOST_LOG:
            return unknown(), False
        catalogue = running.catalogue()
        return within(
            settings().failure_deadline,
            lambda: (classify_file(catalogue, path, Source.DRIVER_LOG), _shows_failure(path)),
        )
    except Exception as error:  # noqa: BLE001 - a help, not a need
        warn("reading the log of the lost attempt", error)
        return unknown(), False


def _shows_failure(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return _FAILED.search(file.read()) is not None


def _late_evidence(running: RunningAttempt, left: Handover) -> list[tuple[Source, str]]:
    found: list[tuple[Source, str]] = []

    def ask() -> None:
        more: Iterable[tuple[Source, str]] = running.platform.late_evidence(running.operator, left.note)
        found.extend(more)

    try:
        within(_LATE_S, ask)
    except OverrunError:
        pass  # what came before the deadline counts
    except Exception as error:  # noqa: BLE001 - a help, not a need
        warn("asking the platform for the log of the last attempt", error)
    return found[:]
