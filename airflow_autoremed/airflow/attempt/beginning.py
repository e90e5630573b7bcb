"""Which configuration an attempt begins with: what the attempt before it left, what was promoted for the task, or what
its author declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.airflow.attempt import task_log
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.attempt.running import RunningAttempt, retries_left
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.types import FLOOR, Action, Decision, Mode, Patch

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.run_note import RunNote


def begin(running: RunningAttempt, context: Mapping[str, Any]) -> str | None:
    """Give *running* the configuration that it runs with, and record its start.

    :return: why it must not run at all: the attempt before it was lost, and no retry can help. ``None``: it runs.
    """
    left = _left_for(running, context)
    if running.attempt.try_number > 1:
        running.overrides = HistoryClient.current().overrides(running.attempt) or ()
        if running.mode_of() is Mode.OFF:
            return None
        decision = _judged_now(running, left, context["ti"])
        if (
            decision is not None
            and decision.action is Action.STOP
            and running.mode_of(decision.classification.category) is Mode.ACT
        ):
            from airflow_autoremed.remediation import reasons

            return reasons.text(decision)
        if decision is not None and decision.action is Action.REMEDIATE and decision.patch is not None:
            if begin_with(running, decision.patch, decision.classification.category):
                return None
        elif left is not None and left.patch is not None and left.mode is Mode.ACT:
            missed = left.from_try < running.attempt.try_number - 1
            if begin_with(running, left.patch, left.category, again=missed):
                return None
    _begin_as_promoted(running)
    return None


def go_on(running: RunningAttempt, context: Mapping[str, Any], note: RunNote) -> None:
    """The run was submitted before the deferral: nothing is chosen, only what it has is known again."""
    _left_for(running, context)
    running.platform.restore(running.operator, note.platform)
    if note.changes:
        running.platform.write_conf(running.operator, note.changes)
        running.effective = {**running.baseline, **note.changes}
        running.patch_key, running.standing = note.patch_key, note.promoted


def begin_with(
    running: RunningAttempt, patch: Patch | Mapping[str, Any], category: str, *, again: bool = False
) -> bool:
    """Let the attempt run with *patch*, which was decided upon after an earlier one; whether it does.

    :param patch: also as JSON, from a store that others can write to.
    :param again: no attempt since has run to its end.
    """
    from airflow_autoremed import patching

    history = HistoryClient.current()
    try:
        checked = patch if isinstance(patch, Patch) else patching.from_json(patch)
        patched = _patched(running, checked, category, again=again)
    except PatchRejectedError as error:
        task_log.patch_rejected(running.attempt, str(error))
        return False
    key = history.patch_key(checked)
    if not isinstance(patch, Patch) and key is not None and history.out_of_force(key):
        task_log.patch_rejected(running.attempt, "it was taken back since")
        return False
    if not _carry_out(running, patched, category):
        return False
    running.patch_key = key
    task_log.patch_applied(running.attempt, f"from attempt {checked.from_try}", category, running)
    history.begin(running)
    return True


def _begin_as_promoted(running: RunningAttempt) -> None:
    """Run with the patch that was promoted for the task, where there is one, else as declared."""
    history = HistoryClient.current()
    standing = history.start(running)
    if standing is None:
        return
    try:
        patched = _patched(running, standing.patch, standing.category)
    except PatchRejectedError as error:
        task_log.patch_rejected(running.attempt, str(error))
        history.patch_rejected(standing.key, running.attempt, str(error))
        return
    if not _carry_out(running, patched, standing.category):
        return
    floor = standing if standing.category == FLOOR else standing.floor
    # What a retry starts with was decided about, so a floor is carried on by a patch for the run.
    running.patch_key, running.standing = standing.key, floor is None
    if floor is not standing:
        task_log.patch_applied(running.attempt, "promoted for this task", standing.category, running)
    if floor is not None:
        task_log.floor_applied(floor.why)
    history.begin(running)


def _left_for(running: RunningAttempt, context: Mapping[str, Any]) -> Handover | None:
    """What the attempts before left for *running*, which is told of them; nothing if the task was cleared since."""
    if running.attempt.try_number == 1:
        return None
    left = _read_handover(context, running)
    if left is not None and _cleared_since(left, running):
        task_log.cleared(running.attempt, left.from_try)
        return None
    if left is not None:
        running.past = left.attempts
    return left


def _judged_now(running: RunningAttempt, left: Handover | None, ti: Any) -> Decision | None:
    """What is decided only now about the attempt before: it was lost with its worker, or its log came late."""
    from airflow_autoremed.airflow.attempt import judged_later

    if left is None or left.from_try < running.attempt.try_number - 1:
        started = HistoryClient.current().started_without_end(running.attempt, running.max_tries)
        return None if started is None else judged_later.lost(running, started, retries_left(ti))
    return judged_later.late_log(running, left, retries_left(ti))


def _cleared_since(left: Handover, running: RunningAttempt) -> bool:
    """Whether the task was cleared after the decision. Airflow grants new tries then, counted from the last one."""
    now = running.max_tries
    return left.max_tries is not None and now is not None and int(now) != left.max_tries


def _read_handover(context: Mapping[str, Any], running: RunningAttempt) -> Handover | None:
    """What the attempts before left, from Airflow's state store, else from our own store."""
    state_store = context.get("task_state_store")
    if state_store is not None:
        try:
            left = handovers.read(state_store)
        except Exception as error:  # noqa: BLE001 - our own store may still know
            warn("reading what the last attempt left", error)
        else:
            if left is not None:
                return left
    return HistoryClient.current().handover(running.attempt)


def _patched(running: RunningAttempt, patch: Patch, category: str, *, again: bool = False) -> dict[str, str]:
    from airflow_autoremed import patching

    return patching.apply(
        patch,
        running.baseline,
        attempt=running.attempt,
        limits=running.limits,
        again=again,
        fingerprint=running.fingerprint,
        category=category,
    )


def _carry_out(running: RunningAttempt, patched: Mapping[str, str], category: str) -> bool:
    """Write *patched*, which is for failures of *category*, to the operator, unless the attempt may not hold that much
    memory, or this is shadow mode."""
    from airflow_autoremed.spark.allocation import total

    changes = {key: value for key, value in patched.items() if running.baseline.get(key) != value}
    changes = running.platform.without_unseen(running.operator, changes)
    if not changes or running.mode_of(category) is not Mode.ACT:
        return False
    patched = {**running.baseline, **changes}
    refused = HistoryClient.current().grant(running.attempt, total(patched) - total(running.baseline))
    refused = refused or running.platform.renew(running.operator)
    if refused is not None:
        task_log.patch_rejected(running.attempt, refused)
        return False
    running.platform.write_conf(running.operator, changes)
    running.effective = running.platform.read_conf(running.operator)
    return True
