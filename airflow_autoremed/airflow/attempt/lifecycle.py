"""The three moments of a try at which we act: before it runs, when it failed, when it succeeded.

Every way in (callbacks, retry policy, wrapped ``execute``, listener) ends here, so it does not matter which of
them a task uses or whether it uses several: what was done for a try is done once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.airflow.attempt import starting_patch, task_log
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.attempt.running import (
    RunningAttempt,
    attempt_id,
    load_catalogue_of,
)
from airflow_autoremed.airflow.attempt.running import (
    retries_left as retries_left,  # for opt_in, whose door this is
)
from airflow_autoremed.airflow.guard import never_worse, warn
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Action, AttemptId, Decision, FailedAttempt, HeldBack, Mode, PastAttempt

log = logging.getLogger("airflow_autoremed")


# One worker process runs one try at a time; `airflow dags test` runs one after the other in the same process.
_running: dict[AttemptId, RunningAttempt] = {}


@never_worse("preparing the try")
def before_execute(context: Mapping[str, Any], options: Options) -> None:
    """Apply the patch that the last try left, and tap the log of this one. Doing it again changes nothing."""
    ti = context["ti"]
    operator = (
        ti.task
    )  # not context["task"], which Airflow 3.0 leaves unrendered (docs/facts-airflow.md, trap C)
    platform = find_platform(operator)
    attempt = attempt_id(ti)
    mode = options.effective_mode()
    known = _running.get(attempt)
    if platform is None or mode is Mode.OFF or (known is not None and known.operator is operator):
        return
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.spark.fingerprint import fingerprint

    baseline = platform.read_conf(operator)
    running = RunningAttempt(
        attempt,
        operator,
        platform,
        options,
        mode,
        baseline,
        baseline,
        LogTap(partial(load_catalogue_of, operator)),
        fingerprint=fingerprint(baseline, platform.job(operator)),
    )
    if known is not None:  # resumed after a deferral, in the same process
        running.started_at, running.clock = known.started_at, known.clock
    for earlier in _running.values():
        earlier.stop_watching()
    _running.clear()
    _running[attempt] = running
    _choose_patch(running, context)
    write: Callable[[str], None] = running.tap.write
    timeout_s = options.effective_stall_timeout()
    if timeout_s is not None and not running.stopped:
        from airflow_autoremed.airflow.attempt.stall_watch import watched

        running.watch, write = watched(
            platform,
            operator,
            write,
            timeout_s,
            act=mode is Mode.ACT,
            conf=running.effective,
            largest_container=running.limits.max_container_memory,
        )
    try:
        platform.tap(operator, write)
        if running.watch is not None:
            running.watch.start()
    except Exception as error:  # noqa: BLE001 - without a tap the exception text is still evidence
        warn("attaching to the log", error)


def _choose_patch(running: RunningAttempt, context: Mapping[str, Any]) -> None:
    """Begin with the patch that the try before left, else with the one that was promoted for the task."""
    ti, attempt = context["ti"], running.attempt
    left = _read_handover(context, attempt) if attempt.try_number > 1 else None
    if left is not None and _cleared_since(left, ti):
        task_log.cleared(attempt, left.from_try)
    else:
        if left is not None:
            running.past = left.attempts
        if attempt.try_number > 1 and _continue(running, left, ti):
            return
    starting_patch.begin_with_standing(running)


def _continue(running: RunningAttempt, left: Handover | None, ti: Any) -> bool:
    """Go on from the tries before: with their patch, or with what is decided now about one that was lost."""
    from airflow_autoremed.airflow.attempt import lost_attempt
    from airflow_autoremed.remediation import reasons

    lost_try = lost_attempt.lost_try(running, left)
    if lost_try is not None:
        decision = lost_attempt.decide(running, lost_try, left, retries_left(ti))
        if decision.action is Action.STOP and running.mode is Mode.ACT:
            running.decision, running.stopped = decision, True
            lost_attempt.stop_instead(running.operator, reasons.text(decision))
            return True
        if decision.action is Action.REMEDIATE and decision.patch is not None:
            return starting_patch.begin_with(running, decision.patch, decision.classification.category)
    if left is None or left.patch is None or left.mode is not Mode.ACT:
        return False
    return starting_patch.begin_with(running, left.patch, left.category, again=lost_try is not None)


def _cleared_since(left: Handover, ti: Any) -> bool:
    """Whether the task was cleared after the verdict. Airflow grants new tries then, counted from the last one."""
    now = getattr(ti, "max_tries", None)
    return left.max_tries is not None and now is not None and int(now) != left.max_tries


@never_worse("deciding about the failure")
def after_failure(
    context: Mapping[str, Any],
    exception: BaseException,
    options: Options,
    *,
    retries_left: int,
    use_state_store: bool = True,
) -> Decision | None:
    """Find out why the try failed, decide, leave the patch for the next try, and say so in the task log.

    :param use_state_store: whether Airflow's task state store may be written here (not from ``on_retry_callback``,
        where the task instance has a new identity already).
    :return: the decision to carry out, or ``None`` when nothing may be changed: mode ``shadow`` or ``off``, not a
        Spark task, or the patch could not be handed over.
    """
    running = _running.get(attempt_id(context["ti"]))
    if running is None:
        return None
    running.stop_watching()
    if running.decision is not None:
        return _to_carry_out(running, running.decision)
    _notice_reconnection(running)
    failed = FailedAttempt(
        running.attempt,
        running.baseline,
        running.effective,
        retries_left,
        history=running.past,
        duration_s=running.duration_s,
        runs_promoted_patch=running.standing,
    )
    decision = _decide(running, failed, exception)
    max_tries = getattr(context["ti"], "max_tries", None)
    left = _left_behind(running, decision, max_tries)
    handed_over = _leave(context, left) if use_state_store else False
    handed_over = HistoryClient.current().failure(running, decision, max_tries, str(exception)) or handed_over
    if decision.action is Action.REMEDIATE and not handed_over:
        decision = _not_handed_over(decision, failed)
    running.decision = decision
    task_log.decided(running.attempt, decision, running.mode)
    _note_own_retries(running)
    _count(decision, running.mode)
    return _to_carry_out(running, decision)


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


def _left_behind(running: RunningAttempt, decision: Decision, max_tries: int | None) -> Handover:
    """What the next attempt is told."""
    this = PastAttempt(
        handovers.resource_settings(running.effective),
        decision.classification.category,
        succeeded=False,
        duration_s=round(running.duration_s, 1),
        try_number=running.attempt.try_number,
        remediated=decision.action is Action.REMEDIATE,
    )
    return handovers.make(running.attempt, running.mode, decision, (*running.past, this), max_tries)


def _not_handed_over(decision: Decision, failed: FailedAttempt) -> Decision:
    from airflow_autoremed.remediation.gates import held_back

    why = HeldBack("handover", "the change could not be handed to the next attempt, which runs unchanged")
    return held_back(decision, failed, why, keep_patch=False)


def _notice_reconnection(running: RunningAttempt) -> None:
    """Say so, and record it, when this attempt took up the run of an earlier one: its patch was never in force."""
    try:
        if not running.patched or not running.platform.reconnected(running.operator):
            return
    except Exception as error:  # noqa: BLE001 - not to know is no reason to fail
        warn("asking whether the run was a new one", error)
        return
    task_log.reconnected(running.attempt)
    running.effective, running.patch_key, running.standing = running.baseline, None, False


@never_worse("recording the success")
def after_success(context: Mapping[str, Any]) -> None:
    """Record that the try succeeded, and forget what earlier tries left."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is None:
        return
    running.stop_watching()
    _notice_reconnection(running)
    state_store = context.get("task_state_store")
    if state_store is not None and running.past:
        handovers.clear(state_store)
    if running.patched:
        task_log.healed(running.attempt, running.past)
    HistoryClient.current().success(running)


@never_worse("recording the failure")
def after_final_failure(context: Mapping[str, Any]) -> None:
    """Record a failure that nobody asked us about (``AirflowFailException`` bypasses the retry policy)."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is not None:
        running.stop_watching()
    if running is not None and (running.decision is None or running.stopped):
        HistoryClient.current().ended(running)


def is_prepared(ti: Any) -> bool:
    """Whether :func:`before_execute` has seen this try in this process."""
    return attempt_id(ti) in _running


def _read_handover(context: Mapping[str, Any], attempt: AttemptId) -> Handover | None:
    """What the tries before left, from Airflow's state store, else from our own store."""
    state_store = context.get("task_state_store")
    if state_store is not None:
        try:
            left = handovers.read(state_store)
        except Exception as error:  # noqa: BLE001 - our own store may still know
            warn("reading what the last try left", error)
        else:
            if left is not None:
                return left
    return HistoryClient.current().handover(attempt)


def _leave(context: Mapping[str, Any], left: Handover) -> bool:
    """Hand *left* to the next try through Airflow's state store; whether that worked."""
    state_store = context.get("task_state_store")
    if state_store is None:
        return False
    try:
        handovers.write(state_store, left)
    except Exception as error:  # noqa: BLE001 - our own store may still take it
        warn("handing the decision to the next try", error)
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


def _to_carry_out(running: RunningAttempt, decision: Decision) -> Decision | None:
    return decision if running.mode is Mode.ACT else None


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
