"""The optimiser: among the configurations inside the limits, the one with the lowest weighted sum of P(fail) and cost.

Per category only the settings that matter vary. All combinations are evaluated, exactly and in one vectorised pass:
no search, no budget of trials. How free it is depends on how much the model has seen (:class:`~airflow_autoremed.
types.Objective`): nothing similar, and the playbook decides; some, and the model chooses among what the playbook
would propose; many, and it chooses freely, or says that no retry is worth it.

Imports numpy: loaded only where there is a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.recommending.plan import REAL_STEP
from airflow_autoremed.recommending.playbook import change_to
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.limits import growth_base, violations
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import (
    Advice,
    Axis,
    Classification,
    Conf,
    Insight,
    Limits,
    Odds,
    PastAttempt,
    Prediction,
    Question,
    Recommendation,
    RecordedAttempt,
)

Array = NDArray[np.float64]

STEPS_PER_DOUBLING = 8
_RANKED = (1.0, 1.5, 2.0)
"""What the playbook's growth is multiplied by where the model may only choose among its proposals."""


@dataclass(frozen=True)
class Choice:
    """The best candidate of a lattice."""

    position: tuple[int, ...]
    fails: float
    cost: float
    """Relative to that of the playbook's proposal."""


def improve(
    advice: Recommendation,
    cause: Classification,
    baseline: Conf,
    effective: Conf,
    history: Sequence[PastAttempt],
    limits: Limits,
    insight: Insight,
) -> Recommendation:
    """What the model makes of the playbook's *advice* on the next try.

    :return: *advice* itself where the model may not, or need not, say anything.
    """
    memory = _memory_key(cause.category, effective)
    if memory is None or advice.conf is None or advice.conf.get(memory) == effective.get(memory):
        return advice
    failed = replace(insight.failed, succeeded=False, category=cause.category)
    past = (*insight.past, failed)
    coming = _coming(failed, advice.conf)
    floor = max(
        _in_force(conf, memory)
        for conf in (
            effective,
            *(each.conf for each in history if not each.succeeded and each.category == cause.category),
        )
    )
    proposed = _in_force(advice.conf, memory)
    grown = [floor + (proposed - floor) * factor for factor in _RANKED]
    ceiling = (growth_base(memory, baseline) or float("inf")) * limits.max_growth
    few = (Axis(memory, _steps([value for value in grown if value <= max(ceiling, proposed)])),)
    objective = insight.objective
    answer = insight.predictor.predict(Question(coming, past, few))
    if answer.similar < objective.rank_from:
        note = (
            f"the playbook decided: the model knows {answer.similar} similar attempts and chooses "
            f"once there are {objective.rank_from}"
        )
        return replace(advice, notes=(*advice.notes, note))
    axes: tuple[Axis, ...] = few
    if answer.similar >= objective.free_from:
        axes = axes_around(cause.category, advice.conf, memory, floor, ceiling, limits)
        answer = insight.predictor.predict(Question(coming, past, axes))
    rate, allowed = _rates(advice.conf, axes, baseline, limits, insight)
    if not allowed.any():
        return advice
    choice = choose(
        answer, rate, allowed, axes, baseline, _reference(answer, rate, axes, advice.conf), insight
    )
    if choice is None:
        best = float(np.where(allowed, answer.fails, 1.0).min())
        if best > objective.stop_above and answer.similar >= objective.free_from:
            odds = Odds(best, answer.similar, answer.model, threshold=objective.stop_above)
            note = f"the best of {int(allowed.sum())} configurations within the limits"
            return Recommendation(
                None, Advice.NOT_WORTH_IT, notes=(note,), odds=odds, decided_by=answer.model
            )
        note = (
            f"the playbook decided: the model {answer.model} predicts a failure probability of {best:.0%} for the "
            "best configuration, too high to choose it and too low to stop"
        )
        return replace(advice, notes=(*advice.notes, note))
    conf = dict(advice.conf)
    for axis, at in zip(axes, choice.position, strict=True):
        conf[axis.key] = PATCHABLE[axis.key].format(axis.values[at])
    if violations(conf, baseline, limits):
        return advice
    odds = Odds(choice.fails, answer.similar, answer.model, relative_cost=choice.cost)
    return change_to(conf, effective, (), odds=odds, decided_by=answer.model)


def hopeless(
    cause: Classification, template_id: str | None, effective: Conf, insight: Insight
) -> Odds | None:
    """The odds with which a failure that no rule names is not worth a plain retry; ``None`` when it may be, or too
    little is known.
    """
    failed = replace(insight.failed, succeeded=False, category=cause.category, template_id=template_id)
    coming = _coming(failed, effective)
    answer = insight.predictor.predict(Question(coming, (*insight.past, failed), ()))
    fails = float(answer.fails)
    threshold = max(0.97, insight.objective.stop_above)
    if answer.similar < insight.objective.free_from or fails < threshold:
        return None
    return Odds(fails, answer.similar, answer.model, threshold=threshold)


def axes_around(
    category: str, conf: Conf, memory: str, floor: float, ceiling: float, limits: Limits
) -> tuple[Axis, ...]:
    """The lattice of a category: memory from a real step over what failed to the ceiling; fewer cores, which leave
    each task more of it; more partitions, which make each task smaller. Only what is declared varies beside memory.
    """
    most = min(ceiling, limits.max_container_memory or float("inf"), PATCHABLE[memory].maximum)
    proposed = _in_force(conf, memory)
    least = min(floor * REAL_STEP, proposed)
    count = max(1, int(np.log2(max(most, proposed) / least) * STEPS_PER_DOUBLING) + 1)
    values = [least * 2 ** (step / STEPS_PER_DOUBLING) for step in range(min(count, 200))]
    axes = [Axis(memory, _steps([*(value for value in values if value <= most), proposed]))]
    cores = allocation.value(conf, "spark.executor.cores")
    if cores is not None and memory.startswith(("spark.executor.", "spark.yarn.executor.")):
        fewest = allocation.value(conf, "spark.task.cpus") or 1
        halves = {cores} | {cores // 2**n for n in (1, 2, 3) if cores // 2**n >= fewest}
        axes.append(Axis("spark.executor.cores", tuple(sorted(halves))))
    partitions = allocation.value(conf, "spark.sql.shuffle.partitions")
    if partitions is not None and category == "executor_oom_heap":
        more = {partitions} | {min(4000.0, partitions * 2**n) for n in (1, 2, 3) if partitions < 4000}
        axes.append(Axis("spark.sql.shuffle.partitions", tuple(sorted(more))))
    return tuple(axes)


def choose(
    answer: Prediction,
    rate: Array,
    allowed: NDArray[np.bool_],
    axes: Sequence[Axis],
    baseline: Conf,
    reference: float,
    insight: Insight,
) -> Choice | None:
    """The allowed and feasible candidate with the lowest ``w x P(fail) + (1 - w) x relative cost``.

    Ties go to the cheaper, then to the nearer to *baseline*.

    :param rate: what a second of each candidate costs; *reference*: what the playbook's whole try would.
    :return: ``None`` when none is feasible.
    """
    w = insight.objective.weight_of_failure
    cost = rate * answer.duration_s / max(reference, 1e-12)
    score = w * answer.fails + (1 - w) * cost
    score = np.where(allowed & (answer.fails <= insight.objective.feasible_below), score, np.inf)
    best = score.min()
    if not np.isfinite(best):
        return None
    ties = np.flatnonzero(score <= best + 1e-9)
    places = [np.unravel_index(int(tie), score.shape) for tie in ties]
    position = min(places, key=lambda at: (float(cost[at]), _distance(axes, at, baseline)))
    return Choice(tuple(int(each) for each in position), float(answer.fails[position]), float(cost[position]))


def _distance(axes: Sequence[Axis], at: Sequence[Any], baseline: Conf) -> float:
    """How far a candidate is from what was declared, in doublings."""
    total = 0.0
    for axis, number in zip(axes, at, strict=True):
        declared = _in_force(baseline, axis.key)
        total += abs(float(np.log2(max(axis.values[int(number)], 1.0) / max(declared, 1.0))))
    return total


def _rates(
    conf: Conf, axes: Sequence[Axis], baseline: Conf, limits: Limits, insight: Insight
) -> tuple[Array, NDArray[np.bool_]]:
    """What a second of each candidate costs, and which of them are inside the limits."""
    shape = tuple(len(axis.values) for axis in axes)
    at = {
        axis.key: np.asarray(axis.values).reshape([-1 if n == number else 1 for n in range(len(axes))])
        for number, axis in enumerate(axes)
    }
    boxes = {role: _containers(conf, role, at) for role in ("driver", "executor")}
    cores = at.get("spark.executor.cores", np.asarray(allocation.value(conf, "spark.executor.cores") or 1.0))
    executors: Any = allocation.executors(conf)
    if "spark.executor.cores" in at:
        counts = [
            allocation.executors({**conf, "spark.executor.cores": str(int(value))}) for value in cores.ravel()
        ]
        executors = np.asarray(counts, dtype=np.float64).reshape(cores.shape)
    total = boxes["driver"] + executors * boxes["executor"]
    allowed = np.ones(shape, dtype=bool)
    if limits.max_container_memory is not None:
        for role, size in boxes.items():
            declared = allocation.container(baseline, role)  # type: ignore[arg-type]
            allowed &= size <= max(limits.max_container_memory, declared)
    if limits.max_total_memory is not None:
        allowed &= total <= max(limits.max_total_memory, allocation.total(baseline))
    prices = insight.prices
    hourly = prices.price_gib_hour * total / GIB + prices.price_core_hour * (executors * cores + 1)
    return np.broadcast_to(hourly / 3600, shape), allowed


def _containers(conf: Conf, role: Role | str, at: dict[str, Array]) -> Array:
    """Bytes of one container for every candidate: the arithmetic of ``spark.allocation`` on arrays."""
    heap = at.get(f"spark.{role}.memory", np.asarray(float(allocation.heap(conf, role))))  # type: ignore[arg-type]
    key = allocation.overhead_key(conf, role)  # type: ignore[arg-type]
    if key in at:
        overhead = at[key]
    elif allocation.value(conf, key) is not None:
        overhead = np.asarray(float(allocation.value(conf, key) or 0))
    else:
        factor = allocation.overhead_factor(conf, role)  # type: ignore[arg-type]
        by_spark = [float(allocation.default_overhead(float(each), factor)) for each in heap.ravel()]
        overhead = np.reshape(by_spark, heap.shape)
    size = heap + overhead
    if role == "executor":
        if allocation.value(conf, "spark.memory.offHeap.enabled"):
            size = size + (allocation.value(conf, "spark.memory.offHeap.size") or 0)
        python = allocation.value(conf, "spark.executor.pyspark.memory") or 0
        size = size + at.get("spark.executor.pyspark.memory", np.asarray(float(python)))
    return np.asarray(size)


def _reference(answer: Prediction, rate: Array, axes: Sequence[Axis], conf: Conf) -> float:
    """What the playbook's own candidate costs."""
    at = tuple(int(np.argmin(np.abs(np.asarray(axis.values) - _in_force(conf, axis.key)))) for axis in axes)
    return float(rate[at] * answer.duration_s[at])


def _coming(failed: RecordedAttempt, conf: Conf) -> RecordedAttempt:
    attempt = failed.attempt.next()
    return replace(
        failed,
        attempt=attempt,
        effective=conf,
        succeeded=None,
        duration_s=None,
        category=None,
        template_id=None,
        peaks={},
        started_at=failed.started_at + (failed.duration_s or 0),
    )


def _memory_key(category: str, effective: Conf) -> str | None:
    """The setting of memory that cures a category; ``None`` where the playbook alone knows what to do."""
    if category == "executor_oom_heap":
        return "spark.executor.memory"
    if category == "driver_oom_heap":
        return "spark.driver.memory"
    if category == "driver_oom_overhead":
        return allocation.overhead_key(effective, "driver")
    if category == "executor_oom_python" and allocation.value(effective, "spark.executor.pyspark.memory"):
        return "spark.executor.pyspark.memory"
    if category in ("executor_oom_overhead", "executor_oom_python"):
        return allocation.overhead_key(effective, "executor")
    return None


def _in_force(conf: Conf, key: str) -> float:
    """What holds for a setting (bytes, seconds or plain): Spark's default where no memory is declared, else 0."""
    for role in ("executor", "driver"):
        if key.endswith(f"{role}.memoryOverhead"):
            return float(allocation.overhead(conf, role))
        if key == f"spark.{role}.memory":
            return float(allocation.heap(conf, role))
    return float(allocation.value(conf, key) or 0)


def _steps(values: Sequence[float]) -> tuple[float, ...]:
    """Whole mebibytes, ascending, each once."""
    return tuple(sorted({float(value // MIB * MIB) for value in values}))
