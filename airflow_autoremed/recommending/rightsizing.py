"""Right-sizing: a smaller configuration for tasks that never come near theirs.

The published finding is that requested executor memory was about four times the peak that was used (docs/facts-learning.md).
What is proposed is the smallest size with a margin over the largest peak ever measured; a model that knows the task
may only make it larger. Peaks of heap are of a garbage-collected heap, which fills what it is given: they overstate
what is needed, never the other way round.

Imports numpy only where there is a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.taxonomy import is_memory_failure
from airflow_autoremed.types import UNKNOWN, Axis, Conf, Objective, Predictor, Question, RecordedAttempt

MARGIN = 1.3
"""Over the largest peak. With 1.1 and a doubling after a failure, 66 of 7,307 tasks failed in the project's own
measurement on public data (docs/facts-learning.md); here a failure costs trust, too."""
WORTH_IT = 0.75
"""A proposal that is larger than this share of what is declared is not worth the change."""
LEAST_RUNS = 5
MOST_FAILURES = 0.05
"""P(fail) of the smaller configuration, by the model, at most."""
_RESERVED = 300 * MIB
"""Of the heap, which Spark keeps for itself (``UnifiedMemoryManager``)."""
_KEYS = (
    "spark.executor.memory",
    "spark.driver.memory",
    "spark.executor.pyspark.memory",
    "spark.memory.offHeap.size",
)
_WEEK = 7 * 86_400.0


@dataclass(frozen=True)
class Proposal:
    """A smaller size of one setting of one task."""

    dag_id: str
    task_id: str
    map_index: int
    key: str
    declared: int
    """Bytes."""
    peak: int
    """Bytes that were used at most."""
    proposed: int
    """Bytes."""
    runs: int
    """Successful runs whose peak was measured."""
    saved_gib_hours: float
    """A week, at the pace of the past."""
    fails: float | None
    """P(fail) with the proposal, by the model; ``None`` where none knows the task."""
    by: str
    """``largest peak``, or the model's name."""
    baseline: Conf
    fingerprint: str
    """Of the job that it holds for: another one starts as declared."""

    @property
    def conf(self) -> dict[str, str]:
        """The whole configuration with the proposal in it."""
        return {**self.baseline, self.key: PATCHABLE[self.key].format(self.proposed)}


def proposals(
    past: Sequence[RecordedAttempt], predictor: Predictor | None = None, objective: Objective | None = None
) -> list[Proposal]:
    """What a task could do with less of.

    :param past: its attempts, all of one task instance index, oldest first.
    """
    if not past:
        return []
    latest = past[-1]
    same = [
        each for each in past if each.fingerprint == latest.fingerprint and each.baseline == latest.baseline
    ]
    passed = [each for each in same if each.succeeded and each.effective == each.baseline]
    if any(each.succeeded is False and _near(each) for each in same):
        return []
    found = []
    for key in _KEYS:
        if key not in latest.baseline:
            continue
        proposal = _for_key(key, latest, passed, past, predictor, objective or Objective())
        if proposal is not None:
            found.append(proposal)
    return found


def _for_key(
    key: str,
    latest: RecordedAttempt,
    passed: Iterable[RecordedAttempt],
    past: Sequence[RecordedAttempt],
    predictor: Predictor | None,
    objective: Objective,
) -> Proposal | None:
    measured = [each for each in passed if each.peaks.get(key)]
    declared = int(allocation.value(latest.baseline, key) or 0)
    if len(measured) < LEAST_RUNS or not declared:
        return None
    peak = int(max(each.peaks[key] for each in measured))
    reserved = _RESERVED if key in ("spark.executor.memory", "spark.driver.memory") else 0
    least = max(peak * MARGIN + reserved, PATCHABLE[key].minimum)
    proposed = int(-(-least // (64 * MIB)) * 64 * MIB)
    fails, by = None, "largest peak"
    if predictor is not None:
        fails, by, proposed = _asked(predictor, latest, past, key, proposed, declared, objective)
    if proposed > declared * WORTH_IT:
        return None
    count = 1 if key.startswith("spark.driver") else allocation.executors(latest.baseline)
    span = max(_WEEK, max(each.started_at for each in measured) - min(each.started_at for each in measured))
    seconds = sum(each.duration_s or 0.0 for each in measured) * _WEEK / span
    mine = latest.attempt
    return Proposal(
        mine.dag_id,
        mine.task_id,
        mine.map_index,
        key,
        declared,
        peak,
        proposed,
        len(measured),
        (declared - proposed) / GIB * count * seconds / 3600,
        fails,
        by,
        latest.baseline,
        latest.fingerprint,
    )


def _asked(
    predictor: Predictor,
    latest: RecordedAttempt,
    past: Sequence[RecordedAttempt],
    key: str,
    proposed: int,
    declared: int,
    objective: Objective,
) -> tuple[float | None, str, int]:
    """P(fail), who says so, and the proposal, which the model may only make larger."""
    steps = max(1, (declared - proposed) // (64 * MIB))
    sizes = tuple(float(proposed + step * 64 * MIB) for step in range(int(min(steps, 400)) + 1))
    attempt = replace(latest.attempt, run_id="coming", try_number=1)
    coming = replace(
        latest,
        attempt=attempt,
        effective=latest.baseline,
        succeeded=None,
        duration_s=None,
        category=None,
        peaks={},
        signs={},
    )
    answer = predictor.predict(Question(coming, tuple(past), (Axis(key, sizes),)))
    if answer.similar < objective.rank_from:
        return None, "largest peak", proposed
    fine = [at for at in range(len(sizes)) if float(answer.fails[at]) <= MOST_FAILURES]
    if not fine:
        return float(answer.fails[-1]), answer.model, declared
    return float(answer.fails[fine[0]]), answer.model, int(sizes[fine[0]])


def _near(record: RecordedAttempt) -> bool:
    """Whether a failure was, or may have been, for want of memory."""
    category = record.category or UNKNOWN
    return category == UNKNOWN or is_memory_failure(category)
