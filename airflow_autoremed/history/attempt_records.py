"""What an attempt records of itself in the store.

Loaded in every attempt, so these are named tuples, which are made faster than dataclasses. What is read back is in
:mod:`airflow_autoremed.history.stored`, which only failures and people need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_autoremed.types import AttemptId, Conf, Decision, Mode, PatchRules, RecordedAttempt, TaskRecord


class AttemptStart(NamedTuple):
    """An attempt as it started."""

    attempt: AttemptId
    baseline: Conf
    """The declared configuration."""
    effective: Conf
    """The configuration it runs with."""
    operator: str
    """The name of the operator's class."""
    started_at: datetime
    patched: bool = False
    """Whether a patch was applied."""
    fingerprint: str | None = None
    """Of the job (:mod:`airflow_autoremed.spark.fingerprint`)."""
    patch_key: str | None = None
    """Of the patch that was applied."""
    max_tries: int | None = None
    """Airflow's, at that time. Clearing the task raises it, which begins a new sequence of tries."""


class AttemptDecision(NamedTuple):
    """What was decided about a failed attempt, with what it was decided from."""

    decision: Decision
    mode: Mode
    reason: str
    """Of the decision, in words (:mod:`airflow_autoremed.remediation.reasons`)."""
    excerpt: str = ""
    """Of the evidence, for people; 16 KB of it are kept."""
    max_tries: int | None = None
    """Airflow's, at that time: clearing the task changes it."""
    template: str | None = None
    """Of an unclassified failure: its text with everything particular masked."""
    template_id: str | None = None
    opinion: str | None = None
    """JSON of the text model's second opinion."""


class AttemptEnd(NamedTuple):
    """How an attempt ended."""

    succeeded: bool | None
    """``None``: it was ended from outside (SIGTERM, marked, cleared), which says nothing about the job. Nothing is
    learned from it, and its patch stays as it is."""
    ended_at: datetime
    duration_s: float | None = None
    gib_seconds: float | None = None
    """Memory of all its containers times the time they were held, where known."""


Judge = Callable[[str, TaskRecord], tuple[bool, str]]
"""Whether to ``promote`` a patch, or to ``keep`` a promoted one, and why: the policy, which is not the store's."""


MakeFloor = Callable[[Sequence[RecordedAttempt]], "FloorPatch | None"]
"""What a task starts with because of its last attempts, oldest first; ``None``: as declared. The policy, likewise."""


class FloorPatch(NamedTuple):
    """A floor as the store keeps it."""

    operations: tuple[Mapping[str, Any], ...]
    """Of a JSON patch against what the task declares."""
    why: str
    """For a person, in one line."""


class Promotion(NamedTuple):
    """When a patch outlives its run, and who judges whether it is worth it."""

    rules: PatchRules
    judge: Judge
    floor: MakeFloor | None = None
    """Makes the task's floor anew; ``None``: floors stay as they are."""
    every_end: bool = False
    """Whether a success without a patch makes the floor anew, too. In shadow mode no try runs with one, so that
    nothing else would end it."""


class AttemptRecord(NamedTuple):
    """All that is recorded of an attempt at one time."""

    attempt: AttemptId
    start: AttemptStart | None = None
    decision: AttemptDecision | None = None
    end: AttemptEnd | None = None
    promotion: Promotion | None = None


class AirflowAttempt(NamedTuple):
    """An attempt as Airflow's own history tells of it, afterwards."""

    attempt: AttemptId
    operator: str
    """The name of the operator's class."""
    started_at: datetime
    conf: Conf = MappingProxyType({})
    """What its rendered fields say of its configuration; empty where they say nothing."""
    succeeded: bool | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    gib_seconds: float | None = None
