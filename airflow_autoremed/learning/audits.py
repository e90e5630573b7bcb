"""What a new model has to show before it decides anything: on the newest slice, which training has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.learning import features
from airflow_autoremed.learning.examples import TrainingSet
from airflow_autoremed.learning.model import Model
from airflow_autoremed.types import REMEMBERED

_SHAPE = 2.0
"""Of the Pareto distribution that need is taken to follow above what failed, where nothing has been learned yet: the
chance that it is larger than *c* times that falls with ``c ** -_SHAPE``, so it is 1 in 4 for a doubling. It is a
choice, not a measurement: a model has to beat it."""
LEAST_OUTCOMES = 100
LEAST_FAILURES = 10
MOST_CALIBRATION_ERROR = 0.05
SEGMENT_SIZE = 50
"""Attempts from which on a cause or a Dag is looked at by itself."""
SEGMENT_MARGIN = 0.03
"""Brier score by which a segment may be worse than under the prior."""
MOST_STOPPED_SUCCESSES = 0.005
"""Share of the newest successes that a model may call hopeless."""


@dataclass(frozen=True)
class Audit:
    """One requirement, what was measured, and where the bound lies."""

    name: str
    passed: bool
    measured: float
    bound: float
    says: str

    def to_dict(self) -> dict[str, object]:
        """As plain JSON, for the manifest."""
        return {**vars(self), "measured": round(self.measured, 6), "bound": round(self.bound, 6)}


def audit(
    model: Model, newest: TrainingSet, champion: Model | None, *, stop_above: float
) -> tuple[Audit, ...]:
    """All requirements, passed or not.

    :param champion: the model that decides at present.
    :param stop_above: the probability from which on no retry would be made.
    """
    found: list[Audit] = [_enough(newest)]
    if not len(newest) or newest.failed.all() or not newest.failed.any():
        return tuple(found)
    mine = model.probabilities(newest.rows)
    before = prior(newest.rows)
    brier = _brier(mine, newest.failed)
    found.append(_less("brier below the playbook's prior", brier, _brier(before, newest.failed)))
    if champion is not None:
        found.append(
            _less(
                "brier not above the present model's",
                brier,
                _brier(champion.probabilities(newest.rows), newest.failed) + 1e-4,
            )
        )
    known = np.isfinite(newest.log_duration)
    if known.any():
        wanted = newest.log_duration[known]
        error = _error(model.duration.rows(newest.rows[known]), wanted)
        found.append(
            _less("cost error not above that of the task's median", error, _error(0 * wanted, wanted) * 1.01)
        )
        if champion is not None:
            theirs = _error(champion.duration.rows(newest.rows[known]), wanted)
            found.append(_less("cost error not above the present model's", error, theirs * 1.05))
    found.append(_less("calibration error", calibration_error(mine, newest.failed), MOST_CALIBRATION_ERROR))
    found.append(_less("largest rise of P(fail) with more memory", _rise(model, newest), 1e-9))
    found.append(_segments(mine, before, newest))
    stopped = float((mine[~newest.failed] >= stop_above).mean())
    found.append(_less("successes it would have stopped", stopped, MOST_STOPPED_SUCCESSES))
    return tuple(found)


def prior(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """P(fail) without a model: after a failure by how much more memory is tried, else by how often the task failed
    so far (with one success and one failure added)."""
    columns = [
        number
        for number, name in enumerate(features.COLUMNS)
        if name.endswith(":to_failed") and name.partition(":")[0] in features.MEMORY_KEYS
    ]
    after = rows[:, features.CONTEXT.index("failures_of_instance")] > 0
    growth = np.nan_to_num(np.fmax.reduce(rows[:, columns], axis=1), nan=0.0)
    attempts = 2.0 ** rows[:, features.CONTEXT.index("task_attempts")] - 1
    share = np.nan_to_num(rows[:, features.CONTEXT.index("task_failures")], nan=0.5)
    known = np.minimum(attempts, REMEMBERED)
    often = (share * known + 1) / (known + 2)
    grown = np.minimum(1.0, 2.0 ** (-_SHAPE * growth))
    return np.asarray(np.where(after & (growth > 0.1), grown, often), dtype=np.float64)


def calibration_error(probabilities: NDArray[np.float64], failed: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over bins of equally many attempts."""
    order = np.argsort(probabilities, kind="stable")
    total = 0.0
    for part in np.array_split(order, bins):
        if len(part):
            total += len(part) * abs(float(probabilities[part].mean()) - float(failed[part].mean()))
    return total / max(1, len(order))


def _enough(newest: TrainingSet) -> Audit:
    failures = int(newest.failed.sum())
    enough = len(newest) >= LEAST_OUTCOMES and failures >= LEAST_FAILURES
    says = f"{len(newest)} attempts, {failures} failures; {LEAST_OUTCOMES} and {LEAST_FAILURES} are needed"
    return Audit("enough outcomes", enough, float(min(len(newest), failures * 10)), LEAST_OUTCOMES, says)


def _less(name: str, measured: float, bound: float) -> Audit:
    passed = bool(measured <= bound)
    by = "" if passed else f", missed by {measured - bound:.4f}"
    return Audit(name, passed, measured, bound, f"{measured:.4f}, at most {bound:.4f}{by}")


def _rise(model: Model, newest: TrainingSet) -> float:
    """The largest rise of P(fail) along memory, over a sample of attempts, as an optimiser would see it."""
    largest = 0.0
    growth = np.arange(0, 3.01, 0.25, dtype=np.float32)
    sample = newest.rows[:: max(1, len(newest) // 100)]
    for key in ("spark.executor.memory", "spark.executor.memoryOverhead", "spark.driver.memory"):
        columns = np.array(
            [number for number, name in enumerate(features.COLUMNS) if name.startswith(f"{key}:")],
            dtype=np.intp,
        )
        for row in sample:
            along = [(columns, row[columns] + growth[:, None])]
            fails = model.on_lattice(row, along, memory=(True,))
            largest = max(largest, float(np.diff(fails).max()))
    return largest


def _segments(mine: NDArray[np.float64], before: NDArray[np.float64], newest: TrainingSet) -> Audit:
    worst, where = -1.0, "no segment is large enough to be looked at"
    dags = np.array([name.rpartition(".")[0] for name in newest.tasks.tolist()], dtype=np.str_)
    for kind, values in (("after", newest.groups), ("Dag", dags)):
        names, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
        for number in np.flatnonzero(counts >= SEGMENT_SIZE):
            chosen = positions == number
            excess = _brier(mine[chosen], newest.failed[chosen]) - _brier(
                before[chosen], newest.failed[chosen]
            )
            if excess > worst:
                worst, where = excess, f"worst: {kind} {names[number]} ({counts[number]} attempts)"
    passed = worst <= SEGMENT_MARGIN
    return Audit(
        "no segment much worse than the prior", passed, worst, SEGMENT_MARGIN, f"{worst:+.4f}, {where}"
    )


def _brier(probabilities: NDArray[np.float64], failed: NDArray[np.bool_]) -> float:
    return float(((probabilities - failed) ** 2).mean()) if len(failed) else 0.0


def _error(predicted: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.abs(predicted - wanted).mean())
