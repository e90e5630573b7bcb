"""Models that somebody else wrote or changed end as "no model", with one line, in workers and in every command."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.learning import artifact, features, registry

NAME = "20260101-000000"
GOOD: dict[str, Any] = {
    "name": "x",
    "schema": 1,
    "features": features.VERSION,
    "attempts": 1,
    "failures": 1,
    "until": 1.0,
    "from": 0,
    "audits": [{"name": "a", "passed": True, "says": "well"}],
    "families": {},
    "slope": 1.0,
    "offset": 0.0,
    "usual_duration_s": 10.0,
    "similar": {},
}
CONSTANT = {
    f"{head}.{part}": value
    for head in ("fails", "duration")
    for part, value in (("form", np.array("constant")), ("value", np.array(0.0)))
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__AUTOREMED__MODELS_PATH", str(tmp_path / "models"))
    (tmp_path / "models" / NAME).mkdir(parents=True)
    artifact.write(tmp_path / "models" / NAME, CONSTANT, GOOD, file="model.npz")
    return tmp_path / "models"


def listed(models: Path) -> str:
    done = CliRunner().invoke(app, ["models", "list", "--models", str(models)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_a_model_that_was_changed_after_its_promotion_decides_nothing(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.promote(models, NAME, who="me", why="test")
    assert registry.champion(models) is not None
    artifact.write(models / NAME, CONSTANT, {**GOOD, "similar": {"category=x": 10_000}}, file="model.npz")
    assert registry.champion(models) is None
    assert "it was changed after it was promoted" in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        {"audits": [{"name": "[/nope]", "passed": True, "says": "\x1b[31m[link=http://evil]x[/link]"}]},
        {"audits": ["x"]},
        {"audits": [{"name": "a"}]},
        {"attempts": "many"},
        {"until": 1e300},
        {"families": []},
        {"similar": {"a": "b"}},
        {"slope": "steep"},
    ],
)
def test_an_odd_manifest_is_one_line_of_the_list(models: Path, damage: dict[str, Any]) -> None:
    (models / NAME / "manifest.json").write_text(json.dumps({**GOOD, **damage}))
    (models / "champion.json").write_text(json.dumps({"name": NAME}))
    registry.champion(models)
    assert "\x1b" not in listed(models)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"schema": ' + "9" * 5000 + "}", "[]", "", "\x00"])
def test_a_manifest_that_is_none_is_no_model(models: Path, text: str) -> None:
    registry.promote(models, NAME, who="me", why="test")
    (models / NAME / "manifest.json").write_text(text)
    assert registry.champion(models) is None
    listed(models)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"name":".."}',
        '{"name":5}',
        '{"name":"x","before":5}',
        '{"name":"x","before":["../../x", 5]}',
    ],
)
def test_an_odd_record_of_the_model_in_use_is_no_model(models: Path, text: str) -> None:
    (models / "champion.json").write_text(text)
    assert registry.champion(models) is None
    assert registry.rollback(models, who="me", why="test") is None
    listed(models)


def test_a_pipe_in_place_of_a_manifest_hangs_nobody(models: Path) -> None:
    registry.promote(models, NAME, who="me", why="test")
    (models / NAME / "manifest.json").unlink()
    os.mkfifo(models / NAME / "manifest.json")
    assert registry.champion(models) is None
    listed(models)
