"""Tries that ended without a verdict: their worker was killed before it could decide.

They are recognised when the next try begins, and decided then, from what is still known: the verdict on the tries
before, and the log that the lost try wrote, where it is on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.attempt import task_log
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.types import (
    UNKNOWN,
    Action,
    Advice,
    AttemptId,
    Classification,
    Decision,
    FailedAttempt,
    Reason,
    Source,
)

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.running import RunningAttempt

_MOST_LOG = 256 * 1024 * 1024
"""Bytes of the lost try's log that are read at most; at 100 MB/s and more that takes a few seconds."""


def lost_try(running: RunningAttempt, left: Handover | None) -> AttemptId | None:
    """The try before *running* when it ended without a verdict; ``None`` when it did not."""
    before = running.attempt.previous()
    if before.try_number < 1 or (left is not None and left.from_try >= before.try_number):
        return None
    return before if HistoryClient.current().succeeded(before) is None else None


def decide(running: RunningAttempt, lost: AttemptId, left: Handover | None, retries_left: int) -> Decision:
    """The verdict on *lost*, recorded and logged.

    :param left: what the last try with a verdict left.
    :param retries_left: of the try that begins now.
    """
    from airflow_autoremed.airflow.attempt.gate_books import passage
    from airflow_autoremed.remediation import pipeline

    cause = _cause(running, lost)
    failed = FailedAttempt(
        lost,
        running.baseline,
        _conf_of(running, left),
        retries_left + 1,  # the try that begins now is a retry of it
        history=running.past,
    )
    if cause.category == UNKNOWN:
        decision = Decision(Action.LEAVE_ALONE, _nothing_is_left(lost), cause, conf=failed.effective)
    else:
        decision = pipeline.decide(failed, cause, running.limits, passage(running))
        decision = replace(decision, reason=replace(decision.reason, lost_attempt=lost.try_number))
    HistoryClient.current().lost(lost, decision, running, max_tries=None)
    task_log.decided(lost, decision, running.mode)
    return decision


def _nothing_is_left(lost: AttemptId) -> Reason:
    what = (
        f"Attempt {lost.try_number} ended without a decision: its worker was lost, or it was killed from outside. "
        "No log or exception is left that shows why."
    )
    return Reason(what, Advice.UNCLASSIFIED)


def log_of(attempt: AttemptId) -> Path | None:
    """The log file of a try, where it is on this machine."""
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


def _cause(running: RunningAttempt, lost: AttemptId) -> Classification:
    from airflow_autoremed.failures.matching.classify import classify_file
    from airflow_autoremed.failures.matching.precedence import unknown

    try:
        path = log_of(lost)
        if path is None or path.stat().st_size > _MOST_LOG:
            return unknown()
        return classify_file(running.catalogue(), path, Source.DRIVER_LOG)
    except Exception as error:  # noqa: BLE001 - a help, not a need
        warn("reading the log of the lost try", error)
        return unknown()


def _conf_of(running: RunningAttempt, left: Handover | None) -> Mapping[str, str]:
    """What the lost try ran with, as far as can be told: the patch that was meant for it, if it fits."""
    if left is None or left.patch is None:
        return running.baseline
    from airflow_autoremed import patching

    try:
        return patching.apply(
            patching.from_json(left.patch),
            running.baseline,
            attempt=running.attempt,
            limits=running.limits,
            again=True,
        )
    except PatchRejectedError:
        return running.baseline


def stop_instead(operator: Any, reason: str) -> None:
    """Let the try fail for good in place of running: what its lost predecessor died of cannot be cured."""
    from airflow_autoremed.airflow.compat import AirflowFailException

    def execute(*_args: Any, **_kwargs: Any) -> None:
        raise AirflowFailException(reason)

    operator.execute = execute
