"""Training: the families compete on what came after, the best is calibrated and handed to the audits.

The history is cut in time: the oldest 60% train, the next 20% calibrate and choose, the newest 20% are looked at
once, by the audits (:mod:`airflow_autoremed.learning.audits`). What is promoted was trained on the oldest 60% and
calibrated on the next 20%, so the newest slice is a fair judge of it.

Imports scikit-learn: never in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.errors import TooLittleDataError
from airflow_autoremed.learning import features
from airflow_autoremed.learning.examples import TrainingSet
from airflow_autoremed.learning.families import (
    Constant,
    Head,
    Linear,
    Perceptron,
    Scaling,
    Trees,
    logit,
    sigmoid,
)
from airflow_autoremed.learning.model import Model

FEWEST = 200
"""Attempts without which there is nothing to train."""
FEWEST_OF_A_KIND = 20
"""Failures, and successes, without which there is nothing to tell apart."""


@dataclass(frozen=True)
class Score:
    """How one family did on the slice that chooses."""

    family: str
    head: str
    loss: float
    """Brier score of *fails*, mean absolute error of *duration* in natural logarithms."""


@dataclass(frozen=True)
class Trained:
    """A calibrated candidate for champion, what it won against, and what joblib keeps."""

    model: Model
    scores: tuple[Score, ...]
    newest: TrainingSet
    """The slice that nothing has seen."""
    estimators: dict[str, Any] = field(default_factory=dict)


def train(
    found: TrainingSet, *, name: str, seed: int = 0, say: Callable[[str], None] = lambda _: None
) -> Trained:
    """Train all families and take the best of each head.

    :param name: of the model.
    :param say: is told what is being done.
    :raises TooLittleDataError: when there is too little to learn from.
    """
    _check(found)
    oldest, middle, newest = _cut(found)
    fails: list[tuple[str, Head]] = []
    durations: list[tuple[str, Head]] = []
    estimators: dict[str, Any] = {}
    scaling = Scaling.fit(oldest.rows)
    for family, fit in FAMILIES:
        say(f"training {family} on {len(oldest):,} attempts")
        heads = fit(oldest, scaling, seed, estimators)
        if heads.fails is not None:
            fails.append((family, heads.fails))
        if heads.duration is not None:
            durations.append((family, heads.duration))
    scores = []
    best_fails: tuple[float, Head, float, float] | None = None
    for family, head in fails:
        raw = head.rows(middle.rows)
        slope, offset = calibrate(raw, middle.failed)
        # Calibration on half and score on the other half: what calibrates may not also judge.
        half = _halves(raw, middle.failed)
        scores.append(Score(family, "fails", half))
        if best_fails is None or half < best_fails[0]:
            best_fails = (half, head, slope, offset)
    best_duration: tuple[float, Head] | None = None
    known = np.isfinite(middle.log_duration)
    for family, head in durations:
        loss = _absolute_error(head, middle, known)
        scores.append(Score(family, "duration", loss))
        if best_duration is None or loss < best_duration[0]:
            best_duration = (loss, head)
    assert best_fails is not None
    assert best_duration is not None
    seconds = oldest.duration_s[np.isfinite(oldest.duration_s) & (oldest.duration_s > 0)]
    model = Model(
        name,
        best_fails[1],
        best_duration[1],
        slope=best_fails[2],
        offset=best_fails[3],
        usual_duration_s=float(np.median(seconds)) if len(seconds) else 60.0,
        similar=found.similar(),
        manifest={
            "attempts": len(found),
            "failures": int(found.failed.sum()),
            "from": float(found.started_at[0]),
            "until": float(found.started_at[-1]),
            "learned_until": float(middle.started_at[-1]),
            "seed": seed,
            "families": {
                "fails": min((s for s in scores if s.head == "fails"), key=lambda s: s.loss).family,
                "duration": min((s for s in scores if s.head == "duration"), key=lambda s: s.loss).family,
            },
            "scores": [vars(score) for score in scores],
        },
    )
    return Trained(model, tuple(scores), newest, estimators)


def calibrate(raw: NDArray[np.float64], failed: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of a logistic curve through *raw* scores (Platt, 1999), with his targets, which keep it
    finite where the scores separate the outcomes. The slope is never negative: scores keep their order."""
    from scipy.optimize import minimize

    positive, negative = int(failed.sum()), int((~failed).sum())
    target = np.where(failed, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = parameters[0] * raw + parameters[1]
        error = sigmoid(score) - target
        value = float(np.mean(np.logaddexp(0, score) - target * score))
        return value, np.array([np.mean(error * raw), np.mean(error)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, 50), (-50, 50)])
    return float(found.x[0]), float(found.x[1])


@dataclass(frozen=True)
class Heads:
    """The two answers of a model: P(fail), and how long the attempt takes."""

    fails: Head | None = None
    duration: Head | None = None


def _check(found: TrainingSet) -> None:
    failures = int(found.failed.sum())
    if len(found) < FEWEST:
        raise TooLittleDataError(
            f"{len(found)} attempts with a known end are too few; {FEWEST} are needed "
            "(autoremed ingest reads earlier ones)"
        )
    for cut, what in zip(_cut(found), ("oldest 60%", "next 20%", "newest 20%"), strict=True):
        least = FEWEST_OF_A_KIND if what.startswith("oldest") else 2
        failures = int(cut.failed.sum())
        for number, kind in ((failures, "failures"), (len(cut) - failures, "successes")):
            if number < least:
                raise TooLittleDataError(
                    f"{number} {kind} among the {what} of {len(found)} attempts are too few; {least} are needed"
                )


def _cut(found: TrainingSet) -> tuple[TrainingSet, TrainingSet, TrainingSet]:
    first, second = int(len(found) * 0.6), int(len(found) * 0.8)
    return found.part(slice(0, first)), found.part(slice(first, second)), found.part(slice(second, None))


def _halves(raw: NDArray[np.float64], failed: NDArray[np.bool_]) -> float:
    """Brier score with the odd rows calibrated on the even ones, and the other way round."""
    errors = []
    for start in (0, 1):
        slope, offset = calibrate(raw[start::2], failed[start::2])
        other = slice(1 - start, None, 2)
        errors.append((sigmoid(slope * raw[other] + offset) - failed[other]) ** 2)
    return float(np.concatenate(errors).mean())


def _absolute_error(head: Head, on: TrainingSet, known: NDArray[np.bool_]) -> float:
    if not known.any():
        return 0.0
    return float(np.abs(head.rows(on.rows[known]) - on.log_duration[known]).mean())


# -------------------------------------------------------------------------------------------------------- families


def _boosting(found: TrainingSet, _: Scaling, seed: int, keep: dict[str, Any]) -> Heads:
    """Gradient boosting; of failures with P(fail) falling in memory (docs/facts-learning.md: the best of the families)."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    common: dict[str, Any] = {
        "max_iter": 150,
        "learning_rate": 0.08,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 20,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": seed,
    }
    # A column that says nothing costs time, and scikit-learn cannot bin one that is missing everywhere.
    telling = np.flatnonzero(_spread(found.rows) > 0)
    classifier = HistGradientBoostingClassifier(monotonic_cst=features.MONOTONE[telling], **common)
    classifier.fit(found.rows[:, telling], found.failed)
    keep["boosting.fails"] = classifier
    known = np.isfinite(found.log_duration)
    duration = None
    if known.sum() >= FEWEST_OF_A_KIND:
        regressor = HistGradientBoostingRegressor(loss="absolute_error", **common)
        regressor.fit(found.rows[np.ix_(known, telling)], found.log_duration[known])
        keep["boosting.duration"] = regressor
        duration = flat_trees(regressor, telling)
    return Heads(flat_trees(classifier, telling), duration)


def _spread(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest less smallest of each column; 0 where nothing is known."""
    largest = np.nan_to_num(np.fmax.reduce(rows, axis=0), nan=0.0)
    return np.asarray(largest - np.nan_to_num(np.fmin.reduce(rows, axis=0), nan=0.0))


def flat_trees(estimator: Any, columns: NDArray[np.intp]) -> Trees:
    """The trees of a fitted ``HistGradientBoosting`` estimator (binary or regression) in flat arrays.

    :param columns: of our rows, that it was fitted on.
    """
    parts, roots, start = [], [], 0
    for (predictor,) in estimator._predictors:
        nodes = predictor.nodes
        roots.append(start)
        parts.append(
            (
                np.where(nodes["is_leaf"], -1, columns[nodes["feature_idx"]]).astype(np.int32),
                nodes["num_threshold"].astype(np.float64),
                nodes["missing_go_to_left"].astype(bool),
                (nodes["left"] + start).astype(np.int32),
                (nodes["right"] + start).astype(np.int32),
                nodes["value"].astype(np.float64),
            )
        )
        start += len(nodes)
    offset = float(np.ravel(estimator._baseline_prediction)[0])
    column, threshold, missing_left, left, right, value = map(np.concatenate, zip(*parts, strict=True))
    return Trees(np.array(roots, dtype=np.int32), column, threshold, missing_left, left, right, value, offset)


def _linear(found: TrainingSet, scaling: Scaling, seed: int, keep: dict[str, Any]) -> Heads:
    """A logistic regression, refitted without columns of memory whose weight says that more of it does harm, and
    a ridge regression."""
    from sklearn.linear_model import LogisticRegression, Ridge

    rows = scaling.apply(_sample(found.rows, 200_000, seed))
    failed = _sample(found.failed, 200_000, seed)
    memory = np.flatnonzero(features.MONOTONE < 0)
    allowed = np.arange(scaling.width)
    while True:
        estimator = LogisticRegression(C=0.1, max_iter=300, random_state=seed)
        estimator.fit(rows[:, allowed], failed)
        weights = np.zeros(scaling.width)
        weights[allowed] = estimator.coef_[0]
        harmful = memory[weights[memory] > 0]
        if not len(harmful):
            break
        allowed = np.setdiff1d(allowed, harmful)
    keep["linear.fails"] = estimator
    fails = Linear(scaling, weights, float(estimator.intercept_[0]))
    known = np.isfinite(found.log_duration)
    if known.sum() < FEWEST_OF_A_KIND:
        return Heads(fails)
    ridge = Ridge(alpha=10.0, random_state=seed)
    ridge.fit(
        scaling.apply(_sample(found.rows[known], 200_000, seed)),
        _sample(found.log_duration[known], 200_000, seed),
    )
    keep["linear.duration"] = ridge
    return Heads(fails, Linear(scaling, ridge.coef_.astype(np.float64), float(ridge.intercept_)))


def _perceptron(found: TrainingSet, scaling: Scaling, seed: int, keep: dict[str, Any]) -> Heads:
    """One network with two heads, as published: squared loss on 0 and 1 is the Brier score."""
    from sklearn.neural_network import MLPRegressor

    known = np.isfinite(found.log_duration)
    rows = scaling.apply(_sample(found.rows[known], 300_000, seed))
    if len(rows) < FEWEST:
        return Heads()
    wanted = np.stack(
        [
            _sample(found.failed[known], 300_000, seed).astype(np.float32),
            np.clip(_sample(found.log_duration[known], 300_000, seed), -4, 4).astype(np.float32) / 2,
        ],
        axis=1,
    )
    estimator = MLPRegressor(
        hidden_layer_sizes=(32, 16),
        alpha=1e-3,
        batch_size=min(256, len(rows)),
        learning_rate_init=2e-3,
        max_iter=30,
        early_stopping=len(rows) > 2_000,
        n_iter_no_change=4,
        random_state=seed,
    )
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the validation slice says how good it is
        estimator.fit(rows, wanted)
    keep["perceptron"] = estimator
    weights = tuple(np.asarray(each, dtype=np.float32) for each in estimator.coefs_)
    offsets = tuple(np.asarray(each, dtype=np.float32) for each in estimator.intercepts_)
    doubled = (*weights[:-1], weights[-1] * np.array([1, 2], dtype=np.float32))
    shifted = (*offsets[:-1], offsets[-1] * np.array([1, 2], dtype=np.float32))
    return Heads(
        Perceptron(scaling, doubled, shifted, 0, logit=True),
        Perceptron(scaling, doubled, shifted, 1, logit=False),
    )


def _usual(found: TrainingSet, _: Scaling, seed: int, keep: dict[str, Any]) -> Heads:
    """As often as in general, and as long as the task's median: what the others have to beat."""
    share = np.array([found.failed.mean()])
    return Heads(Constant(float(logit(share)[0])), Constant(0.0))


FAMILIES: Sequence[tuple[str, Callable[[TrainingSet, Scaling, int, dict[str, Any]], Heads]]] = (
    ("boosting", _boosting),
    ("perceptron", _perceptron),
    ("linear", _linear),
    ("usual", _usual),
)


def _sample(values: NDArray[Any], most: int, seed: int) -> NDArray[Any]:
    """At most *most* of *values*, the same ones for arrays of the same length."""
    if len(values) <= most:
        return values
    chosen = np.random.default_rng(seed).choice(len(values), most, replace=False)
    return values[np.sort(chosen)]
