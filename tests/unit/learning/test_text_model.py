"""The text model: what a worker computes is what scikit-learn computes, and a bad model is never used."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from airflow_autoremed.errors import TooLittleDataError, UnusableModelError  # noqa: E402
from airflow_autoremed.learning import text_model  # noqa: E402
from airflow_autoremed.learning.text_model import WIDTH, counts, features, second_opinion  # noqa: E402
from airflow_autoremed.learning.text_training import Example, Training, choose_bar, train_text_model  # noqa: E402

_TOPICS = {
    "auth_permission": [
        "access denied for role",
        "principal not authorised",
        "forbidden by policy",
        "ticket refused",
    ],
    "missing_data": ["path does not exist", "table cannot be found", "partition is absent", "no such file"],
    "network_timeout": [
        "connection reset by peer",
        "handshake timed out",
        "no route to host",
        "socket closed early",
    ],
}


def _examples(each: int, seed: int = 0, label_noise: float = 0.0) -> list[Example]:
    dice = random.Random(seed)
    found = []
    for number in range(each):
        for category, phrases in _TOPICS.items():
            words = dice.sample(["reader", "shop", "ledger", "batch", "loader", "export", "night", "feed"], 3)
            text = f"com.acme.{words[0].title()}Exception: {dice.choice(phrases)} in {words[1]} {words[2]}"
            named = dice.choice(list(_TOPICS)) if dice.random() < label_noise else category
            found.append(Example(text, named, f"{category}-{number}"))
    return found


@pytest.fixture(scope="module")
def training() -> Training:
    return train_text_model(_examples(40))


def test_a_worker_computes_what_the_estimator_computes(training: Training, tmp_path: Path) -> None:
    from scipy.sparse import csr_matrix

    text_model.save(training.model, tmp_path)
    loaded = text_model.load(tmp_path)
    assert loaded is not None
    for text in [
        *(example.text for example in _examples(5, seed=9)),
        "",
        "something else entirely",
        "é\x00\ud800 7",
    ]:
        columns, values = features(counts([text]), loaded.rarity)
        row = csr_matrix((values, columns, [0, len(columns)]), shape=(1, 2 * WIDTH))
        expected = training.estimator.predict_proba(row)[0]
        assert np.allclose(loaded.probabilities([text]), expected, atol=1e-5)


def test_two_categories_are_computed_alike(tmp_path: Path) -> None:
    two = [example for example in _examples(40) if example.category != "missing_data"]
    trained = train_text_model(two)
    assert trained.model.predict("access denied for role in shop").category == "auth_permission"
    assert trained.model.probabilities(["access denied"]).sum() == pytest.approx(1.0)


def test_it_recognises_what_it_has_learnt_and_says_how_sure_it_is(training: Training) -> None:
    opinion = training.model.predict("26/11/24 10:00:00 ERROR Feed: access denied for role 17")
    assert opinion.category == "auth_permission"
    assert opinion.above_bar
    assert training.model.metrics["accuracy"] > 0.9
    far = training.model.predict("zzz qqq")
    assert not far.above_bar
    assert far.confidence < opinion.confidence


def test_where_labels_mean_nothing_no_opinion_is_above_the_bar() -> None:
    trained = train_text_model(_examples(40, label_noise=1.0))
    assert trained.model.bar is None
    assert not trained.model.predict("access denied for role").above_bar


def test_the_bar_is_the_lowest_confidence_that_is_right_often_enough() -> None:
    confidences = np.linspace(1.0, 0.01, 100)
    right = np.array([True] * 50 + [False] * 50)
    assert choose_bar(confidences, right, target=1.0) == pytest.approx(confidences[49])
    assert choose_bar(confidences, ~right, target=0.9) is None
    assert (
        choose_bar(np.full(100, 0.5), right, target=0.9) is None
    )  # equal confidences stand or fall together


def test_the_same_seed_gives_the_same_model() -> None:
    first, second = (train_text_model(_examples(25), seed=3).model for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert (first.bar, first.metrics) == (second.bar, second.metrics)


def test_too_little_data_is_refused_with_what_is_needed() -> None:
    with pytest.raises(TooLittleDataError, match="60 or more are needed"):
        train_text_model(_examples(3))
    one = [replace(example, category="missing_data") for example in _examples(30)]
    with pytest.raises(TooLittleDataError, match="fewer than two categories"):
        train_text_model(one)


def test_a_category_with_too_few_failures_is_left_out_and_said(training: Training) -> None:
    rare = Example("the disk is full", "disk_full", "once")
    trained = train_text_model([*_examples(30), rare])
    assert trained.model.metrics["left_out"] == ["disk_full"]
    assert "disk_full" not in trained.model.classes


# ------------------------------------------------------------------------------------------------- using a model


def test_without_a_model_there_is_no_opinion_and_no_heavy_import(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom airflow_autoremed.learning.text_model import second_opinion\n"
        f"assert second_opinion({str(tmp_path)!r}, ['java.io.IOException: x']) is None\n"
        "print([name for name in ('numpy', 'sklearn', 'scipy', 'airflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_opinion_needs_no_scikit_learn(training: Training, tmp_path: Path) -> None:
    text_model.save(training.model, tmp_path)
    program = (
        "import sys\nfrom airflow_autoremed.learning.text_model import second_opinion\n"
        f"print(second_opinion({str(tmp_path)!r}, ['access denied for role']).category)\n"
        "print([name for name in ('sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["auth_permission", "[]"]


def test_an_opinion_can_be_recorded_as_json(training: Training, tmp_path: Path) -> None:
    text_model.save(training.model, tmp_path)
    opinion = second_opinion(tmp_path, ["access denied for role"])
    assert opinion is not None
    plain = json.loads(json.dumps(opinion.to_dict()))
    assert plain["category"] == "auth_permission"
    assert plain["model"] == json.loads((tmp_path / "manifest.json").read_text())["sha256"][:12]


def _spoil(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 99}, "schema 99"),
        ({"features": 0}, "features 0"),
        ({"wording": None}, "wording None"),
        ({"sha256": "0" * 64}, "not the file that was trained"),
        ({"arrays": "../../etc/passwd"}, "cannot be read"),
        ({"classes": ["a", "b"]}, "not \\(2, "),
        ({"classes": 7}, "names no classes"),
        ({"bar": "high"}, "bar is 'high'"),
    ],
)
def test_a_model_that_does_not_fit_is_not_used_and_the_log_says_why(
    training: Training,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, object],
    reason: str,
) -> None:
    text_model.save(training.model, tmp_path)
    _spoil(tmp_path, **changes)
    with pytest.raises(UnusableModelError, match=reason):
        text_model.read(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert text_model.load(tmp_path) is None
        assert second_opinion(tmp_path, ["access denied"]) is None
    assert "not used" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b"{", b"null"])
def test_a_damaged_manifest_is_no_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert second_opinion(tmp_path, ["access denied"]) is None


def test_pickled_arrays_are_never_loaded(training: Training, tmp_path: Path) -> None:
    import hashlib

    text_model.save(training.model, tmp_path)
    (arrays,) = tmp_path.glob("*.npz")
    evil = np.array([print], dtype=object)
    np.savez(arrays, rarity=evil, weights=evil, offsets=evil)
    _spoil(tmp_path, sha256=hashlib.sha256(arrays.read_bytes()).hexdigest())
    with pytest.raises(UnusableModelError, match="damaged"):
        text_model.read(tmp_path)


def test_a_new_model_takes_the_place_of_the_former_one(training: Training, tmp_path: Path) -> None:
    text_model.save(training.model, tmp_path)
    text_model.save(replace(training.model, offsets=training.model.offsets + 1), tmp_path)
    assert len([file for file in tmp_path.iterdir() if file.is_file()]) == 2
    assert text_model.load(tmp_path) is not None
