"""What an attempt that is deferred leaves for its own resume, which runs in another process on a new operator object.

Kept in Airflow's task state store (3.3 and newer), else as an XCom of the task. Others can write to both, so what
comes back is checked before use, and decides over nothing but what is claimed of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_autoremed.airflow.attempt.handover import carried_settings, resource_settings
from airflow_autoremed.airflow.attempt.running import RunningAttempt

KEY = "autoremed_run"


class RunNote(NamedTuple):
    """What an attempt ran with, and how the platform knows its run."""

    changes: Mapping[str, str]
    """Settings that a patch changed."""
    patch_key: str | None
    promoted: bool
    """Whether that patch is the one promoted for the task."""
    platform: Mapping[str, Any]
    """What :meth:`~airflow_autoremed.platforms.base.Platform.note` gave."""


def write(context: Mapping[str, Any], running: RunningAttempt) -> None:
    """Leave a note, unless there is nothing that a resume would not know."""
    platform = running.platform.note(running.operator)
    if not platform and not running.patched:
        return
    changes = {
        key: value
        for key, value in carried_settings(running.effective).items()
        if running.baseline.get(key) != running.effective[key]
    }
    note = {
        "try": running.attempt.try_number,
        "changes": changes,
        "patch_key": running.patch_key,
        "promoted": running.standing,
        "platform": platform,
    }
    state_store = context.get("task_state_store")
    if state_store is not None:
        state_store.set(KEY, note)
    else:
        context["ti"].xcom_push(key=KEY, value=note)


def read(context: Mapping[str, Any], running: RunningAttempt) -> RunNote | None:
    """The note of this attempt; ``None`` for none, or for nothing usable."""
    state_store, ti = context.get("task_state_store"), context["ti"]
    found = state_store.get(KEY) if state_store is not None else ti.xcom_pull(task_ids=ti.task_id, key=KEY)
    if not isinstance(found, Mapping) or found.get("try") != running.attempt.try_number:
        return None
    changes, platform, key = found.get("changes"), found.get("platform"), found.get("patch_key")
    if not isinstance(changes, Mapping) or not isinstance(platform, Mapping):
        return None
    texts = {str(name): str(value) for name, value in changes.items()}
    from airflow_autoremed.spark.keys import restored

    try:
        changes = restored(resource_settings(texts), running.baseline)
    except ValueError:
        return None
    return RunNote(
        changes,
        key if isinstance(key, str) else None,
        found.get("promoted") is True,
        platform,
    )
