"""From attempts to examples: one pass over the history, in which nothing is known of an attempt but what was known
when it began.

The attempts of one task are all that an example needs, so the pass can be made task by task, on one machine
(:func:`examples`) or on many (:mod:`airflow_autoremed.distributed`), with the same result.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.learning.features import TaskMemory, task_key
from airflow_autoremed.taxonomy import is_memory_failure
from airflow_autoremed.types import RecordedAttempt

_LONGEST_S = 30 * 24 * 3600.0
"""No attempt takes longer; more is a clock that was put right."""
_LATEST = 4102444800.0  # 2100-01-01
"""No attempt begins later."""


@dataclass(frozen=True)
class Example:
    """What was known of an attempt when it began, and how it ended."""

    row: NDArray[np.float32]
    failed: bool
    log_duration: float
    """Natural logarithm of its seconds over the task's usual ones; ``NaN`` where one of them is not known."""
    usual_duration_s: float
    """The task's, before it; ``NaN`` where nothing is known."""
    duration_s: float
    started_at: float
    group: str
    """The cause that it follows, ``first`` for a first try: what audits are also made for."""
    task: str
    template: str | None
    followed_memory_failure: bool
    """Whether the try before failed for a cause of memory."""


@dataclass
class Refused:
    """Attempts that nothing is learned from, by why."""

    reasons: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{count} {why}" for why, count in self.reasons.most_common())


def examples(
    records: Iterable[RecordedAttempt], refused: Refused | None = None, *, by_task: bool = False
) -> Iterator[Example]:
    """One example for each attempt whose end is known.

    :param records: in any order; of one task they are held in memory together.
    :param refused: counts what is nonsense and left out: no end, twice the same, negative or absurd durations.
    :param by_task: whether the attempts of each task stand together, as the store gives them: then only one task at
        a time is held in memory.
    """
    counted = refused if refused is not None else Refused()
    if by_task:
        for _, attempts in itertools.groupby(records, key=task_key):
            yield from of_task(attempts, counted)
        return
    tasks: dict[tuple[str, str], list[RecordedAttempt]] = {}
    for record in records:
        tasks.setdefault(task_key(record), []).append(record)
    for key in sorted(tasks):
        yield from of_task(tasks.pop(key), counted)


def of_task(records: Iterable[RecordedAttempt], refused: Refused) -> Iterator[Example]:
    """The examples of one task's attempts."""
    memory = TaskMemory()
    seen = set()
    for record in sorted(records, key=_order):
        why = _nonsense(record)
        if why is None and record.attempt in seen:
            why = "recorded twice"
        if why is not None:
            refused.reasons[why] += 1
            continue
        seen.add(record.attempt)
        yield _example(record, memory)
        memory.add(record)


def _order(record: RecordedAttempt) -> tuple[float, str, int, int]:
    # Clocks of workers differ: within a task instance the tries come in their order all the same.
    mine = record.attempt
    began = record.started_at if math.isfinite(record.started_at) else 0.0
    return began, mine.run_id, mine.map_index, mine.try_number


def _nonsense(record: RecordedAttempt) -> str | None:
    if record.succeeded is None:
        return "without an end"
    if not 0 < record.started_at < _LATEST:
        return "with an impossible time"
    if record.duration_s is not None and not 0 <= record.duration_s <= _LONGEST_S:
        return "with an impossible duration"
    if not record.effective and not record.baseline:
        return "without a configuration"
    return None


def _example(record: RecordedAttempt, memory: TaskMemory) -> Example:
    usual = memory.usual_duration_s
    seconds = record.duration_s if record.duration_s else math.nan
    last = memory.last_failure(record)
    return Example(
        memory.row(record),
        failed=record.succeeded is False,
        log_duration=math.log(seconds / usual) if seconds > 0 and usual > 0 else math.nan,
        usual_duration_s=usual,
        duration_s=seconds,
        started_at=record.started_at,
        group="first" if last is None else str(last.category or "unknown"),
        task=".".join(task_key(record)),
        template=None if last is None else last.template_id,
        followed_memory_failure=last is not None and is_memory_failure(last.category),
    )


@dataclass(frozen=True)
class TrainingSet:
    """Examples as arrays, the oldest first."""

    rows: NDArray[np.float32]
    failed: NDArray[np.bool_]
    log_duration: NDArray[np.float64]
    usual_duration_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    started_at: NDArray[np.float64]
    groups: NDArray[np.str_]
    tasks: NDArray[np.str_]
    templates: Counter[str]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, found: Iterable[Example]) -> TrainingSet:
        """Sorted by time; ties keep their order, which is by task."""
        from airflow_autoremed.learning.features import WIDTH

        rows: list[NDArray[np.float32]] = []
        blocks: list[NDArray[np.float32]] = []
        rest: list[tuple[bool, float, float, float, float, str, str]] = []
        templates: Counter[str] = Counter()
        for each in found:
            rows.append(each.row)
            if len(rows) == 65_536:  # one array in place of many small ones
                blocks.append(np.stack(rows))
                rows.clear()
            rest.append(
                (
                    each.failed,
                    each.log_duration,
                    each.usual_duration_s,
                    each.duration_s,
                    each.started_at,
                    each.group,
                    each.task,
                )
            )
            if each.template:
                templates[each.template] += 1
        if rows:
            blocks.append(np.stack(rows))
        matrix = np.concatenate(blocks) if blocks else np.empty((0, WIDTH), dtype=np.float32)
        del blocks, rows
        columns: list[Any] = list(zip(*rest, strict=True)) or [()] * 7
        started = np.array(columns[4], dtype=np.float64)
        order = np.argsort(started, kind="stable")
        kinds = (np.bool_, np.float64, np.float64, np.float64, np.float64, np.str_, np.str_)
        arrays: Any = (
            np.array(column, dtype=kind)[order] for column, kind in zip(columns, kinds, strict=True)
        )
        failed, log_duration, usual, seconds, started, groups, tasks = arrays
        return cls(matrix[order], failed, log_duration, usual, seconds, started, groups, tasks, templates)

    def part(self, chosen: slice) -> TrainingSet:
        """The examples in *chosen*."""
        return TrainingSet(
            self.rows[chosen],
            self.failed[chosen],
            self.log_duration[chosen],
            self.usual_duration_s[chosen],
            self.duration_s[chosen],
            self.started_at[chosen],
            self.groups[chosen],
            self.tasks[chosen],
            self.templates,
        )

    def similar(self) -> dict[str, int]:
        """How many examples there are of each cause, template and task, as a model's manifest keeps it."""
        counts: dict[str, int] = {}
        for kind, values in (("category", self.groups), ("task", self.tasks)):
            names, numbers = np.unique(values, return_counts=True)
            most = sorted(zip(names.tolist(), numbers.tolist(), strict=True), key=lambda pair: -pair[1])
            counts.update({f"{kind}={name}": int(number) for name, number in most[:5_000]})
        counts.update({f"template={name}": number for name, number in self.templates.most_common(5_000)})
        return counts
