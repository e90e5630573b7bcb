"""``autoremed train`` and ``autoremed models``: from a store to a model that decides."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.history.queries.training_attempts import everything
from airflow_autoremed.learning import registry
from tests.support.filled_store import filled_store  # noqa: F401 - a fixture
from tests.support.task_histories import history


@pytest.fixture
def run(airflow_home):
    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def test_what_the_store_gives_to_training_is_what_was_recorded(filled):
    found = {each.attempt: each for each in everything(filled, "default")}
    wanted = {each.attempt: each for each in history(25, 8)}
    assert found.keys() == wanted.keys()
    for attempt, record in wanted.items():
        got = found[attempt]
        assert (got.effective, got.baseline, got.succeeded, got.category) == (
            record.effective,
            record.baseline,
            record.succeeded,
            record.category,
        )
        assert got.duration_s == pytest.approx(record.duration_s)
        assert got.started_at == pytest.approx(record.started_at)


def test_what_another_deployment_recorded_is_not_learned_from(filled):
    assert list(everything(filled, "elsewhere")) == []


def test_the_history_of_a_task_is_the_latest_of_it_oldest_first(filled):
    wanted = [each for each in history(25, 8) if each.attempt.task_id == "t4"]
    coming = wanted[-1].attempt
    found = Store(filled).task_history(coming, 5)
    assert len(found) == 5
    assert coming not in [each.attempt for each in found]
    assert {each.attempt.task_id for each in found} == {"t4"}


def test_train_then_list_show_roll_back_and_promote(filled, run, airflow_home):
    done = run("train", "--format", "json")
    report = json.loads(done.stdout)
    assert report["attempts"] == len(history(25, 8))
    assert done.exit_code == (0 if all(each["passed"] for each in report["audits"]) else 3)
    name = report["name"]
    models = airflow_home / "autoremed" / "models"
    assert (registry.champion(models) is not None) == (done.exit_code == 0)

    assert run("models", "promote", name).stdout == f"{name} is now the active model.\n"
    assert registry.champion(models).name == name
    listed = json.loads(run("models", "list", "--format", "json").stdout)
    assert [(each["name"], each["champion"]) for each in listed] == [(name, True)]
    assert "calibration error" in run("models", "show", name).stdout
    assert "No model is active now" in run("models", "rollback").stdout
    assert registry.champion(models) is None


def test_failed_audits_keep_the_old_model_and_say_which_and_by_how_much(
    filled, run, airflow_home, monkeypatch
):
    monkeypatch.setattr("airflow_autoremed.learning.audits.LEAST_OUTCOMES", 10**6)
    done = run("train")
    assert done.exit_code == 3
    assert "enough outcomes" in done.stdout
    assert "failed" in done.stdout
    assert "the playbook decides as before" in done.stdout
    assert registry.champion(airflow_home / "autoremed" / "models") is None


def test_an_empty_store_is_said_in_one_line(run, airflow_home):
    Store(f"sqlite:///{airflow_home}/autoremed.db").open()
    done = run("train")
    assert done.exit_code == 2
    assert "0 attempts with a known end are too few; 200 are needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_models_yet_is_said(run):
    done = run("models", "list")
    assert "the playbook decides" in done.stdout


def test_a_model_that_is_not_there_is_refused(run):
    for command in ("promote", "show"):
        done = run("models", command, "../../etc")
        assert done.exit_code == 1
        assert "There is no model" in done.stderr
