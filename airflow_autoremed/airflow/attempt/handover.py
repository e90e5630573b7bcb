"""What one try leaves for the next try of the same task instance.

Airflow 3.3 and newer keep it in the task state store, so remediation needs no database of ours. Everywhere else,
and when that holds nothing, it is read from our own store. Both can be written by others, so whatever comes back
is checked again before use (:func:`airflow_autoremed.patching.apply`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_autoremed.types import AttemptId, Conf, Decision, Mode, PastAttempt, Patch

KEY = "autoremed"
_SCHEMA = 1
_MOST_ATTEMPTS = 20
_LONGEST_VALUE = 2000
"""Characters of a setting, or of a name."""
MOST_BYTES = 48 * 1024
"""Airflow warns of values above 64 KB."""


class Handover(NamedTuple):
    """The verdict on try ``from_try`` and every earlier attempt with what it ran with."""

    from_try: int
    mode: Mode
    category: str
    patch: Mapping[str, Any] | None
    """The patch as JSON, unchecked."""
    attempts: tuple[PastAttempt, ...]
    """Oldest first, the attempt ``from_try`` included."""
    max_tries: int | None = None
    """Airflow's, when the verdict was made. Clearing a task changes it."""
    made_at: float | None = None
    """Seconds since the epoch."""
    note: Mapping[str, Any] = MappingProxyType({})
    """What the platform needs to find the run's log later (:meth:`~airflow_autoremed.platforms.base.Platform.note`)."""


def make(
    attempt: AttemptId,
    mode: Mode,
    decision: Decision,
    attempts: tuple[PastAttempt, ...],
    max_tries: int | None,
    note: Mapping[str, Any] = MappingProxyType({}),
) -> Handover:
    """The handover after a failed attempt."""
    return Handover(
        from_try=attempt.try_number,
        mode=mode,
        category=decision.classification.category,
        patch=None if decision.patch is None else _patch_json(decision.patch),
        attempts=attempts[-_MOST_ATTEMPTS:],
        max_tries=max_tries,
        made_at=round(time.time(), 3),
        note=note,
    )


def resource_settings(conf: Conf) -> dict[str, str]:
    """The part of *conf* that remediation may ever touch."""
    from airflow_autoremed.spark.keys import PATCHABLE

    return {key: value for key, value in conf.items() if key in PATCHABLE}


def carried_settings(conf: Conf) -> dict[str, str]:
    """:func:`resource_settings` as they may be written down: small, and free of credentials."""
    from airflow_autoremed.spark.keys import carried

    return carried(resource_settings(conf))


def write(state_store: Any, handover: Handover) -> None:
    """Leave *handover* in Airflow's task state store, in at most :data:`MOST_BYTES` bytes of JSON.

    What does not fit is left out, the oldest attempts first.

    :raises ValueError: when the verdict alone is larger.
    """
    for left_out in range(len(handover.attempts) + 1):
        value = _to_json(handover, handover.attempts[left_out:])
        if len(json.dumps(value)) <= MOST_BYTES:
            state_store.set(KEY, value)
            return
    raise ValueError(f"the patch is larger than the {MOST_BYTES} bytes that a try may leave to the next")


def _to_json(handover: Handover, attempts: tuple[PastAttempt, ...]) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "from_try": handover.from_try,
        "mode": handover.mode.value,
        "category": handover.category,
        "patch": None if handover.patch is None else dict(handover.patch),
        "max_tries": handover.max_tries,
        "made_at": handover.made_at,
        "note": dict(handover.note),
        "attempts": [
            {
                "try_number": past.try_number,
                "conf": dict(past.conf),
                "category": past.category,
                "duration_s": past.duration_s,
                "remediated": past.remediated,
                "patch_ignored": past.patch_ignored,
            }
            for past in attempts
        ],
    }


def read(state_store: Any) -> Handover | None:
    """What the last failed try left in Airflow's task state store; ``None`` for nothing or nothing usable."""
    found = state_store.get(KEY)
    if found is None:
        return None
    try:
        return _parse(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the task state store holds an unreadable {KEY!r} ({error!r})") from error


def clear(state_store: Any) -> None:
    """Forget the handover: the task instance has succeeded."""
    state_store.delete(KEY)


def _parse(found: Any) -> Handover | None:
    if found["schema"] != _SCHEMA:
        return None
    attempts = tuple(
        PastAttempt(
            conf=_settings(past["conf"]),
            category=str(past["category"])[:_LONGEST_VALUE],
            succeeded=False,
            duration_s=_duration(past["duration_s"]),
            try_number=int(past["try_number"]),
            remediated=bool(past["remediated"]),
            patch_ignored=past.get("patch_ignored") is True,
        )
        for past in found["attempts"][-_MOST_ATTEMPTS:]
    )
    max_tries, made_at, note = found["max_tries"], found["made_at"], found.get("note")
    return Handover(
        int(found["from_try"]),
        Mode(found["mode"]),
        str(found["category"]),
        found["patch"],
        attempts,
        None if max_tries is None else int(max_tries),
        None if made_at is None else float(made_at),
        note if isinstance(note, Mapping) else {},
    )


def _settings(conf: Any) -> dict[str, str]:
    """Of whatever the store holds, what may have been written into it."""
    return resource_settings({str(key): str(value)[:_LONGEST_VALUE] for key, value in conf.items()})


def _duration(value: Any) -> float | None:
    seconds = None if value is None else float(value)
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def _patch_json(patch: Patch) -> Mapping[str, Any]:
    from airflow_autoremed.patching import to_json

    return to_json(patch)
