"""From a history to a model that decides: what is learned, what is refused, and what is never promoted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from airflow_autoremed.errors import TooLittleDataError, UnusableModelError
from airflow_autoremed.learning import examples as examples_module
from airflow_autoremed.learning import features, registry, training_run
from airflow_autoremed.learning.audits import audit, prior
from airflow_autoremed.learning.examples import Refused, TrainingSet, examples
from airflow_autoremed.learning.families import Constant, Linear, Scaling
from airflow_autoremed.learning.model import ARRAYS, MANIFEST, Model, load, read, write
from airflow_autoremed.learning.training import calibrate, train
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import Axis, Objective, Question
from tests.support.task_histories import history


@pytest.fixture(scope="module")
def found():
    return TrainingSet.of(examples(history(60, 20)))


@pytest.fixture(scope="module")
def trained(found):
    return train(found, name="first")


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def test_nothing_is_known_of_an_attempt_but_what_was_known_when_it_began():
    records = history(3, 10)
    whole = {each.attempt: row for each, row in _rows(records)}
    for cut in (5, 11, 17):
        early = sorted(records, key=lambda each: each.started_at)[:cut]
        for each, row in _rows(early):
            assert np.array_equal(row, whole[each.attempt], equal_nan=True)


def _rows(records):
    """Each record with its row, by the way that training takes."""
    by_task = {}
    for record in sorted(records, key=examples_module._order):
        by_task.setdefault(features.task_key(record), []).append(record)
    for key in sorted(by_task):
        refused = Refused()
        for record, example in zip(by_task[key], examples_module.of_task(by_task[key], refused), strict=True):
            yield record, example.row


def test_nonsense_is_counted_and_nothing_is_learned_from_it():
    good = history(1, 3)
    nonsense = [
        replace(good[0], duration_s=-5.0, attempt=replace(good[0].attempt, run_id="negative")),
        replace(good[0], duration_s=1e9, attempt=replace(good[0].attempt, run_id="ages")),
        replace(good[0], started_at=float("nan"), attempt=replace(good[0].attempt, run_id="never")),
        replace(good[0], succeeded=None, attempt=replace(good[0].attempt, run_id="open")),
        replace(good[0], effective={}, baseline={}, attempt=replace(good[0].attempt, run_id="bare")),
        good[0],
    ]
    refused = Refused()
    kept = list(examples([*good, *nonsense], refused))
    assert len(kept) == len(good)
    assert dict(refused.reasons) == {
        "with an impossible duration": 2,
        "with an impossible time": 1,
        "without an end": 1,
        "without a configuration": 1,
        "recorded twice": 1,
    }


def test_absurd_memory_and_unreadable_settings_are_borne(found):
    records = [
        replace(each, effective={"spark.executor.memory": text})
        for each, text in zip(
            history(2, 3), ["99999999t", "much", "", "-4g", "0", "1" * 400, "4g"], strict=False
        )
    ]
    rows = TrainingSet.of(examples(records)).rows
    assert rows.shape[1] == features.WIDTH
    assert not np.isinf(rows).any()


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "0 attempts .* 200 are needed"),
        (history(3, 3), "200 are needed"),
        ([replace(each, succeeded=True, category=None) for each in history()], "0 failures among the oldest"),
        ([replace(each, succeeded=False, category="bad_data") for each in history()], "0 successes among"),
    ],
)
def test_too_little_to_learn_from_is_said_in_numbers(records, says, models):
    with pytest.raises(TooLittleDataError, match=says):
        training_run.run(records, models, objective=Objective())
    assert registry.champion(models) is None


def test_training_again_with_the_same_seed_gives_the_same_model(found, trained):
    again = train(found, name="first")
    assert again.scores == trained.scores
    rows = trained.newest.rows
    assert (again.model.probabilities(rows) == trained.model.probabilities(rows)).all()


def test_what_was_learned_beats_the_prior_and_the_usual_duration(trained):
    newest = trained.newest
    mine = trained.model.probabilities(newest.rows)
    assert ((mine - newest.failed) ** 2).mean() < 0.7 * ((prior(newest.rows) - newest.failed) ** 2).mean()


def test_more_memory_never_makes_a_failure_likelier_whichever_family_wins(trained):
    past = tuple(each for each in history(60, 20) if each.attempt.task_id == "t7")
    coming = past[-1]
    harmful = Linear(
        Scaling.fit(trained.newest.rows),
        np.where(np.arange(Scaling.fit(trained.newest.rows).width) < features.WIDTH, 0.3, 0.0),
        0.0,
    )
    for head in (trained.model.fails, harmful):
        model = replace(trained.model, fails=head)
        axes = (
            Axis("spark.executor.memory", tuple(np.geomspace(GIB, 64 * GIB, 25))),
            Axis("spark.executor.cores", (1.0, 2.0, 4.0)),
            Axis("spark.executor.memoryOverhead", tuple(np.geomspace(GIB / 2, 16 * GIB, 9))),
        )
        fails = model.predict(Question(coming, past[:-1], axes)).fails
        assert fails.shape == (25, 3, 9)
        assert (np.diff(fails, axis=0) <= 1e-12).all()
        assert (np.diff(fails, axis=2) <= 1e-12).all()


def test_scores_that_separate_perfectly_are_calibrated_to_no_certainty():
    raw = np.array([-1.0] * 50 + [1.0] * 50)
    slope, offset = calibrate(raw, raw > 0)
    assert slope > 0
    certain = 1 / (1 + np.exp(-(slope * 1 + offset)))
    assert 0.9 < certain < 0.9999


def test_a_good_model_decides_and_the_next_has_to_beat_it(models):
    first = training_run.run(history(60, 20), models, objective=Objective())
    assert first.promoted, [each for each in first.audits if not each.passed]
    assert registry.champion(models).name == first.name
    assert (first.folder / "card.html").stat().st_size > 5_000
    assert "brier not above the present model's" not in [each.name for each in first.audits]
    second = training_run.run(history(60, 20), models, objective=Objective(), seed=1)
    assert "brier not above the present model's" in [each.name for each in second.audits]


def test_outcomes_that_follow_no_rule_promote_nothing(models):
    rng = np.random.default_rng(0)
    noise = [
        replace(each, succeeded=bool(ok), category=None if ok else "bad_data")
        for each, ok in zip(history(60, 20), rng.random(10_000) > 0.3, strict=False)
    ]
    report = training_run.run(noise, models, objective=Objective())
    assert registry.champion(models) is None or report.passed


def test_a_model_that_knows_nothing_fails_its_audits_and_says_by_how_much(trained):
    ignorant = replace(trained.model, fails=Constant(0.0), slope=1.0, offset=3.0)
    failed = {
        each.name: each
        for each in audit(ignorant, trained.newest, trained.model, stop_above=0.95)
        if not each.passed
    }
    assert {
        "brier below the playbook's prior",
        "brier not above the present model's",
        "calibration error",
        "successes it would have stopped",
    } <= set(failed)
    assert "missed by" in failed["calibration error"].says


def test_a_model_on_too_few_new_outcomes_is_not_promoted(trained):
    few = trained.newest.part(slice(0, 40))
    (first, *_) = audit(trained.model, few, None, stop_above=0.95)
    assert not first.passed
    assert "40 attempts" in first.says


def test_a_written_model_gives_the_same_numbers(trained, tmp_path):
    write(trained.model, tmp_path / "m")
    again = read(tmp_path / "m")
    rows = trained.newest.rows
    assert (again.probabilities(rows) == trained.model.probabilities(rows)).all()
    assert again.similar == dict(trained.model.similar)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / ARRAYS).unlink(),
        lambda folder: (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-7]),
        lambda folder: (folder / MANIFEST).write_text("{"),
        lambda folder: (folder / MANIFEST).write_text("[]"),
        lambda folder: _set(folder, schema=99),
        lambda folder: _set(folder, features=0),
        lambda folder: _set(folder, slope="steep"),
        lambda folder: _set(folder, similar=7),
        lambda folder: _set(folder, arrays="../../etc/passwd"),
    ],
)
def test_a_damaged_or_foreign_model_means_no_model_with_one_warning(trained, tmp_path, caplog, damage):
    write(trained.model, tmp_path / "m")
    damage(tmp_path / "m")
    assert load(tmp_path / "m") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def _set(folder, **values):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **values}))


def test_no_model_is_no_warning(tmp_path, caplog):
    assert registry.champion(tmp_path) is None
    assert registry.champion(tmp_path / "nowhere") is None
    assert not caplog.records


def test_promote_and_roll_back(trained, models):
    for name in ("a", "b"):
        write(replace(trained.model, name=name), models / name)
        registry.promote(models, name, who="me", why="to see")
    assert registry.champion(models).name == "b"
    assert registry.rollback(models, who="me", why="worse") == "a"
    assert registry.champion(models).name == "a"
    assert registry.rollback(models, who="me", why="worse") is None
    assert registry.champion(models) is None
    with pytest.raises(UnusableModelError):
        registry.promote(models, "c", who="me", why="there is none")


def test_the_registry_never_leaves_its_directory(trained, models, tmp_path):
    write(trained.model, tmp_path / "outside")
    models.mkdir()
    (models / "champion.json").write_text(json.dumps({"name": "../outside"}))
    assert registry.champion(models) is None


def test_a_model_says_how_many_similar_attempts_it_knows(trained):
    records = [
        each for each in history(60, 20) if each.succeeded is False and each.category == "executor_oom_heap"
    ]
    failed = records[-1]
    coming = replace(failed, attempt=replace(failed.attempt, try_number=failed.attempt.try_number + 1))
    answer = trained.model.predict(Question(coming, (failed,), ()))
    assert answer.similar == trained.model.similar["category=executor_oom_heap"] > 50
    assert 0 < float(answer.fails) < 1
    assert isinstance(trained.model, Model)
