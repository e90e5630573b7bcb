"""What the predictor sees of an attempt: one row of numbers, the same in training and in a failing task.

A row has three parts:

- *context*: what is known of the task and of the failure before, whatever is tried next (:data:`CONTEXT`);
- *settings*: for each setting of :data:`KEYS`, how large it is, by itself and beside what the task declares, what
  failed, what sufficed, and what was used at most (:data:`RELATIONS`), as base-2 logarithms;
- *names*: Dag, task, operator, category and so on, hashed to :data:`HASHED` columns of -1, 0 or 1 (and sums).

What is not known is ``NaN``. Each column of the settings depends on a single setting, and rises with it: that is
what makes a whole lattice of candidates cheap to evaluate (:mod:`airflow_autoremed.learning.families`).

Imports numpy: loaded only where there is a model, or one is trained.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import MIB
from airflow_autoremed.taxonomy import is_memory_failure
from airflow_autoremed.types import REMEMBERED, Axis, Conf, RecordedAttempt

VERSION = 2
"""Of the rows. A model that was trained on rows of another version is not used."""

KEYS = (
    "spark.executor.memory",
    "spark.executor.memoryOverhead",
    "spark.memory.offHeap.size",
    "spark.executor.pyspark.memory",
    "spark.driver.memory",
    "spark.driver.memoryOverhead",
    "spark.driver.maxResultSize",
    "spark.kryoserializer.buffer.max",
    "spark.executor.cores",
    "spark.executor.instances",
    "spark.sql.shuffle.partitions",
    "spark.network.timeout",
)
"""Settings that the predictor knows."""
MEMORY_KEYS = frozenset(KEYS[:6])
"""More of one of these, and of nothing else, never makes a failure likelier."""
RELATIONS = ("size", "to_declared", "to_failed", "to_passed", "to_peak")
SIGNS = ("spill_bytes", "shuffle_bytes", "gc_share", "skew", "stages", "executors_lost")
"""Of the event log of the task's latest attempt that has one; all but the share as ``log2(1 + x)``."""
CONTEXT = (
    "try_number",
    "same_cause_before",
    "task_attempts",
    "task_failures",
    "failures_of_instance",
    "duration_spread",
    "last_to_usual_duration",
    "input_to_usual",
    "of_memory",
    *SIGNS,
)
HASHED = 32
_SETTINGS = len(CONTEXT)
_NAMES = _SETTINGS + len(KEYS) * len(RELATIONS)
WIDTH = _NAMES + HASHED
COLUMNS = (
    *CONTEXT,
    *(f"{key}:{relation}" for key in KEYS for relation in RELATIONS),
    *(f"name{number}" for number in range(HASHED)),
)
MONOTONE = np.array([-1 if name.partition(":")[0] in MEMORY_KEYS else 0 for name in COLUMNS], dtype=np.int8)
"""-1 where a larger number never makes a failure likelier."""

_POSITION = {key: number for number, key in enumerate(KEYS)}
_SMALLEST = {key: float(MIB) if PATCHABLE[key].kind == "memory" else 1.0 for key in KEYS}

Row = NDArray[np.float32]


@lru_cache(maxsize=20_000)
def _sizes(conf: tuple[tuple[str, str], ...]) -> NDArray[np.float64]:
    settings = dict(conf)
    values = np.empty(len(KEYS))
    for number, key in enumerate(KEYS):
        values[number] = max(_SMALLEST[key], _value(settings, key))
    return np.log2(values)


def _value(conf: Conf, key: str) -> float:
    """What holds for *key*: declared, or Spark's default."""
    for role in ("executor", "driver"):
        if key == f"spark.{role}.memoryOverhead":
            return allocation.overhead(conf, role)
    if key == "spark.memory.offHeap.size" and not allocation.value(conf, "spark.memory.offHeap.enabled"):
        return 0.0
    if key == "spark.executor.instances":
        return allocation.executors(conf)
    return allocation.value(conf, key) or PATCHABLE[key].default or 0.0


def sizes(conf: Conf) -> NDArray[np.float64]:
    """Base-2 logarithm of each of :data:`KEYS` in *conf*, Spark's default where it is not set."""
    return _sizes(tuple(sorted((key, value) for key, value in conf.items() if key in PATCHABLE)))


class TaskMemory:
    """What is remembered of the attempts of one task, in the order in which they began."""

    def __init__(self) -> None:
        self._sizes = np.full((REMEMBERED, len(KEYS)), np.nan)
        self._peaks = np.full((REMEMBERED, len(KEYS)), np.nan)
        self._failed = np.zeros(REMEMBERED, dtype=bool)
        self._passed = np.zeros(REMEMBERED, dtype=bool)
        self._seconds = np.full(REMEMBERED, np.nan)
        self._inputs = np.full(REMEMBERED, np.nan)
        self._records: list[RecordedAttempt | None] = [None] * REMEMBERED
        self._signs = (math.nan,) * len(SIGNS)
        self._count = 0

    @classmethod
    def of(cls, past: Iterable[RecordedAttempt]) -> TaskMemory:
        """What is known of a task from its *past* attempts."""
        memory = cls()
        for record in past:
            memory.add(record)
        return memory

    def add(self, record: RecordedAttempt) -> None:
        """Remember *record*; the oldest of more than :data:`REMEMBERED` is forgotten."""
        at = self._count % REMEMBERED
        self._sizes[at] = sizes(record.effective)
        self._peaks[at] = np.nan
        for key, peak in record.peaks.items():
            if key in _POSITION and peak > 0:
                self._peaks[at, _POSITION[key]] = math.log2(peak)
        self._failed[at] = record.succeeded is False
        self._passed[at] = record.succeeded is True
        self._seconds[at] = _positive(record.duration_s)
        self._inputs[at] = _positive(record.input_bytes)
        self._records[at] = record
        if record.signs:
            self._signs = tuple(_sign(name, record.signs.get(name)) for name in SIGNS)
        self._count += 1

    @property
    def usual_duration_s(self) -> float:
        """Median of the successful attempts, else of all; ``NaN`` where none is known."""
        passed = self._seconds[self._passed & np.isfinite(self._seconds)]
        known = passed if len(passed) else self._seconds[np.isfinite(self._seconds)]
        return float(np.median(known)) if len(known) else math.nan

    def last_failure(self, coming: RecordedAttempt) -> RecordedAttempt | None:
        """The failed try of the same task instance that *coming* follows; ``None`` for a first try."""
        before = self._instance(coming)
        return before[-1] if before else None

    def row(self, coming: RecordedAttempt) -> Row:
        """The row of *coming*, which is not in the memory yet."""
        row = np.full(WIDTH, np.nan, dtype=np.float32)
        before = self._instance(coming)
        last = before[-1] if before else None
        cause = last.category if last is not None else None
        usual = self.usual_duration_s
        known = min(self._count, REMEMBERED)
        finite = self._seconds[np.isfinite(self._seconds)]
        inputs = self._inputs[np.isfinite(self._inputs)]
        row[: len(CONTEXT)] = (
            coming.attempt.try_number,
            sum(each.category == cause for each in before) if cause is not None else 0,
            math.log2(1 + self._count),
            float(self._failed.sum()) / known if known else math.nan,
            len(before),
            float(np.log2(finite.max() / finite.min())) if len(finite) > 1 else math.nan,
            math.log2(last.duration_s / usual)
            if last is not None and last.duration_s and last.duration_s > 0 and usual > 0
            else math.nan,
            math.log2(coming.input_bytes / float(np.median(inputs)))
            if coming.input_bytes and len(inputs)
            else math.nan,
            float(is_memory_failure(cause)),
            *self._signs,
        )
        now = sizes(coming.effective)
        for column, reference in enumerate(self._references(coming, cause)):
            row[_SETTINGS + column : _NAMES : len(RELATIONS)] = now - reference
        row[_NAMES:] = _names(coming, last)
        return row

    def along(self, coming: RecordedAttempt, axes: Sequence[Axis]) -> list[tuple[NDArray[np.intp], Row]]:
        """For each axis, the columns that it moves, and what stands in them: ``(values, columns)``, ascending."""
        before = self._instance(coming)
        references = self._references(coming, before[-1].category if before else None)
        keys = {axis.key.replace("spark.yarn.", "spark.") for axis in axes}
        return [self._along(axis, coming, references, keys) for axis in axes]

    def _along(
        self, axis: Axis, coming: RecordedAttempt, references: NDArray[np.float64], keys: set[str]
    ) -> tuple[NDArray[np.intp], Row]:
        moved: list[tuple[int, NDArray[np.float64]]] = []
        key = axis.key.replace("spark.yarn.", "spark.")  # the overhead's name before Spark 2.3
        if key in _POSITION:
            values = np.log2(np.maximum(np.asarray(axis.values, dtype=np.float64), _SMALLEST[key]))
            moved.append((_POSITION[key], values))
        for role in ("executor", "driver"):
            implied = f"spark.{role}.memoryOverhead"
            if key == f"spark.{role}.memory" and implied not in keys:
                # Where it is not declared, the overhead grows with the heap.
                grown = [
                    allocation.overhead({**coming.effective, key: f"{int(value)}b"}, role)
                    for value in axis.values
                ]
                moved.append((_POSITION[implied], np.log2(grown)))
        columns, blocks = [], []
        for position, values in moved:
            for relation in range(len(RELATIONS)):
                columns.append(_SETTINGS + position * len(RELATIONS) + relation)
                blocks.append(values - references[relation, position])
        block = np.stack(blocks, axis=1) if blocks else np.empty((len(axis.values), 0))
        return np.array(columns, dtype=np.intp), block.astype(np.float32)

    def _references(self, coming: RecordedAttempt, cause: str | None) -> NDArray[np.float64]:
        """What a setting is set beside, for each of :data:`RELATIONS`: ``(relations, keys)``."""
        references = np.full((len(RELATIONS), len(KEYS)), np.nan)
        references[0] = 0.0
        references[1] = sizes(coming.baseline)
        failed = self._failed
        if cause is not None:
            failed = failed & np.array(
                [each is not None and each.category == cause for each in self._records]
            )
        references[2] = _largest(self._sizes[failed])
        passed = self._sizes[self._passed]
        references[3] = passed.min(axis=0) if len(passed) else np.nan
        references[4] = _largest(self._peaks)
        return references

    def _instance(self, coming: RecordedAttempt) -> list[RecordedAttempt]:
        """The failed tries of the same task instance before, oldest first."""
        mine = coming.attempt
        found = [
            each
            for each in self._records
            if each is not None
            and each.succeeded is False
            and (each.attempt.run_id, each.attempt.map_index) == (mine.run_id, mine.map_index)
            and each.attempt.try_number < mine.try_number
        ]
        return sorted(found, key=lambda each: each.attempt.try_number)


def task_key(record: RecordedAttempt) -> tuple[str, str]:
    """Which attempts share a memory: those of one task, whatever the run."""
    return record.attempt.dag_id, record.attempt.task_id


def _largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest known of each column; ``NaN`` where none is."""
    if not len(values):
        return np.full(values.shape[1], np.nan)
    filled = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    return np.where(np.isinf(filled), np.nan, filled)


def _positive(value: float | None) -> float:
    return float(value) if value is not None and value > 0 and math.isfinite(value) else math.nan


def _sign(name: str, value: float | None) -> float:
    if value is None or not 0 <= value < math.inf:
        return math.nan
    return value if name == "gc_share" else math.log2(1 + value)


def _names(coming: RecordedAttempt, last: RecordedAttempt | None) -> NDArray[np.float64]:
    hashed = np.zeros(HASHED)
    for text in _texts(coming, last):
        number = zlib.crc32(text.encode("utf-8", "replace"))
        hashed[number % HASHED] += 1.0 if number >> 16 & 1 else -1.0
    return hashed


def _texts(coming: RecordedAttempt, last: RecordedAttempt | None) -> list[str]:
    named: Mapping[str, str | None] = {
        "user": coming.user,
        "dag": coming.attempt.dag_id,
        "task": coming.attempt.task,
        "operator": coming.operator,
        "application": coming.fingerprint,
        "after": last.category if last is not None else "nothing",
        "template": last.template_id if last is not None else None,
    }
    return [f"{name}={value}" for name, value in named.items() if value]
