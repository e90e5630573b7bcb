"""The floor: the memory that a task starts with, because of what its last runs needed.

Nothing is predicted. Of each part of a container, the tries of the last :data:`RUNS` runs say which sizes failed and
which passed; the floor lies where the failures end. It rests on sizes alone and needs no event log. Where one is
known, its peak can only lower the floor, because a heap fills what it is given: a peak is at least what was needed
(docs/facts-learning.md).

Two safeguards: the floor is never above a size that passed unless that size failed, too, so it does not climb by
itself; and it is never below what is declared. When the failure is older than the last runs, the floor goes, and the
next run shows whether it is still needed.

Imports no numpy: a worker computes it whenever it records an attempt that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import NamedTuple

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.limits import growth_ceiling, room, violations
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Conf, Limits, Pool, RecordedAttempt

RUNS = 15
"""Runs of a task that its floor looks back on. Between 7 and 30 it makes no difference (docs/facts-learning.md)."""
MARGIN = 1.15
"""Over a peak: the next run may need a little more."""
ABOVE = 1.05
"""Over the largest size that failed, whatever the peaks say."""
STEP = 1.5
"""Over the largest size that failed, where none above it was tried yet."""


class Part(NamedTuple):
    """A part of a container whose size a floor may raise."""

    role: Role
    pool: Pool

    def key(self, conf: Conf) -> str:
        """The setting that sizes it, in the author's spelling."""
        if self.pool is Pool.HEAP:
            return f"spark.{self.role}.memory"
        return allocation.overhead_key(conf, self.role)

    def size(self, conf: Conf) -> int:
        """Bytes: declared, or by Spark's rule."""
        sized = allocation.heap if self.pool is Pool.HEAP else allocation.overhead
        return sized(conf, self.role)


PARTS = (
    Part("executor", Pool.OVERHEAD),
    Part("executor", Pool.HEAP),
    Part("driver", Pool.HEAP),
    Part("driver", Pool.OVERHEAD),
)


@dataclass(frozen=True)
class Seen:
    """What one try says about the memory that its task needs."""

    run_id: str
    began: float
    """Seconds since the epoch."""
    fingerprint: str
    sizes: Mapping[Part, int]
    """What it ran with."""
    short_of: Part | None
    """What it ran out of; ``None``: it succeeded."""
    peaks: Mapping[Part, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Floor:
    """What a task starts with instead of what it declares."""

    conf: Conf
    """The whole configuration."""
    why: str
    """For a person: ``spark.executor.memory 4g -> 5.2g: 4g failed on 11-20, the 6 runs above it used at most ...``."""


def seen(attempt: RecordedAttempt) -> Seen | None:
    """What *attempt* says; ``None`` when it failed of something else, or its end is not known."""
    short_of = None if attempt.succeeded else part_of(attempt.category, attempt.effective)
    if attempt.succeeded is None or (not attempt.succeeded and short_of is None):
        return None
    peaks = {}
    if attempt.succeeded:
        for part in PARTS:
            peak = attempt.peaks.get(
                f"spark.{part.role}.memory{'' if part.pool is Pool.HEAP else 'Overhead'}"
            )
            if peak:
                peaks[part] = int(peak)
    return Seen(
        attempt.attempt.run_id,
        attempt.started_at,
        attempt.fingerprint,
        {part: part.size(attempt.effective) for part in PARTS},
        short_of,
        peaks,
    )


def part_of(category: str | None, conf: Conf) -> Part | None:
    """The part of a container that a failure of this category was short of; ``None``: of none, or it is not known."""
    known = CATEGORIES.get(category or "")
    if known is None or known.side is None or known.pool is None:
        return None
    pool = known.pool
    if pool is Pool.PYTHON and not allocation.value(conf, "spark.executor.pyspark.memory"):
        pool = Pool.OVERHEAD  # where Python's memory has no limit of its own
    part = Part(known.side.value, pool)
    return part if part in PARTS else None


def floor_after(attempts: Iterable[RecordedAttempt], declared: Conf, limits: Limits) -> Floor | None:
    """:func:`floor` after these attempts of a task, oldest first."""
    return floor([each for each in map(seen, attempts) if each is not None], declared, limits)


def floor(past: Iterable[Seen], declared: Conf, limits: Limits) -> Floor | None:
    """What the coming run of a task starts with; ``None``: as declared.

    :param past: the task's tries, oldest first.
    """
    recent = _of_last_runs(list(past))
    conf, reasons = dict(declared), []
    for part in PARTS:
        has = part.size(declared)
        wanted = _enough(part, recent)
        if wanted is None or wanted.size <= has:
            continue
        key = part.key(declared)
        most = min(growth_ceiling(key, declared, limits), room(key, part.role, conf, limits))
        size = int(min(wanted.size, most, PATCHABLE[key].maximum)) // MIB * MIB
        if size <= has or size <= part.size(conf):
            continue
        conf[key] = PATCHABLE[key].format(size)
        clamped = "" if size >= wanted.size // MIB * MIB else ", as far as the limits allow"
        reasons.append(f"{key} {shown(has)} -> {shown(size)}: {wanted.why}{clamped}")
    if not reasons or violations(conf, declared, limits):
        return None
    return Floor(conf, "; ".join(reasons))


class _Wanted(NamedTuple):
    size: int
    why: str


def _enough(part: Part, recent: Sequence[Seen]) -> _Wanted | None:
    """The size of *part* that the failures call for; ``None`` where it failed in none of the runs."""
    failures = [each for each in recent if each.short_of == part]
    if not failures:
        return None
    last = max(failures, key=lambda each: (each.sizes[part], each.began))
    low = last.sizes[part]
    failed = f"{shown(low)} failed on {datetime.fromtimestamp(last.began, timezone.utc):%m-%d}"
    above = [each for each in recent if each.short_of is None and each.sizes[part] > low]
    if not above:
        return _Wanted(int(low * STEP), f"{failed}, and nothing above it was tried (x {STEP:g})")
    sizes = {}
    for each in above:
        size, peak = each.sizes[part], each.peaks.get(part)
        sizes[id(each)] = size if peak is None else min(size, int(max(peak * MARGIN, low * ABOVE)))
    size = max(sizes.values())
    peaks = [each.peaks[part] for each in above if part in each.peaks]
    runs = "the run above it" if len(above) == 1 else f"the {len(above)} runs above it"
    if len(peaks) == len(above) and size == int(max(peaks) * MARGIN):
        return _Wanted(size, f"{failed}, {runs} used at most {shown(max(peaks))} (x {MARGIN:g})")
    if len(peaks) == len(above) and size == int(low * ABOVE):
        return _Wanted(size, f"{failed}, {runs} used no more than that (x {ABOVE:g})")
    return _Wanted(size, f"{failed}, {runs} passed with {shown(size)}")


def _of_last_runs(past: Sequence[Seen]) -> list[Seen]:
    """The tries of the last :data:`RUNS` runs."""
    runs: dict[str, None] = {}
    for each in reversed(past):
        if each.run_id not in runs and len(runs) == RUNS:
            break
        runs[each.run_id] = None
    return [each for each in past if each.run_id in runs]


def shown(size: float) -> str:
    """*size* bytes for people: ``5.2g``, ``640m``."""
    if size >= GIB:
        return f"{size / GIB:.1f}".removesuffix(".0") + "g"
    return f"{size / MIB:.0f}m"
