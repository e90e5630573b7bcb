"""What the store hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_autoremed.types import Action, AttemptId, Conf, EvidenceLine, Mode, Patch


class StoreError(Exception):
    """Anything that keeps the store from doing what it was asked. The only error that a store raises."""


@dataclass(frozen=True)
class StoredVerdict:
    """What was decided about an attempt, as the next try needs it."""

    attempt: AttemptId
    action: Action
    mode: Mode
    reason: str
    category: str
    patch: Patch | None
    """As it was found in the store, which others may write to: nothing in it has been validated."""


@dataclass(frozen=True)
class HistoryRow:
    """All that is known of one attempt. A part that was never recorded is ``None`` or empty."""

    attempt: AttemptId
    operator: str | None = None
    started_at: datetime | None = None
    patched: bool = False
    """Whether the attempt ran with a configuration other than the declared one."""
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
    excerpt: str = ""
    succeeded: bool | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    gib_seconds: float | None = None
    """Memory of all containers times the time they were held, in GiB-seconds."""
