"""Which patch a try begins with: the one of the try before, or the one that was promoted for the whole task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.attempt import task_log
from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.types import Mode, Patch

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.running import RunningAttempt


def begin_with(
    running: RunningAttempt, patch: Patch | Mapping[str, Any], category: str, *, again: bool = False
) -> bool:
    """Let the try run with *patch*, which is the verdict on an earlier one; whether it does.

    :param patch: also as JSON, from a store that others can write to.
    :param again: the tries since the patch was made were lost.
    """
    from airflow_autoremed import patching

    try:
        checked = patch if isinstance(patch, Patch) else patching.from_json(patch)
        patched = _patched(running, checked, again=again)
    except PatchRejectedError as error:
        task_log.patch_rejected(running.attempt, str(error))
        return False
    history = HistoryClient.current()
    running.patch_key = history.patch_key(checked)
    if not _carry_out(running, patched):
        return False
    task_log.patch_applied(running.attempt, f"from attempt {checked.from_try}", category, running)
    history.begin(running)
    return True


def begin_with_standing(running: RunningAttempt) -> bool:
    """Let the try run with the patch that was promoted for its task, where there is one; whether it does."""
    history = HistoryClient.current()
    standing = history.standing_patch(running.attempt, running.fingerprint)
    if standing is None:
        return False

    try:
        patched = _patched(running, standing.patch)
    except PatchRejectedError as error:
        task_log.patch_rejected(running.attempt, str(error))
        history.patch_rejected(standing.key, running.attempt, str(error))
        return False
    running.patch_key, running.standing = standing.key, True
    if not _carry_out(running, patched):
        return False
    task_log.patch_applied(running.attempt, "promoted for this task", standing.category, running)
    history.begin(running)
    return True


def _patched(running: RunningAttempt, patch: Patch, *, again: bool = False) -> dict[str, str]:
    from airflow_autoremed import patching

    return patching.apply(
        patch,
        running.baseline,
        attempt=running.attempt,
        limits=running.limits,
        again=again,
        fingerprint=running.fingerprint,
    )


def _carry_out(running: RunningAttempt, patched: Mapping[str, str]) -> bool:
    """Write *patched* to the operator, unless the try may not hold that much memory, or this is shadow mode."""
    from airflow_autoremed.spark.allocation import total

    changes = {key: value for key, value in patched.items() if running.baseline.get(key) != value}
    changes = running.platform.without_unseen(running.operator, changes)
    if not changes:
        running.patch_key, running.standing = None, False
        return False
    patched = {**running.baseline, **changes}
    refused = None
    if running.mode is Mode.ACT:
        extra = total(patched) - total(running.baseline)
        refused = HistoryClient.current().grant(running.attempt, extra)
        refused = refused or running.platform.renew(running.operator)
    if running.mode is not Mode.ACT or refused is not None:
        if refused is not None:
            task_log.patch_rejected(running.attempt, refused)
        running.patch_key, running.standing = None, False
        return False
    running.platform.write_conf(running.operator, changes)
    running.effective = running.platform.read_conf(running.operator)
    return True
