"""The simulated world: tasks, their days, and how an attempt with a given configuration ends.

Everything random is drawn beforehand, from the seed and the task's number alone, and indexed by day and try: every
strategy meets the same needs, the same faults and the same author.

What is measured, and what is assumed:

- *measured*: how much the peak memory of a process differs from execution to execution, and how it follows what the
  process reads (``rchar``): the sizey data set (github.com/dos-group/sizey, arXiv 2407.16353). Processes with a median
  peak of 128 MiB or more and 20 executions or more.
- *published*: about half of the failures stay unclassified even under a mature rule catalogue (Netflix, "Evolving
  from Rule-based Classifier: Machine Learning Powered Auto Remediation in Netflix Data Platform", 2024). Used in the
  sensitivity part only; the default is the catalogue as it is said to be, see :class:`Rates`.
- *measured* by the proof (``benchmarks/results/proof.json.gz``): which setting is the scarce one, and how many times what is
  declared a job needs that declares too little: among real jobs on a real cluster, of the project's own writing.
- *measured by the project* (docs/facts-spark.md): near the limit an OOM is not deterministic; a process that a container's limit
  killed leaves no peak, an exhausted heap one just below its size; a larger container than the largest is not granted.
- *the mix of causes* inside "transient" and "incurable": the counts of the project's open labelled failures. They are
  counts of public questions, not of failures in production: *assumed* to be alike.
- *assumed*, for want of a source: all else, above all every rate in :class:`Rates`, how tightly authors size, which
  setting is scarce, growth, seasons, that half of the cores need 0.7 of the memory and take 1.9 times as long, that
  memory changes no duration, and that the author raises a setting after three weeks (15 runs) in which it was always
  too small, whatever the strategy did.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.fingerprint import fingerprint
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import UNKNOWN, Conf
from benchmarks import raw_data

Array = NDArray[np.float64]

HEAP = "spark.executor.memory"
OVERHEAD = "spark.executor.memoryOverhead"
DRIVER = "spark.driver.memory"
RESULT = "spark.driver.maxResultSize"
KRYO = "spark.kryoserializer.buffer.max"
CORES = "spark.executor.cores"
KEYS = (KRYO, RESULT, OVERHEAD, HEAP, DRIVER)
"""Settings that can be too small, in the order in which that shows."""
CATEGORY = {
    HEAP: "executor_oom_heap",
    OVERHEAD: "executor_oom_overhead",
    DRIVER: "driver_oom_heap",
    RESULT: "driver_result_size",
    KRYO: "serializer_buffer",
}
SCARCE = {HEAP: 0.40, OVERHEAD: 0.30, DRIVER: 0.15, RESULT: 0.10, KRYO: 0.05}
"""Assumed: which setting is the scarce one of a task."""
TRANSIENT = {
    "shuffle_fetch_failure": 7,
    "network_timeout": 7,
    "resource_unavailable": 3,
    "object_store_other": 3,
    "executor_lost_preempted": 2,
    "object_store_throttle": 2,
    "metastore_or_catalog": 2,
    "concurrency_conflict": 1,
}
"""Counts among the open labelled failures."""
INCURABLE = {
    "dependency_missing": 11,
    "user_code_error": 9,
    "bad_data": 5,
    "auth_permission": 5,
    "submit_config_error": 4,
    "missing_data": 4,
    "internal_spark_bug": 4,
    "jdbc_source_error": 2,
    "schema_or_analysis_error": 1,
    "credentials_expired": 1,
    "license_or_quota": 1,
}
"""Likewise."""
LARGEST_CONTAINER = 64 * GIB
RETRIES = 3
TRIES = RETRIES + 1
START = 1_700_000_000.0
"""Seconds since the epoch at which day 0 begins."""
TEMPLATES = 30
"""Assumed: different error texts of a category, over the whole fleet."""
_TUNED_AFTER = 15


@dataclass(frozen=True)
class Rates:
    """How often things go wrong. Assumed, but for the two of the classifier."""

    transient: float = 0.008
    """Of an attempt."""
    stormy_days: float = 6 / 365
    """Days on which preemption and network faults strike the whole cluster."""
    transient_in_storm: float = 0.06
    again: float = 0.15
    """Of a transient fault, after one in the try before."""
    incurable_begins: float = 0.004
    """A day and task: code, data or permissions break, for two days on average."""
    deployed: float = 0.01
    """A day and task."""
    undersized: float = 0.05
    """Of deployments: what comes needs more than is declared, by as much as the jobs of the proof did."""
    edited: float = 0.15
    """Of deployments: the author sizes the task anew."""
    misclassified: float = 1 / 39
    """Of the causes of a task, persistently: another category. ``benchmarks/classify_accuracy.py`` (2026-11-24): 38 of
    39 driver logs of the lab right (and 112 of 112 open texts, on which the rules were made)."""
    unclassified: float = 0.10
    """Of the causes of a task, persistently: no rule matches. The same benchmark says 0 of 105, on texts that the rules
    were made on; Netflix says about a half. Assumed, in between."""


@dataclass(frozen=True)
class Process:
    """What sizey tells of one process: peaks relative to their median, what was read likewise, and how the one follows
    the other."""

    name: str
    median_peak: float
    peaks: tuple[float, ...]
    inputs: tuple[float, ...]
    slope: float
    """Of log peak over log bytes read, cut to 0..1.2."""


@dataclass(frozen=True)
class Fleet:
    """What all tasks have in common."""

    seed: int
    days: int
    pool: tuple[Process, ...]
    rates: Rates = field(default_factory=Rates)
    scarce: Mapping[str, float] = field(default_factory=lambda: dict(SCARCE))
    undersized: tuple[float, ...] = ()
    """Needs of jobs that declared too little, relative to what they declared; empty: none are deployed."""

    def storms(self) -> NDArray[np.bool_]:
        """On which days the cluster is unreliable."""
        rng = np.random.default_rng([self.seed, 77])
        return rng.random(self.days) < self.rates.stormy_days


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    succeeded: bool
    cause: str | None
    """The true category of a failure."""
    duration_s: float
    peaks: Mapping[str, float] = field(default_factory=dict)
    """What an event log would tell: of killed processes lower bounds, or nothing."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Quantities that the message states."""


@dataclass(frozen=True)
class Facts:
    """A configuration as numbers, by the product's own arithmetic."""

    sizes: tuple[float, ...]
    """Of :data:`KEYS`."""
    cores: int
    gib: float
    """Of all containers."""
    fits: bool
    """Whether the cluster grants its containers."""


@lru_cache(maxsize=200_000)
def _facts(conf: tuple[tuple[str, str], ...]) -> Facts:
    settings = dict(conf)
    size = {
        HEAP: allocation.heap(settings, "executor"),
        OVERHEAD: allocation.overhead(settings, "executor"),
        DRIVER: allocation.heap(settings, "driver"),
        RESULT: allocation.value(settings, RESULT) or PATCHABLE[RESULT].default or 0,
        KRYO: allocation.value(settings, KRYO) or PATCHABLE[KRYO].default or 0,
    }
    return Facts(
        tuple(float(size[key]) for key in KEYS),
        allocation.cores(settings, "executor"),
        allocation.total(settings) / GIB,
        allocation.container(settings, "executor") <= LARGEST_CONTAINER
        and allocation.container(settings, "driver") <= LARGEST_CONTAINER,
    )


def facts(conf: Conf) -> Facts:
    """*conf* as numbers."""
    return _facts(tuple(conf.items()))


def cost(conf: Conf, seconds: float) -> float:
    """GiB-hours."""
    return facts(conf).gib * max(0.0, seconds) / 3600


@dataclass(frozen=True)
class Task:
    """A task and its year. Arrays are indexed by day, or by day and try (from 0)."""

    number: int
    scarce: str
    epoch: NDArray[np.int64]
    """Which of its definitions holds on a day."""
    baselines: tuple[dict[str, str], ...]
    fingerprints: tuple[str, ...]
    runs: NDArray[np.bool_]
    """Whether it runs on a day."""
    needs: Array
    """Bytes: days x :data:`KEYS`."""
    jitter: Array
    """Factor of a try on the needs."""
    inputs: Array
    """Bytes."""
    seconds: Array
    """Of a successful run with the declared cores."""
    transient: NDArray[np.int64]
    """Number of the transient fault that strikes a try; -1: none."""
    broken: NDArray[np.int64]
    """Number of the incurable cause that holds on a day; -1: none."""
    failed_after: Array
    """Share of the run time after which a failing try ends."""
    verdicts: Mapping[str, str]
    """True category to what the classifier says."""
    calm: NDArray[np.bool_]
    """Whether the first try succeeds as declared."""
    calm_cost: Array
    """GiB-hours of that try."""

    @property
    def dag_id(self) -> str:
        return f"dag{self.number // 10}"

    @property
    def task_id(self) -> str:
        return f"task{self.number}"

    def baseline(self, day: int) -> dict[str, str]:
        """What the author declares on *day*."""
        return self.baselines[int(self.epoch[day])]

    def started_at(self, day: int, number: int) -> float:
        """Seconds since the epoch."""
        return START + day * 86_400.0 + self.number % 1440 * 20 + number * 3_600

    def needed(self, day: int, number: int, cores: int) -> tuple[float, ...]:
        """Bytes of each of :data:`KEYS` that try *number* (from 1) needs when executors have *cores* cores."""
        factor = float(self.jitter[day, number - 1])
        share = 0.4 + 0.6 * cores / allocation.cores(self.baseline(day), "executor")
        return tuple(
            float(need) * factor * (share if key in (HEAP, OVERHEAD) else 1.0)
            for key, need in zip(KEYS, self.needs[day], strict=True)
        )

    def attempt(self, day: int, number: int, conf: Conf) -> Ending:
        """How try *number* (from 1) of the run of *day* ends with *conf*."""
        has = facts(conf)
        slower = (allocation.cores(self.baseline(day), "executor") / has.cores) ** 0.9
        whole = float(self.seconds[day]) * slower
        cut = whole * float(self.failed_after[day, number - 1])
        if self.broken[day] >= 0:
            return Ending(False, _INCURABLE[self.broken[day]], cut * 0.5)
        if not has.fits:
            return Ending(False, "memory_request_invalid", 30.0)
        needs = self.needed(day, number, has.cores)
        for key, need, size in zip(KEYS, needs, has.sizes, strict=True):
            if need > size:
                return Ending(False, CATEGORY[key], cut, *_seen(key, need, size))
        fault = int(self.transient[day, number - 1])
        if fault >= 0:
            return Ending(False, _TRANSIENT[fault], cut)
        return Ending(True, None, whole, dict(zip(KEYS[2:], needs[2:], strict=True)))

    def cure(self, day: int, number: int) -> dict[str, str] | None:
        """The smallest configuration, at or above the declared one, that has what the try needs; ``None`` where the
        cluster grants none."""
        declared = self.baseline(day)
        cores = allocation.cores(declared, "executor")
        while cores >= 1:
            conf = self._enough(declared, self.needed(day, number, cores), cores)
            if conf is not None:
                return conf
            cores //= 2
        return None

    def _enough(self, declared: Conf, needs: Sequence[float], cores: int) -> dict[str, str] | None:
        conf = {**declared, CORES: str(cores)}
        has = dict(zip(KEYS, facts(declared).sizes, strict=True))
        short = {key for key, need in zip(KEYS, needs, strict=True) if need > has[key]}
        for key, need in zip(KEYS, needs, strict=True):
            least = math.ceil(need / MIB) * MIB
            if key == OVERHEAD and key not in short and HEAP in short:
                # The overhead that is not declared would grow with the heap: it is kept as it was.
                conf[key] = PATCHABLE[key].format(max(least, has[key] // MIB * MIB))
            elif key in short:
                if least > PATCHABLE[key].maximum:
                    return None
                conf[key] = PATCHABLE[key].format(least)
        return conf if facts(conf).fits else None

    def curable(self, day: int) -> bool:
        """Whether some configuration, or a plain retry, lets the run succeed: the first try's cure exists."""
        return bool(self.broken[day] < 0) and self.cure(day, 1) is not None


def _seen(key: str, need: float, size: float) -> tuple[dict[str, float], dict[str, int]]:
    """Peaks and quantities that are known of a failure for want of *key*."""
    if key in (HEAP, DRIVER):
        return {key: 0.97 * size}, {}
    if key in (RESULT, KRYO):
        return {}, {"needed": int(size + 0.3 * (need - size))}
    return {}, {}


_TRANSIENT = tuple(TRANSIENT)
_INCURABLE = tuple(INCURABLE)


# -------------------------------------------------------------------------------------------------------- the making


def processes(path: Path) -> tuple[Process, ...]:
    """What the sizey data set at *path* tells."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            peak, read = _number(row["peak_rss"]), _number(row["rchar"])
            if row["status"] == "COMPLETED" and peak and read:
                found[f"{row['workflow']}/{row['process']}"].append((peak, read))
    return tuple(
        process(name, executions)
        for name, executions in sorted(found.items())
        if len(executions) >= 20 and float(np.median([peak for peak, _ in executions])) >= 128 * MIB
    )


def process(name: str, executions: Sequence[tuple[float, float]]) -> Process:
    """One process from the peaks and bytes read of its *executions*."""
    peaks, reads = np.array(executions, dtype=np.float64).T
    x, y = np.log(reads), np.log(peaks)
    slope = float(np.polyfit(x, y, 1)[0]) if x.std() > 0.05 else 0.5
    median = float(np.median(peaks))
    return Process(
        name,
        median,
        tuple(float(each) for each in peaks / median),
        tuple(float(each) for each in reads / np.median(reads)),
        min(1.2, max(0.0, slope)),
    )


def made_up_processes() -> tuple[Process, ...]:
    """In place of the data set, where it is not there (a smoke run of a checkout without it)."""
    rng = np.random.default_rng(0)
    reads = np.exp(rng.normal(0, 0.4, (12, 60))) * GIB
    peaks = 2 * GIB * (reads / GIB) ** 0.7 * np.exp(rng.normal(0, 0.1, (12, 60)))
    return tuple(
        process(f"made up {number}", list(zip(p.tolist(), r.tolist(), strict=True)))
        for number, (p, r) in enumerate(zip(peaks, reads, strict=True))
    )


def scarce_in(proof: Path) -> dict[str, float] | None:
    """How often which setting was the scarce one among the curable jobs of ``proof.json.gz``: those whose cheapest
    passing configuration was found. ``None`` without the file, or when it tells of fewer than ten."""
    counts = Counter(
        key for declared, cure in _cured(proof) for key in KEYS if cure.get(key) != declared.get(key)
    )
    total = sum(counts.values())
    return {key: counts[key] / total for key in KEYS} if total >= 10 else None


def undersized_in(proof: Path) -> tuple[float, ...]:
    """How many times what they declare the curable jobs of ``proof.json.gz`` needed of their scarce setting of memory,
    sorted; empty without the file. A request that Spark itself refuses holds nothing that could be too little."""
    ratios = []
    for declared, cure in _cured(proof):
        for key in (HEAP, OVERHEAD, DRIVER):
            at = KEYS.index(key)
            had, needed = facts(declared).sizes[at], facts(cure).sizes[at]
            if cure.get(key) != declared.get(key) and needed > had and not _refused(declared, key):
                ratios.append(round(needed / had, 3))
    return tuple(sorted(ratios))


def _refused(declared: Conf, key: str) -> bool:
    """Whether Spark refuses what is declared, because it is below its minimum."""
    try:
        PATCHABLE[key].parse(declared.get(key, "1g"))
    except ValueError:
        return True
    return False


def _cured(proof: Path) -> list[tuple[Conf, Conf]]:
    """What each job of ``proof.json.gz`` declared for which the oracle found a cure, and that cure; none without the file,
    or when it holds something else."""
    try:
        jobs = raw_data.read(proof)["jobs"]
        return [(job["declared"], job["oracle"]["conf"]) for job in jobs if job.get("oracle")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


_NICE = tuple(
    MIB * each
    for each in (
        *(512, 1024, 2048, 3072, 4096, 6144, 8192, 10240, 12288, 16384, 20480, 24576, 28672, 32768, 40960),
        49152,
    )
)


def _nice(size: float) -> int:
    """The next size that people write down."""
    return next((each for each in _NICE if each >= size), _NICE[-1])


def make_task(fleet: Fleet, number: int) -> Task:
    """Task *number* of *fleet*, whatever tasks there are beside it."""
    rng = np.random.default_rng([fleet.seed, number])
    days, rates = fleet.days, fleet.rates
    source = fleet.pool[rng.integers(len(fleet.pool))]
    scarce = str(rng.choice(list(fleet.scarce), p=np.array(list(fleet.scarce.values()))))
    runs = _schedule(rng, days)
    grown = _growth(rng, days)
    sample = rng.integers(len(source.peaks), size=days)
    shape = np.array(source.peaks)[sample] * grown**source.slope
    inputs = np.array(source.inputs)[sample] * grown * source.median_peak
    deployed = rng.random(days) < rates.deployed
    jumps = np.where(deployed, np.exp(rng.normal(0.05, 0.35, days)), 1.0)
    edits = deployed & (rng.random(days) < rates.edited)
    # The author looks at twenty runs before the task goes live, and adds what he thinks is a margin.
    tried = float(np.quantile(np.array(source.peaks)[rng.integers(len(source.peaks), size=20)], 0.95))
    margin = float(max(0.7, np.exp(rng.normal(math.log(2.0), 0.5))))
    shape = shape * _levels(fleet, number, deployed, jumps, tried * margin)
    conf = _first_conf(rng, scarce, source.median_peak * tried * margin)
    scale = facts(conf).sizes[KEYS.index(scarce)] / (tried * margin)
    needs = _needs(rng, conf, scarce, shape * scale)
    epoch, baselines = _definitions(conf, scarce, needs[:, KEYS.index(scarce)], runs, edits, margin)
    version = np.cumsum(deployed, dtype=np.int64)
    fingerprints, epoch, baselines = _fingerprints(number, epoch, version, baselines)
    transient = _faults(rng, fleet.storms(), rates)
    broken = _broken(rng, days, rates, deployed)
    seconds = (
        float(np.exp(rng.normal(math.log(600), 1.0))) * np.clip(inputs / source.median_peak, 0.05, 20) ** 0.7
    )
    half = Task(
        number,
        scarce,
        epoch,
        baselines,
        fingerprints,
        runs,
        needs,
        np.exp(rng.normal(0, 0.04, (days, TRIES))),
        inputs,
        np.clip(seconds, 20, 86_400),
        transient,
        broken,
        rng.uniform(0.2, 1.0, (days, TRIES)),
        _verdicts(fleet, number),
        np.zeros(days, dtype=bool),
        np.zeros(days),
    )
    return _with_calm(half)


def _levels(fleet: Fleet, number: int, deployed: NDArray[np.bool_], jumps: Array, declared: float) -> Array:
    """What the job needs on each day relative to its first build. A build that is undersized needs as many times what
    was *declared* at first as a job of the proof did."""
    if not fleet.undersized:
        return np.asarray(np.cumprod(jumps))
    rng = np.random.default_rng([fleet.seed, number, 5])
    sudden = deployed & (rng.random(len(jumps)) < fleet.rates.undersized)
    ratios = rng.choice(np.array(fleet.undersized), size=len(jumps))
    levels, level = np.empty(len(jumps)), 1.0
    for day, jump in enumerate(jumps):
        level = max(level, declared * ratios[day]) if sudden[day] else level * jump
        levels[day] = level
    return levels


def _schedule(rng: np.random.Generator, days: int) -> NDArray[np.bool_]:
    """Four in five run daily, others weekly, one in twenty monthly (assumed)."""
    every = int(rng.choice([1, 7, 30], p=[0.8, 0.15, 0.05]))
    return np.asarray((np.arange(days) + int(rng.integers(every))) % every == 0)


def _growth(rng: np.random.Generator, days: int) -> Array:
    """Input over the year: growth, weekdays, ends of months, the weeks before the holidays (assumed)."""
    day = np.arange(days)
    grown = np.exp(rng.normal(0.15, 0.3) * day / 365)
    grown *= 1 + rng.uniform(0, 0.25) * np.sin(2 * np.pi * (day + rng.integers(7)) / 7)
    if rng.random() < 0.3:
        grown *= np.where(day % 30 >= 28, rng.uniform(1.2, 2.0), 1.0)
    if rng.random() < 0.4:
        grown *= np.where((day % 365 >= 320) & (day % 365 < 355), rng.uniform(1.2, 2.0), 1.0)
    return np.asarray(grown)


def _first_conf(rng: np.random.Generator, scarce: str, wanted: float) -> dict[str, str]:
    """What the author declares at first: *wanted* bytes of the scarce setting where it is one of memory."""
    heap = _nice(float(np.exp(rng.normal(math.log(4), 0.6))) * GIB)
    conf = {
        HEAP: f"{_nice(wanted) // MIB}m" if scarce == HEAP else f"{heap // MIB}m",
        DRIVER: f"{_nice(wanted) // MIB}m" if scarce == DRIVER else "2048m",
        CORES: str(int(rng.choice([1, 2, 4]))),
        "spark.executor.instances": str(int(rng.integers(2, 21))),
    }
    if scarce == OVERHEAD and rng.random() < 0.4:
        conf[OVERHEAD] = f"{max(512 * MIB, heap // 4) // MIB}m"
    if scarce == RESULT and rng.random() < 0.3:
        conf[RESULT] = "512m"
    return conf


def _needs(rng: np.random.Generator, conf: Conf, scarce: str, of_scarce: Array) -> Array:
    """Needs of all settings: of the scarce one as drawn, of one in four tasks' second setting in step with it and with
    more room, of the rest far below what is declared."""
    sizes = np.array(facts(conf).sizes)
    needs = sizes * rng.uniform(0.1, 0.5, len(KEYS)) * np.ones((len(of_scarce), 1))
    at = KEYS.index(scarce)
    if rng.random() < 0.25:
        second = int(rng.choice([number for number in range(len(KEYS)) if number != at]))
        relative = of_scarce / np.median(of_scarce)
        needs[:, second] = sizes[second] * rng.uniform(0.25, 0.8) * relative**0.5
    needs[:, at] = of_scarce
    return np.asarray(needs)


def _definitions(
    conf: dict[str, str],
    scarce: str,
    needs: Array,
    runs: NDArray[np.bool_],
    edits: NDArray[np.bool_],
    margin: float,
) -> tuple[NDArray[np.int64], tuple[dict[str, str], ...]]:
    """Which declared configuration holds on which day: the author sizes anew with some deployments, and after
    :data:`_TUNED_AFTER` runs in a row for which the setting was too small."""
    epoch = np.zeros(len(needs), dtype=np.int64)
    baselines = [conf]
    has = facts(conf).sizes[KEYS.index(scarce)]
    short = 0
    for day, need in enumerate(needs):
        if (edits[day] and day) or short >= _TUNED_AFTER:
            recent = float(np.quantile(needs[max(0, day - 20) : day + 1], 0.95))
            size = min(_nice(recent * max(1.1, margin)), int(min(PATCHABLE[scarce].maximum, 48 * GIB)))
            changed = {**baselines[-1], scarce: PATCHABLE[scarce].format(size)}
            if facts(changed).fits:
                baselines.append(changed)
                has = facts(changed).sizes[KEYS.index(scarce)]
            short = 0
        epoch[day] = len(baselines) - 1
        if runs[day]:
            short = short + 1 if need > has else 0
    return epoch, tuple(baselines)


def _fingerprints(
    number: int, epoch: NDArray[np.int64], version: NDArray[np.int64], baselines: Sequence[dict[str, str]]
) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[dict[str, str], ...]]:
    """A definition of its own for each combination of configuration and application."""
    pairs = sorted(set(zip(epoch.tolist(), version.tolist(), strict=True)))
    where = {pair: at for at, pair in enumerate(pairs)}
    prints = [
        fingerprint(baselines[conf], {"application": f"job{number}-{build}.jar"}) for conf, build in pairs
    ]
    at = np.array(
        [where[pair] for pair in zip(epoch.tolist(), version.tolist(), strict=True)], dtype=np.int64
    )
    return tuple(prints), at, tuple(baselines[conf] for conf, _ in pairs)


def _faults(rng: np.random.Generator, storms: NDArray[np.bool_], rates: Rates) -> NDArray[np.int64]:
    weights = np.array(list(TRANSIENT.values()), dtype=np.float64)
    kinds = rng.choice(len(weights), p=weights / weights.sum(), size=(len(storms), TRIES))
    likely = np.where(storms, rates.transient_in_storm, rates.transient)
    drawn = rng.random((len(storms), TRIES))
    struck = np.zeros((len(storms), TRIES), dtype=bool)
    for number in range(TRIES):
        before = struck[:, number - 1] if number else np.zeros(len(storms), dtype=bool)
        struck[:, number] = drawn[:, number] < np.where(before, rates.again, likely)
    return np.where(struck, kinds, -1).astype(np.int64)


def _broken(
    rng: np.random.Generator, days: int, rates: Rates, deployed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Episodes in which nothing helps; a deployment begins one five times as often as another day (assumed)."""
    weights = np.array(list(INCURABLE.values()), dtype=np.float64)
    broken = np.full(days, -1, dtype=np.int64)
    begins = rng.random(days) < rates.incurable_begins * np.where(deployed, 5, 1)
    lengths, kinds = rng.geometric(0.5, days), rng.choice(len(weights), p=weights / weights.sum(), size=days)
    for day in np.flatnonzero(begins):
        broken[day : day + lengths[day]] = kinds[day]
    return broken


def _verdicts(fleet: Fleet, number: int) -> dict[str, str]:
    """What the classifier says of each cause of this task: a text that it reads wrongly once it reads wrongly always."""
    named = {**dict.fromkeys(CATEGORY.values(), 4), **TRANSIENT, **INCURABLE}
    verdicts = {}
    for name in named:
        rng = np.random.default_rng([fleet.seed, number, zlib.crc32(name.encode())])
        drawn = rng.random()
        verdicts[name] = name
        if drawn < fleet.rates.unclassified:
            verdicts[name] = UNKNOWN
        elif drawn < fleet.rates.unclassified + fleet.rates.misclassified:
            others = [other for other in named if other != name]
            weights = np.array([named[other] for other in others], dtype=np.float64)
            verdicts[name] = str(rng.choice(others, p=weights / weights.sum()))
    return verdicts


def _with_calm(task: Task) -> Task:
    sizes = np.array([facts(conf).sizes for conf in task.baselines])[task.epoch]
    gib = np.array([facts(conf).gib for conf in task.baselines])[task.epoch]
    enough = (task.needs * task.jitter[:, :1] <= sizes).all(axis=1)
    calm = enough & (task.transient[:, 0] < 0) & (task.broken < 0)
    values: dict[str, Any] = {name: getattr(task, name) for name in task.__dataclass_fields__}
    return Task(**{**values, "calm": calm, "calm_cost": gib * task.seconds / 3600})


def rates_as_json(rates: Rates) -> dict[str, float]:
    return {name: round(float(value), 5) for name, value in asdict(rates).items()}
