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
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow import handover as handovers
from airflow_autoremed.airflow import journal
from airflow_autoremed.airflow.guard import never_worse, warn
from airflow_autoremed.airflow.handover import Handover
from airflow_autoremed.airflow.options import Options, settings
from airflow_autoremed.airflow.recorder import Recorder
from airflow_autoremed.platforms import Platform, find_platform
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Conf,
    Decision,
    FailedAttempt,
    Mode,
    PastAttempt,
    Source,
)

if TYPE_CHECKING:
    from airflow_autoremed.failures import Catalogue, LogTap

log = logging.getLogger("airflow_autoremed")


@dataclass
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
    past: tuple[PastAttempt, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    clock: float = field(default_factory=time.monotonic)
    decision: Decision | None = None

    @property
    def patched(self) -> bool:
        return dict(self.effective) != dict(self.baseline)

    @property
    def duration_s(self) -> float:
        return time.monotonic() - self.clock


# One worker process runs one try at a time; `airflow dags test` runs one after the other in the same process.
_running: dict[AttemptId, RunningAttempt] = {}


@never_worse("preparing the try")
def before_execute(context: Mapping[str, Any], options: Options) -> None:
    """Apply the patch that the last try left, and tap the log of this one. Doing it again changes nothing."""
    ti = context["ti"]
    operator = ti.task  # not context["task"], which Airflow 3.0 leaves unrendered (AIRFLOW.md, trap C)
    platform = find_platform(operator)
    attempt = attempt_id(ti)
    mode = options.effective_mode()
    if platform is None or mode is Mode.OFF or attempt in _running:
        return
    from airflow_autoremed.failures import LogTap

    baseline = platform.read_conf(operator)
    running = RunningAttempt(
        attempt, operator, platform, options, mode, baseline, baseline, LogTap(_load_catalogue)
    )
    _running.clear()
    _running[attempt] = running
    if attempt.try_number > 1:
        left = _read_handover(context, attempt)
        if left is not None:
            running.past = left.attempts
            _apply_patch(running, left)
    try:
        platform.tap(operator, running.tap.write)
    except Exception as error:  # noqa: BLE001 - without a tap the exception text is still evidence
        warn("attaching to the log", error)


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
    if running.decision is not None:
        return _to_carry_out(running, running.decision)
    from airflow_autoremed import remediation

    failed = FailedAttempt(
        running.attempt,
        running.baseline,
        running.effective,
        retries_left,
        history=running.past,
        duration_s=running.duration_s,
    )
    decision = remediation.handle(
        failed, running.tap, _evidence(running, exception), options.effective_limits()
    )
    this = PastAttempt(
        handovers.resource_settings(running.effective),
        decision.classification.category,
        succeeded=False,
        duration_s=round(running.duration_s, 1),
        try_number=running.attempt.try_number,
    )
    left = handovers.make(running.attempt, running.mode, decision, (*running.past, this))
    recorder = Recorder.current()
    handed_over = _leave(context, left) if use_state_store else False
    handed_over = recorder.failure(running, decision) or handed_over
    if decision.action is Action.REMEDIATE and not handed_over:
        decision = replace(
            decision,
            action=Action.LEAVE_ALONE,
            conf=running.effective,
            patch=None,
            changes={},
            reason=f"{decision.reason} It could not be handed to the next try, which runs unchanged.",
        )
    running.decision = decision
    journal.decided(running.attempt, decision, running.mode)
    _count(decision, running.mode)
    return _to_carry_out(running, decision)


@never_worse("recording the success")
def after_success(context: Mapping[str, Any]) -> None:
    """Record that the try succeeded, and forget what earlier tries left."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is None:
        return
    state_store = context.get("task_state_store")
    if state_store is not None and running.past:
        handovers.clear(state_store)
    if running.patched:
        journal.healed(running.attempt, running.past)
    Recorder.current().success(running)


@never_worse("recording the failure")
def after_final_failure(context: Mapping[str, Any]) -> None:
    """Record a failure that nobody asked us about (``AirflowFailException`` bypasses the retry policy)."""
    running = _running.pop(attempt_id(context["ti"]), None)
    if running is not None and running.decision is None:
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


def _load_catalogue() -> Catalogue:
    from airflow_autoremed.failures import load_catalogue

    return load_catalogue(settings().rules_paths)


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


def _apply_patch(running: RunningAttempt, left: Handover) -> None:
    if left.patch is None or left.mode is not Mode.ACT or running.mode is not Mode.ACT:
        return
    from airflow_autoremed import patching

    try:
        patch = patching.from_json(left.patch)
        patched = patching.apply(
            patch, running.baseline, attempt=running.attempt, limits=running.options.effective_limits()
        )
    except patching.PatchRejected as error:
        journal.patch_rejected(running.attempt, str(error))
        return
    changes = {key: value for key, value in patched.items() if running.baseline.get(key) != value}
    running.platform.write_conf(running.operator, changes)
    running.effective = running.platform.read_conf(running.operator)
    journal.patch_applied(running.attempt, left, running.baseline, changes)


def _evidence(running: RunningAttempt, exception: BaseException) -> Iterable[tuple[Source, str]]:
    yield Source.EXCEPTION, f"{type(exception).__name__}: {exception}"
    try:
        yield from running.platform.diagnostics(running.operator, exception)
    except Exception as error:  # noqa: BLE001 - diagnostics are a help, not a need
        warn("asking the platform for diagnostics", error)


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
