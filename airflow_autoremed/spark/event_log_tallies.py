"""What is added up while an event log is read: peaks of processes, skew of stages, life times of containers.

Each keeps a few numbers for an executor or a live stage, whatever the number of tasks, and for so many executors and
stages at most: what a log says is not ours to believe.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import Conf

DRIVER = "driver"
_LEGACY_DRIVER = "<driver>"

_PARTS: Mapping[str, tuple[str, ...]] = {
    "heap": ("JVMHeapMemory",),
    "jvm_off_heap": ("JVMOffHeapMemory",),
    "off_heap": ("OffHeapUnifiedMemory",),
    "direct": ("DirectPoolMemory", "MappedPoolMemory"),
    "python": ("ProcessTreePythonRSSMemory",),
    "rss": ("ProcessTreeJVMRSSMemory", "ProcessTreePythonRSSMemory", "ProcessTreeOtherRSSMemory"),
}
"""Our name to the metrics of ``ExecutorMetricType`` that are added up for it."""


MAX_EXECUTORS = 20_000
"""Executors that are told apart. Those of before are summed up: of figures the largest."""
MAX_STAGES = 256
"""Stages that run at once. The one that began first is taken for over."""
_MAX_NAME = 200
"""Characters of an executor's id."""
_MAX_KINDS = 1_000
"""Sizes of executors, and resource profiles."""


class Peaks:
    """The largest figures of each executor."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, int]] = {}
        self._before: dict[str, int] = {}
        """The largest figures of executors that are no longer told apart."""
        self._overheads_before: dict[tuple[bool, bool], int] = {}
        """The largest overhead of theirs, by whether off-heap and Python memory are accounted for elsewhere."""
        self._driver_runs_tasks = False

    def take(self, executor: str, sample: Mapping[str, Any], *, runs_tasks: bool = False) -> None:
        """Take a sample. Figures of 0 and below are those of a process that told nothing."""
        executor = DRIVER if executor == _LEGACY_DRIVER else executor[:_MAX_NAME]
        self._driver_runs_tasks |= runs_tasks and executor == DRIVER
        known = self._of.get(executor)
        if known is None:
            self._sum_up_the_others()
            known = self._of.setdefault(executor, {})
        for name, parts in _PARTS.items():
            value = sum(_positive(sample.get(part)) for part in parts)
            if value > known.get(name, 0):
                known[name] = value

    def _sum_up_the_others(self) -> None:
        """Make room: executors are told apart no longer, but for the driver."""
        if len(self._of) < MAX_EXECUTORS:
            return
        driver = self._of.pop(DRIVER, None)
        for peaks in self._of.values():
            for name, value in peaks.items():
                self._before[name] = max(value, self._before.get(name, 0))
            for accounted in _ACCOUNTED:
                amount = _overhead(peaks, *accounted)
                if amount is not None:
                    self._overheads_before[accounted] = max(amount, self._overheads_before.get(accounted, 0))
        self._of = {} if driver is None else {DRIVER: driver}

    def results(self, conf: Conf) -> dict[str, int | None]:
        """The fields of ``RunMetrics`` whose names begin with ``peak_``, without ``peak_execution``."""
        ran_tasks = {
            executor: peaks
            for executor, peaks in self._of.items()
            if executor != DRIVER or self._driver_runs_tasks
        }
        found: dict[str, int | None] = {
            f"peak_{name}": max(
                self._before.get(name, 0), *(peaks.get(name, 0) for peaks in ran_tasks.values()), 0
            )
            or None
            for name in _PARTS
        }
        accounted = (
            bool(allocation.value(conf, "spark.memory.offHeap.enabled")),
            bool(allocation.value(conf, "spark.executor.pyspark.memory")),
        )
        overheads = [
            amount for peaks in ran_tasks.values() if (amount := _overhead(peaks, *accounted)) is not None
        ]
        if accounted in self._overheads_before:
            overheads.append(self._overheads_before[accounted])
        driver = self._of.get(DRIVER, {})
        return found | {
            "peak_overhead": max(overheads, default=None),
            "peak_driver_heap": driver.get("heap"),
            "peak_driver_rss": driver.get("rss"),
        }


_ACCOUNTED = ((False, False), (False, True), (True, False), (True, True))


def _overhead(peaks: Mapping[str, int], off_heap_apart: bool, python_apart: bool) -> int | None:
    """What the overhead of a container held: all that is resident, less what other settings account for."""
    if "rss" not in peaks or "heap" not in peaks:
        return None
    rest = peaks["rss"] - peaks["heap"]
    if off_heap_apart:
        rest -= peaks.get("off_heap", 0)
    if python_apart:
        rest -= peaks.get("python", 0)
    return max(0, rest)


MIN_TASKS = 8
"""Tasks of a stage below which its median says little."""
MIN_LONGEST_MS = 1000.0
"""Where the longest task takes less, starting up is most of the difference."""
_STEP = math.log(1.02)


class Skew:
    """Longest task / median task of each stage.

    Durations are counted in steps of 2%, so that a stage of a million tasks takes about a thousand numbers, and a
    median is off by 1% at most.
    """

    def __init__(self) -> None:
        self._live: dict[Any, tuple[Counter[int], float]] = {}
        self._largest: float | None = None

    def take(self, stage: Any, duration_ms: float) -> None:
        """Take a task that succeeded."""
        if stage not in self._live and len(self._live) >= MAX_STAGES:
            self.close(next(iter(self._live)))
        counts, longest = self._live.get(stage) or (Counter(), 0.0)
        counts[round(math.log(max(1.0, duration_ms)) / _STEP)] += 1
        self._live[stage] = (counts, max(longest, duration_ms))

    def close(self, stage: Any) -> None:
        """The stage is over."""
        if stage in self._live:
            self._largest = _larger(self._largest, _skew(*self._live.pop(stage)))

    def largest(self) -> float | None:
        """Of all stages, those that never were over included."""
        largest = self._largest
        for counts, longest in self._live.values():
            largest = _larger(largest, _skew(counts, longest))
        return largest


def _skew(counts: Counter[int], longest_ms: float) -> float | None:
    total = counts.total()
    if total < MIN_TASKS or longest_ms < MIN_LONGEST_MS:
        return None
    seen = 0
    for step in sorted(counts):
        seen += counts[step]
        if 2 * seen >= total:
            return max(1.0, longest_ms / math.exp(step * _STEP))
    raise AssertionError("unreachable")


def _larger(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


_NOT_LOST = re.compile(
    r"killed by driver|explicit termination|decommission|idle|exit(ed with)? (code|status):? 0\b|"
    r"exitCode=0\b|exit code 0\b|driver requested|application (finished|ended)|user request",
    re.IGNORECASE,
)
"""Reasons of removal that are no loss: Spark, or whoever runs it, gave the executor up (CoarseGrainedScheduler
and its subclasses for YARN, Kubernetes and standalone)."""


@dataclass(frozen=True)
class Held:
    """What an application held, over time."""

    executor_seconds: float | None
    core_seconds: float | None
    gib_seconds: float | None


@dataclass(frozen=True)
class _Executor:
    since_ms: float | None
    cores: int | None
    profile: int

    def lived_s(self, until_ms: float | None) -> float:
        return 0.0 if self.since_ms is None or until_ms is None else max(0.0, until_ms - self.since_ms) / 1e3


class Containers:
    """Who lived from when to when, with how much."""

    def __init__(self) -> None:
        self.added = 0
        self.lost = 0
        self.most = 0
        self.last_loss: str | None = None
        self._live: dict[str, _Executor] = {}
        self._gone_s: defaultdict[tuple[int | None, int], float] = defaultdict(float)
        """Life times by cores and profile: relaunched for ever, executors can be many."""
        self._profiles: dict[int, int] = {}
        self._local_cores: int | None = None

    def profile(self, number: int, requests: Mapping[str, Any]) -> None:
        """A stage-level resource profile. The first one (0) is what the configuration says anyway."""
        parts = ("memory", "memoryOverhead", "offHeap", "pyspark.memory")
        amounts = [_positive((requests.get(part) or {}).get("Amount")) for part in parts]
        if number != 0 and amounts[0] and len(self._profiles) < _MAX_KINDS:
            if not amounts[1]:  # by Spark's rule, which knows the memory of the profile only
                amounts[1] = allocation.default_overhead(amounts[0] * MIB) // MIB
            self._profiles[number] = sum(amounts) * MIB

    def add(self, executor: str, moment_ms: float | None, *, cores: int | None, profile: int) -> None:
        """An executor has registered. In local mode the driver is the one.

        :raises ValueError: when there are more than any application has.
        """
        if executor in (DRIVER, _LEGACY_DRIVER):
            self._local_cores = cores
            return
        executor = executor[:_MAX_NAME]
        self._leave(executor, moment_ms)  # in case there was no word of an earlier removal
        self.added += 1
        if len(self._live) >= MAX_EXECUTORS:
            raise ValueError("more executors at once than any application has")
        self._live[executor] = _Executor(moment_ms, cores, profile)
        self.most = max(self.most, len(self._live))

    def remove(self, executor: str, moment_ms: float | None, reason: str) -> None:
        """An executor is gone."""
        if executor in (DRIVER, _LEGACY_DRIVER):
            return
        self._leave(executor[:_MAX_NAME], moment_ms)
        if not _NOT_LOST.search(reason):
            self.lost += 1
            self.last_loss = reason or None

    def sum_up(self, conf: Conf, started_s: float | None, ended_s: float | None) -> Held:
        """Sums over the life times; an executor that was not removed lived as long as the application."""
        if started_s is None or ended_s is None:
            return Held(None, None, None)
        default = allocation.container(conf, "executor")
        whole = ended_s - started_s
        driver_cores = self._local_cores or allocation.cores(conf, "driver")
        lives = defaultdict(float, self._gone_s)
        for each in self._live.values():
            lives[each.cores, each.profile] += each.lived_s(ended_s * 1e3)
        core_s = driver_cores * whole
        byte_s = allocation.container(conf, "driver") * whole
        for (cores, profile), lived in lives.items():
            core_s += lived * (cores or allocation.cores(conf, "executor"))
            byte_s += lived * self._profiles.get(profile, default)
        return Held(float(sum(lives.values())), core_s, byte_s / GIB)

    def _leave(self, executor: str, moment_ms: float | None) -> None:
        known = self._live.pop(executor, None)
        if known is not None:
            kind = (known.cores, known.profile)
            if kind not in self._gone_s and len(self._gone_s) >= _MAX_KINDS:
                kind = (None, 0)  # of the size that is declared
            self._gone_s[kind] += known.lived_s(moment_ms)


def _positive(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 2**63:
        return 0
    return int(value)
