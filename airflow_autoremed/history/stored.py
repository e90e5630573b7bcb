"""What is read back from the store, after a failure and by people. What is recorded:
:mod:`airflow_autoremed.history.attempt_records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_autoremed.types import Action, AttemptId, Conf, EvidenceLine, Link, Mode, Patch, PatchState

OUT_OF_FORCE = (PatchState.EXPIRED, PatchState.REVOKED, PatchState.SUPERSEDED)
"""States of patches that no attempt may start with."""


@dataclass(frozen=True)
class PromotedPatch:
    """A patch in force for every coming run of a task, as it was found in the store: not validated."""

    key: str
    patch: Patch
    category: str
    since: datetime
    last_used: datetime | None
    why: str = ""
    """Why it is in force, for a person."""
    floor: PromotedPatch | None = None
    """The task's floor, which stands on top of it."""


@dataclass(frozen=True)
class OutcomesOf:
    """Which patched tries are asked for; what is ``None`` does not matter. Of the whole deployment (no Dag) only the
    latest of each task is."""

    most: int
    dag_id: str | None = None
    task_id: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class StoredPatch:
    """A patch and its life so far, for people."""

    key: str
    patch: Patch
    category: str
    state: PatchState
    state_at: datetime | None
    created_at: datetime | None
    last_used_at: datetime | None
    changes: tuple[PatchChange, ...] = ()


@dataclass(frozen=True)
class PatchChange:
    """One change in the life of a patch."""

    at: datetime | None
    who: str
    from_state: str | None
    to_state: str
    why: str


@dataclass(frozen=True)
class StoredDecision:
    """What was decided about an attempt, as the next try needs it."""

    attempt: AttemptId
    action: Action
    mode: Mode
    reason: str
    category: str
    patch: Patch | None
    """As it was found in the store, which others may write to: nothing in it has been validated. ``None`` also when
    it is out of force: see :attr:`patch_state`."""
    max_tries: int | None = None
    decided_at: datetime | None = None
    patch_state: PatchState | None = None
    """Of the patch that was decided upon; ``None`` when there was none."""


class Outcome(str, Enum):
    """How an attempt ended, as far as that is recorded."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Ended from outside: a pod that was shut down, a task that was marked or cleared."""
    UNKNOWN = "unknown"
    """It still runs, or its end was never recorded."""


@dataclass(frozen=True)
class AttemptFilter:
    """Which attempts are wanted; what is ``None`` is not asked for."""

    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    category: str | None = None
    action: Action | None = None
    """What was decided."""
    outcome: Outcome | None = None
    since: datetime | None = None
    """Recorded then or later."""


@dataclass(frozen=True)
class StoredAttempt:
    """All that is known of one attempt. A part that was never recorded is ``None`` or empty."""

    attempt: AttemptId
    operator: str | None = None
    started_at: datetime | None = None
    patched: bool = False
    """Whether the attempt ran with a configuration other than the declared one."""
    patch_key: str | None = None
    """Of the patch that it ran with."""
    baseline: Conf = field(default_factory=dict)
    effective: Conf = field(default_factory=dict)
    action: Action | None = None
    """``None``: nothing was decided (the attempt succeeded, still runs, or its worker was lost)."""
    mode: Mode | None = None
    category: str | None = None
    rule: str | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    changes: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    """Changed keys only: ``(declared value or None, value for the next try)``."""
    lines: tuple[EvidenceLine, ...] = ()
    """The deciding lines."""
    chain: tuple[Link, ...] = ()
    """The failure chain, from what ended the run down."""
    unseen: tuple[str, ...] = ()
    """What was not seen when it was decided."""
    template: str | None = None
    """Of an unclassified failure."""
    opinion: Mapping[str, Any] | None = None
    """What the text model said about it."""
    excerpt: str = ""
    succeeded: bool | None = None
    """``None``: it still runs, its end was never recorded, or it was :attr:`interrupted`."""
    interrupted: bool = False
    """Whether it was ended from outside, at :attr:`ended_at`: that says nothing about the job."""
    ended_at: datetime | None = None
    duration_s: float | None = None
    gib_seconds: float | None = None
    """Memory of all containers times the time they were held, in GiB-seconds."""
    source: str | None = None
    """``None``: the attempt told of itself. ``airflow``: Airflow's history did. ``event_log``: an event log, of an
    application that no attempt is known of (see :mod:`airflow_autoremed.history.queries.run_metrics`)."""
    unreadable: str | None = None
    """Why nothing but its name could be read, where a reader asked for such rows to be marked."""


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one task that were judged alike. Without lines and configurations: overviews read many."""

    dag_id: str
    task_id: str
    category: str
    rule: str | None
    action: str
    mode: str
    exhausted: bool
    """Whether they were the last attempt that Airflow allows."""
    template_id: str | None
    template: str | None
    """Of unclassified failures: one text, with everything particular masked."""
    failures: int
    last_at: datetime | None
    gib_seconds: float
    """Spent on these attempts."""
    skipped_gib_seconds: float
    """What the retries that a stop skipped would have cost, had each been like the attempt that failed."""


@dataclass(frozen=True)
class PatchedGroup:
    """Attempts of one task that ran with a patch and ended."""

    dag_id: str
    task_id: str
    first_try: bool
    """Whether they began with it: a promoted patch, which prevents the failure."""
    succeeded: bool
    attempts: int
    gib_seconds: float


@dataclass(frozen=True)
class DayCount:
    """Decisions of one kind about one Dag on one day (UTC)."""

    day: str
    """``2026-12-01``."""
    dag_id: str
    action: str
    mode: str
    failures: int


@dataclass(frozen=True)
class Overview:
    """What was recorded since a moment, in groups."""

    failures: tuple[FailureGroup, ...]
    patched: tuple[PatchedGroup, ...]
    days: tuple[DayCount, ...]
