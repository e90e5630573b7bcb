"""The three moments of a try at which we act: before it runs, when it failed, when it succeeded.

Every way in (callbacks, retry policy, wrapped ``execute``, listener) ends here, so it does not matter which of
them a task uses or whether it uses several: what was done for a try is done once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.airflow.attempt import starting_patch, task_log
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.attempt.history_client import Recorder
from airflow_autoremed.airflow.guard import never_worse, warn
from airflow_autoremed.airflow.options import Options, settings
from airflow_autoremed.platforms import Platform, find_platform
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Conf,
    Decision,
    FailedAttempt,
    Limits,
    Mode,
    PastAttempt,
    Source,
)

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.stall_watch import StallWatch
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.failures.rules.catalogue import Catalogue

log = logging.getLogger("airflow_autoremed")

_DIAGNOSTICS_S = 30.0
"""How long a platform may take to say what it knows about a failed run."""


@dataclass(eq=False, repr=False)  # what is not asked for is not made, in every worker
class RunningAttempt:
    """What we know of the try that runs in this process."""

    attempt: AttemptId
    operator: Any
    platform: Platform
    options: Options
    mode: Mode
    baseline: Conf
    effective: Conf
    tap: LogTap
    fingerprint: str = ""
    """Of the job, see :mod:`airflow_autoremed.spark.fingerprint`."""
    patch_key: str | None = None
    """Of the patch it runs with, as the store names it."""
    standing: bool = False
    """Whether that is the one that was promoted for the task."""
    stopped: bool = False
    """Ended before it ran, because of what the lost try before it died of."""
    past: tuple[PastAttempt, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    clock: float = field(default_factory=time.monotonic)
    decision: Decision | None = None
    watch: StallWatch | None = None
    """Ends the try when it waits for too long."""

    @property
    def patched(self) -> bool:
        return dict(self.effective) != dict(self.baseline)

    def stop_watching(self) -> None:
        """The application has ended."""
        if self.watch is not None:
            self.watch.stop()

    def notice_reconnection(self) -> None:
        """Say so, and record it, when this try took up the run of an earlier one: its patch was never in force."""
        try:
            if not self.patched or not self.platform.reconnected(self.operator):
                return
        except Exception as error:  # noqa: BLE001 - not to know is no reason to fail
            warn("asking whether the run was a new one", error)
            return
        task_log.reconnected(self.attempt)
        self.effective, self.patch_key, self.standing = self.baseline, None, False

    def catalogue(self) -> Catalogue:
        """The rules that hold for this task: those beside its Dag, the deployment's, ours."""
        return _load_catalogue(self.operator)

    @property
    def limits(self) -> Limits:
        """The hard caps that hold for this task."""
        return self.options.effective_limits(self.operator)

    @property
    def duration_s(self) -> float:
        return time.monotonic() - self.clock


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
        LogTap(partial(_load_catalogue, operator)),
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

    lost_try = lost_attempt.lost_try(running, left)
    if lost_try is not None:
        decision = lost_attempt.decide(running, lost_try, left, retries_left(ti))
        if decision.action is Action.STOP and running.mode is Mode.ACT:
            running.decision, running.stopped = decision, True
            lost_attempt.stop_instead(running.operator, decision.reason)
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
    running.notice_reconnection()
    from airflow_autoremed.airflow.attempt import model_question
    from airflow_autoremed.remediation import pipeline

    failed = FailedAttempt(
        running.attempt,
        running.baseline,
        running.effective,
        retries_left,
        history=running.past,
        duration_s=running.duration_s,
    )
    decision = pipeline.handle(
        failed,
        running.tap,
        _evidence(running, exception),
        running.limits,
        ask=partial(model_question.insight, running, str(exception)),
    )
    decision = _within_bounds(running, decision)
    this = PastAttempt(
        handovers.resource_settings(running.effective),
        decision.classification.category,
        succeeded=False,
        duration_s=round(running.duration_s, 1),
        try_number=running.attempt.try_number,
        remediated=decision.action is Action.REMEDIATE,
    )
    max_tries = getattr(context["ti"], "max_tries", None)
    left = handovers.make(running.attempt, running.mode, decision, (*running.past, this), max_tries)
    handed_over = _leave(context, left) if use_state_store else False
    handed_over = Recorder.current().failure(running, decision, max_tries, str(exception)) or handed_over
    if decision.action is Action.REMEDIATE and not handed_over:
        decision = _left_alone(
            running,
            decision,
            "It could not be handed to the next try, which runs unchanged.",
            keep_patch=False,
        )
    running.decision = decision
    task_log.decided(running.attempt, decision, running.mode)
    _tell_of_own_retries(running)
    _count(decision, running.mode)
    return _to_carry_out(running, decision)


def _within_bounds(running: RunningAttempt, decision: Decision) -> Decision:
    """*decision*, unless remediation pauses, the next try may not hold that much memory, or the author's own
    retries are used up."""
    if decision.action is Action.REMEDIATE:
        decision = _permitted(running, decision)
    if decision.action is not Action.LEAVE_ALONE:
        return decision
    own = running.options.own_retries
    plain = sum(not past.remediated for past in running.past)
    if own is not None and running.mode is Mode.ACT and plain >= own:
        return replace(
            decision,
            action=Action.STOP,
            patch=None,
            reason=f"{decision.reason} The task's own retries ({own}) are used up; those of retry_budget are for "
            "failures that another configuration cures.",
        )
    if running.standing:
        return replace(decision, patch=None)  # the promoted patch is found again by itself
    return decision


def _permitted(running: RunningAttempt, decision: Decision) -> Decision:
    """A remediation, unless remediation pauses or the next try may not hold that much memory."""
    if running.mode is not Mode.ACT:
        return decision
    recorder = Recorder.current()
    why = recorder.brake(running.attempt, decision.classification.category)
    if why is None:
        from airflow_autoremed.spark.allocation import total

        following = running.attempt.next()
        refused = recorder.grant(following, total(decision.conf) - total(running.baseline))
        why = None if refused is None else f"The next try runs unchanged: {refused}."
    return decision if why is None else _left_alone(running, decision, why, keep_patch=True)


def _left_alone(running: RunningAttempt, decision: Decision, why: str, *, keep_patch: bool) -> Decision:
    """*decision* without its changes: the next try runs as this one did, or as declared."""
    patch = None
    if keep_patch and running.patched and not running.standing:
        from airflow_autoremed.patching import diff

        assert decision.patch is not None
        patch = replace(decision.patch, operations=diff(running.baseline, running.effective))
    return replace(
        decision,
        action=Action.LEAVE_ALONE,
        conf=running.effective,
        patch=patch,
        changes={},
        reason=f"{decision.reason} {why}",
    )


@never_worse("recording the success")
def after_success(context: Mapping[str, Any]) -> None:
    """Record that the try succeeded, and forget what earlier tries left."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is None:
        return
    running.stop_watching()
    running.notice_reconnection()
    state_store = context.get("task_state_store")
    if state_store is not None and running.past:
        handovers.clear(state_store)
    if running.patched:
        task_log.healed(running.attempt, running.past)
    Recorder.current().success(running)


@never_worse("recording the failure")
def after_final_failure(context: Mapping[str, Any]) -> None:
    """Record a failure that nobody asked us about (``AirflowFailException`` bypasses the retry policy)."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is not None:
        running.stop_watching()
    if running is not None and (running.decision is None or running.stopped):
        Recorder.current().ended(running, succeeded=False)


def attempt_id(ti: Any) -> AttemptId:
    """The identity of a task instance's present try."""
    map_index = getattr(ti, "map_index", -1)
    return AttemptId(
        str(ti.dag_id),
        str(ti.run_id),
        str(ti.task_id),
        -1 if map_index is None else int(map_index),
        int(ti.try_number),
    )


def is_prepared(ti: Any) -> bool:
    """Whether :func:`before_execute` has seen this try in this process."""
    return attempt_id(ti) in _running


def retries_left(ti: Any, max_tries: int | None = None) -> int:
    """How many tries Airflow still grants after the present one fails."""
    most = max_tries if max_tries is not None else getattr(ti, "max_tries", None)
    if most is None:
        most = getattr(ti.task, "retries", 0) or 0
    return max(0, int(most) - int(ti.try_number) + 1)


def _load_catalogue(operator: Any) -> Catalogue:
    from airflow_autoremed.airflow.compat import dags_folder
    from airflow_autoremed.failures.rules.dag_folder_rules import dag_rules_paths
    from airflow_autoremed.failures.rules.loading import load_catalogue

    dag = operator.get_dag()
    beside = dag_rules_paths(dag.fileloc, dags_folder()) if dag is not None else ()
    return load_catalogue((*beside, *settings().rules_paths))


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
    return Recorder.current().handover(attempt)


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


def _evidence(running: RunningAttempt, exception: BaseException) -> Iterable[tuple[Source, str]]:
    own = f"{type(exception).__name__}: " if running.platform.in_process else ""
    yield Source.EXCEPTION, f"{own}{exception}"
    from airflow_autoremed.deadline import within
    from airflow_autoremed.errors import OverrunError

    found: list[tuple[Source, str]] = []

    def ask() -> None:
        found.extend(running.platform.diagnostics(running.operator, exception))

    try:
        within(_DIAGNOSTICS_S, ask)
    except OverrunError:
        log.warning(
            "[autoremed] The platform gave no diagnostics within %g s; going on without", _DIAGNOSTICS_S
        )
    except Exception as error:  # noqa: BLE001 - diagnostics are a help, not a need
        warn("asking the platform for diagnostics", error)
    yield from found[:]  # what came before the deadline or the fault counts


def _tell_of_own_retries(running: RunningAttempt) -> None:
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
