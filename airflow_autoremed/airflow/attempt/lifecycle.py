"""The moments of an attempt at which we act: before it runs, when it is deferred, when it failed, when it succeeded.

Every way in ends here (:mod:`airflow_autoremed.airflow.attempt.wrapped_execute` calls these functions around the
operator's ``execute``, the retry policy and the listener what is left), so it does not matter which way a task uses,
or whether it uses several: what was done for an attempt is done once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from airflow_autoremed.airflow.attempt import (
    beginning,
    run_note,
    task_log,
)
from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.attempt.running import (
    RunningAttempt,
    attempt_id,
    bundle_root,
    load_catalogue_of,
    retries_left,
)
from airflow_autoremed.airflow.guard import never_worse, warn
from airflow_autoremed.airflow.options import Options, settings
from airflow_autoremed.deadline import within
from airflow_autoremed.errors import OverrunError
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Action, AttemptId, Decision, FailedAttempt, HeldBack, Mode, PastAttempt

log = logging.getLogger("airflow_autoremed")


# One worker process runs one try at a time; `airflow dags test` runs one after the other in the same process.
_running: dict[AttemptId, RunningAttempt] = {}


@never_worse("preparing the attempt")
def before_execute(context: Mapping[str, Any], options: Options, *, resumes: bool = False) -> str | None:
    """Apply the patch that the last attempt left, and tap the log of this one.

    :param resumes: after a deferral: the application was submitted before, by another object.
    :return: why the attempt must not run at all; ``None``: it runs.
    """
    ti = context["ti"]
    # Not context["task"], which Airflow 3.0 leaves unrendered (docs/facts-airflow.md, trap C).
    operator = ti.task
    platform = find_platform(operator)
    mode = options.effective_mode()
    if platform is None or mode is Mode.OFF:
        return None
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.spark.fingerprint import fingerprint

    baseline, root = platform.read_conf(operator), bundle_root(ti)
    running = RunningAttempt(
        attempt_id(ti),
        operator,
        platform,
        options,
        mode,
        baseline,
        baseline,
        LogTap(partial(load_catalogue_of, operator, root)),
        fingerprint=fingerprint(baseline, platform.job(operator)),
        bundle_root=root,
        max_tries=getattr(ti, "max_tries", None),
    )
    began = getattr(ti, "start_date", None)
    if began is not None:  # of the whole attempt, also where it resumes after a deferral
        running.started_at = began
    for earlier in _running.values():
        earlier.stop_watching()
    _running.clear()
    _running[running.attempt] = running
    note = _noted(context, running) if resumes else None
    if note is not None:
        beginning.go_on(running, context, note)
    else:
        running.doomed = beginning.begin(running, context)
    task_log.override(running)
    if running.mode_of() is Mode.OFF:
        _running.clear()
        return None
    if running.doomed is None:
        _attach(running)
    return running.doomed


def _attach(running: RunningAttempt) -> None:
    """Listen to the log of the coming run, and watch over it."""
    platform, operator = running.platform, running.operator
    write: Callable[[str], None] = running.tap.write
    timeout_s = running.options.effective_stall_timeout()
    if timeout_s is not None:
        from airflow_autoremed.airflow.attempt.stall_watch import watched

        running.watch, write = watched(
            platform,
            operator,
            write,
            timeout_s,
            act=running.mode_of() is Mode.ACT,
            conf=running.effective,
            largest_container=running.limits.max_container_memory,
        )
    try:
        platform.tap(operator, write)
        if running.watch is not None:
            running.watch.start()
    except Exception as error:  # noqa: BLE001 - without a tap the exception text is still evidence
        warn("attaching to the log", error)


def is_executing(operator: Any) -> bool:
    """Whether *operator* is between :func:`before_execute` and its end."""
    return any(
        running.operator is operator and not running.over and running.doomed is None
        for running in _running.values()
    )


def killed(operator: Any) -> None:
    """Airflow kills the run of *operator*: the process is terminated, or the task was marked or cleared.

    A run that we ended for standing still is no such thing, and neither is one whose end we have seen.
    """
    for running in _running.values():
        stalled = running.watch is not None and running.watch.stall is not None
        if running.operator is operator and not running.over and not stalled:
            running.ended_from_outside = True


@never_worse("noting the deferred run")
def deferred(context: Mapping[str, Any]) -> None:
    """The operator waits in the triggerer. What resumes it is another process: leave it a note."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is not None:
        running.stop_watching()
        run_note.write(context, running)


@never_worse("recording the end of the attempt")
def interrupted(context: Mapping[str, Any]) -> None:
    """The attempt was ended from outside, or skipped itself: that says nothing about the job."""
    running = _running.get(attempt_id(context["ti"]))
    if running is not None:
        _interrupted(running)


def _interrupted(running: RunningAttempt) -> None:
    if not running.interrupted:
        running.over = running.interrupted = True
        running.stop_watching()
        HistoryClient.current().interrupted(running)


@never_worse("deciding about the failure")
def after_failure(
    context: Mapping[str, Any], exception: BaseException, *, may_retry: bool = True
) -> Decision | None:
    """Find out why the attempt failed, decide, leave the patch for the next attempt, and say so in the task log.

    Asked again, about the same attempt, it answers the same.

    :param may_retry: ``False``: the task's own retry policy allows no further retry.
    :return: the decision to carry out, or ``None`` when nothing may be changed: mode ``shadow`` or ``off``, not a
        Spark task, an end from outside, or the patch could not be handed over.
    """
    running = _running.get(attempt_id(context["ti"]))
    if running is None or running.doomed is not None:
        return None
    if running.decision is not None or running.over:
        return _to_carry_out(running)
    if running.ended_from_outside:
        task_log.ended_from_outside(running.attempt)
        _interrupted(running)
        return None
    running.stop_watching()
    running.over = True
    if _is_off_by_now(running):
        return None
    final = not may_retry or not _author_lets_retry(context, exception)
    _notice_what_ran(running)
    failed = FailedAttempt(
        running.attempt,
        running.baseline,
        running.effective,
        0 if final else retries_left(context["ti"]),
        history=running.past,
        duration_s=running.duration_s,
        runs_promoted_patch=running.standing,
        unseen=running.platform.unseen(running.operator),
        patch_ignored=running.patch_ignored or any(past.patch_ignored for past in running.past),
    )
    limit_s = settings().failure_deadline
    until = time.monotonic() + limit_s
    try:
        decision = within(limit_s, lambda: _decide(running, failed, exception))
    except OverrunError:
        task_log.took_too_long(running.attempt, limit_s)
        return None
    mode = running.mode_of(decision.classification.category)
    if mode is Mode.OFF:
        return None
    handed_over = _leave(context, _left_behind(running, decision))
    handed_over = _recorded(running, decision, exception, until) or handed_over
    if decision.action is Action.REMEDIATE and not handed_over:
        decision = _not_handed_over(decision, failed)
    running.decision = decision
    task_log.decided(failed, decision, mode)
    _note_own_retries(running)
    _count(decision, mode)
    return _to_carry_out(running)


def _recorded(running: RunningAttempt, decision: Decision, exception: BaseException, until: float) -> bool:
    """Record the failure; whether the store took it in time."""
    history = HistoryClient.current()
    try:
        return within(
            max(0.1, until - time.monotonic()), lambda: history.failure(running, decision, str(exception))
        )
    except OverrunError as error:
        warn("recording the failure", error)
        return False


def _author_lets_retry(context: Mapping[str, Any], exception: BaseException) -> bool:
    policy = getattr(context["ti"].task, "retry_policy", None)
    asked = getattr(policy, "author_lets_retry", None)
    return True if asked is None else bool(asked(exception, context))


def _decide(running: RunningAttempt, failed: FailedAttempt, exception: BaseException) -> Decision:
    from airflow_autoremed.airflow.attempt import model_question
    from airflow_autoremed.airflow.attempt.evidence import evidence
    from airflow_autoremed.airflow.attempt.gate_books import passage
    from airflow_autoremed.remediation import pipeline

    return pipeline.handle(
        failed,
        running.tap,
        evidence(running, exception),
        running.limits,
        passage(running),
        ask=partial(model_question.insight, running, str(exception)),
    )


def _is_off_by_now(running: RunningAttempt) -> bool:
    """Whether a person switched remediation off for it. Asked anew: an attempt may run for a day."""
    before = running.overrides
    latest = HistoryClient.current().overrides(running.attempt)
    running.overrides = before if latest is None else latest
    if running.overrides != before:
        task_log.override(running)
    return running.mode_of() is Mode.OFF


def _left_behind(running: RunningAttempt, decision: Decision) -> Handover:
    """What the next attempt is told."""
    mode = running.mode_of(decision.classification.category)
    this = PastAttempt(
        handovers.carried_settings(running.effective),
        decision.classification.category,
        succeeded=False,
        duration_s=round(running.duration_s, 1),
        try_number=running.attempt.try_number,
        remediated=decision.action is Action.REMEDIATE,
        patch_ignored=running.patch_ignored,
    )
    try:
        note = running.platform.note(running.operator)
    except Exception as error:  # noqa: BLE001 - a help for logs that come late
        warn("noting the run", error)
        note = {}
    return handovers.make(running.attempt, mode, decision, (*running.past, this), running.max_tries, note)


def _not_handed_over(decision: Decision, failed: FailedAttempt) -> Decision:
    from airflow_autoremed.remediation.gates import held_back

    why = HeldBack("handover", "the change could not be handed to the next attempt, which runs unchanged")
    return held_back(decision, failed, why, keep_patch=False)


def _notice_what_ran(running: RunningAttempt) -> None:
    """A patch is claimed only when it was in force: not when the run was that of an earlier attempt, and not when the
    operator submitted a configuration of its own."""
    if not running.patched:
        return
    try:
        if running.platform.reconnected(running.operator):
            task_log.reconnected(running.attempt)
            running.as_declared()
            return
        submitted = running.platform.submitted_conf(running.operator)
    except Exception as error:  # noqa: BLE001 - not to know is no reason to fail
        warn("asking what was submitted", error)
        return
    if submitted is None:
        return
    ignored = {
        key: (value, submitted.get(key))
        for key, value in handovers.resource_settings(running.effective).items()
        if running.baseline.get(key) != value and submitted.get(key) != value
    }
    if ignored:
        task_log.patch_ignored(running.attempt, ignored)
        running.as_declared()
        ran = {key: value for key, (_, value) in ignored.items() if value is not None}
        running.effective = {**running.baseline, **ran}
        running.patch_ignored = True


@never_worse("recording the success")
def after_success(context: Mapping[str, Any]) -> None:
    """Record that the application succeeded, and forget what earlier attempts left."""
    running = _running.get(attempt_id(context["ti"]))
    if running is None or running.over:
        return
    if running.ended_from_outside:
        _interrupted(running)
        return
    running.over = True
    running.stop_watching()
    _notice_what_ran(running)
    if running.patched:
        task_log.healed(running)
    HistoryClient.current().success(running)
    state_store = context.get("task_state_store")
    if state_store is not None and running.past:
        try:
            handovers.clear(state_store)
        except Exception as error:  # noqa: BLE001 - it is not applied again: the task has succeeded
            warn("forgetting what earlier attempts left", error)


@never_worse("recording the end of the attempt")
def after_end(ti: Any, *, succeeded: bool) -> None:
    """Airflow has the last word on the attempt, and the process is done with it.

    Only what nobody decided about is left to record: ``AirflowFailException``, a failure outside of ``execute``.
    """
    running = _running.pop(attempt_id(ti), None)
    if running is None:
        return
    running.stop_watching()
    if not succeeded and running.decision is None and not running.interrupted:
        HistoryClient.current().ended(running)


def _noted(context: Mapping[str, Any], running: RunningAttempt) -> run_note.RunNote | None:
    try:
        return run_note.read(context, running)
    except Exception as error:  # noqa: BLE001 - then it is not claimed what the run had
        warn("reading what the deferred run left", error)
        return None


def _leave(context: Mapping[str, Any], left: Handover) -> bool:
    """Hand *left* to the next attempt through Airflow's state store; whether that worked."""
    state_store = context.get("task_state_store")
    if state_store is None:
        return False
    try:
        handovers.write(state_store, left)
    except Exception as error:  # noqa: BLE001 - our own store may still take it
        warn("handing the decision to the next attempt", error)
        return False
    return True


def _note_own_retries(running: RunningAttempt) -> None:
    try:
        sentence = running.platform.own_retries(running.operator)
    except Exception as error:  # noqa: BLE001 - a note
        warn("asking for the platform's own retries", error)
        return
    if sentence:
        task_log.platform_retries(sentence)


def _to_carry_out(running: RunningAttempt) -> Decision | None:
    decision = running.decision
    acts = decision is not None and running.mode_of(decision.classification.category) is Mode.ACT
    return decision if acts else None


def _count(decision: Decision, mode: Mode) -> None:
    from airflow_autoremed.airflow.compat import count

    _quietly(
        lambda: count(
            "decision",
            action=decision.action.value,
            category=decision.classification.category,
            mode=mode.value,
        )
    )


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception:
        log.debug("[autoremed] metric not counted", exc_info=True)
