"""The models in numpy: the same numbers as scikit-learn's, row by row and over a whole lattice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from airflow_autoremed.learning import families, features, training
from airflow_autoremed.learning.examples import TrainingSet, examples
from airflow_autoremed.types import Axis, RecordedAttempt
from tests.support.task_histories import history

GIB = 1024**3


@pytest.fixture(scope="module")
def found():
    return TrainingSet.of(examples(history()))


@pytest.fixture(scope="module")
def fitted(found):
    scaling = families.Scaling.fit(found.rows)
    estimators = {}
    heads = {name: fit(found, scaling, 0, estimators) for name, fit in training.FAMILIES}
    return heads, estimators, scaling


def heads_of(fitted):
    heads, _, _ = fitted
    return [
        (name, which, getattr(each, which)) for name, each in heads.items() for which in ("fails", "duration")
    ]


def test_trees_give_what_scikit_learn_gives(found, fitted):
    heads, estimators, _ = fitted
    telling = np.flatnonzero(training._spread(found.rows) > 0)
    rows = found.rows[:, telling]
    for which, wanted in (
        ("fails", estimators["boosting.fails"].decision_function(rows)),
        ("duration", estimators["boosting.duration"].predict(rows)),
    ):
        assert np.allclose(getattr(heads["boosting"], which).rows(found.rows), wanted, rtol=0, atol=1e-9)


def test_the_perceptron_gives_what_scikit_learn_gives(found, fitted):
    heads, estimators, scaling = fitted
    wanted = estimators["perceptron"].predict(scaling.apply(found.rows))
    got = families.sigmoid(heads["perceptron"].fails.rows(found.rows))
    assert np.allclose(got, np.clip(wanted[:, 0], 1e-4, 1 - 1e-4), rtol=0, atol=1e-4)
    assert np.allclose(heads["perceptron"].duration.rows(found.rows), 2 * wanted[:, 1], rtol=0, atol=1e-4)


def test_the_logistic_regression_gives_what_scikit_learn_gives(found, fitted):
    heads, estimators, scaling = fitted
    linear = heads["linear"].fails
    used = np.flatnonzero(linear.weights) if (linear.weights == 0).any() else np.arange(scaling.width)
    scores = scaling.apply(found.rows)[:, used] @ linear.weights[used] + linear.offset
    assert np.allclose(linear.rows(found.rows), scores, rtol=0, atol=1e-4)
    assert estimators["linear.fails"].intercept_[0] == pytest.approx(linear.offset)
    memory = np.flatnonzero(features.MONOTONE < 0)
    assert (linear.weights[memory] <= 0).all()


def test_a_whole_lattice_has_the_same_numbers_as_its_candidates_one_by_one(fitted):
    past = [each for each in history() if each.attempt.task_id == "t3"]
    coming = past[-1]
    memory = features.TaskMemory.of(past[:-1])
    axes = (
        Axis("spark.executor.memory", tuple(np.geomspace(GIB, 32 * GIB, 7))),
        Axis("spark.executor.memoryOverhead", tuple(np.geomspace(GIB / 4, 8 * GIB, 5))),
        Axis("spark.executor.cores", (1.0, 2.0, 4.0)),
    )
    row, along = memory.row(coming), memory.along(coming, axes)
    for name, which, head in heads_of(fitted):
        whole = head.lattice(row, along)
        assert whole.shape == (7, 5, 3)
        for at in itertools.product(range(7), range(5), range(3)):
            single = row.copy()
            for (columns, values), position in zip(along, at, strict=True):
                single[columns] = values[position]
            alone = head.rows(single[None, :])[0]
            tolerance = 1e-9 if name in ("boosting", "usual") else 1e-2 if which == "fails" else 1e-4
            assert whole[at] == pytest.approx(alone, abs=tolerance), (name, which, at)


def test_what_moves_along_an_axis_is_what_the_row_of_that_configuration_holds():
    past = [each for each in history() if each.attempt.task_id == "t3"]
    memory = features.TaskMemory.of(past[:-1])
    axis = Axis("spark.executor.memory", (2.0 * GIB, 8.0 * GIB))
    ((columns, values),) = memory.along(past[-1], (axis,))
    for number, text in enumerate(("2g", "8g")):
        changed = RecordedAttempt(past[-1].attempt, 1.8e9, past[-1].baseline, {"spark.executor.memory": text})
        row = memory.row(changed)
        assert np.allclose(row[columns], values[number], equal_nan=True, atol=1e-5)


def test_an_artifact_holds_every_family_and_gives_it_back(fitted, found):
    for name, which, head in heads_of(fitted):
        again = families.from_arrays(families.to_arrays(head, "x"), "x")
        assert (again.rows(found.rows[:50]) == head.rows(found.rows[:50])).all(), (name, which)


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("x.value"),
        lambda arrays: arrays.update({"x.left": arrays["x.left"] * 0}),
        lambda arrays: arrays.update({"x.right": arrays["x.right"] + 100_000}),
        lambda arrays: arrays.update({"x.column": arrays["x.column"] + 100_000}),
        lambda arrays: arrays.update({"x.roots": arrays["x.roots"] - 5}),
        lambda arrays: arrays.update({"x.value": arrays["x.value"] * np.nan}),
        lambda arrays: arrays.update({"x.form": np.array("pickle")}),
    ],
)
def test_a_damaged_tree_is_refused_and_never_walked_in_circles(fitted, damage):
    arrays = families.to_arrays(fitted[0]["boosting"].fails, "x")
    damage(arrays)
    with pytest.raises(ValueError, match=r"array|nodes|trees|numbers|form"):
        families.from_arrays(arrays, "x")
