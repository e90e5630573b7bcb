"""`autoremed history` and `autoremed show`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from airflow_autoremed.cli.history import history, show
from airflow_autoremed.history import Store
from airflow_autoremed.types import Action, EvidenceLine, Mode
from tests.support.attempts import DECLARED, HEAP, NOON, TRY_1, TRY_2, begin, decide, end, remediation
from tests.support.decisions import decision

app = typer.Typer()
app.command()(history)
app.command()(show)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configured store's URL: SQLite in an AIRFLOW_HOME of its own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("AIRFLOW_CONFIG", "AIRFLOW__AUTOREMED__STORE", "AIRFLOW__AUTOREMED__DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)
    return f"sqlite:///{tmp_path / 'autoremed.db'}"


@pytest.fixture
def filled(url: str) -> str:
    store = Store(url)
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT, excerpt="WARN [red]TaskSetManager[/red]\nlost")
    end(store, TRY_1, succeeded=False)
    begin(store, TRY_2, patched=True)
    end(store, TRY_2, succeeded=True)
    store.close()
    return url


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_history_shows_what_failed_what_was_decided_and_how_it_ended(filled: str) -> None:
    done = run("history")
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    for expected in (
        "etl.aggregate",
        "executor_oom",
        "remediate: The executor's heap was too small.",
        "spark.executor.memory: 600m -> 1624m",
        "failed",
        "succeeded",
        "96.2",
    ):
        assert expected in told


def test_history_for_programs_is_json_latest_first(filled: str) -> None:
    done = run("history", "--format", "json", "--limit", "2")
    latest, first = json.loads(done.stdout)
    assert (latest["try_number"], latest["succeeded"], latest["patched"]) == (2, True, True)
    assert (latest["decision"], latest["reason"]) == (None, None)
    assert (first["decision"], first["mode"], first["category"]) == ("remediate", "act", "executor_oom")
    assert first["changes"] == {"spark.executor.memory": ["600m", "1624m"]}
    assert first["lines"][0]["number"] == 812
    assert first["gib_seconds"] == 96.25
    assert first["started_at"] == NOON.isoformat()


@pytest.mark.parametrize(("option", "value"), [("--dag", "other"), ("--task", "other")])
def test_history_can_be_narrowed_to_a_dag_or_task(filled: str, option: str, value: str) -> None:
    assert json.loads(run("history", option, value, "--format", "json").stdout) == []
    told = run("history", option, value)
    assert told.exit_code == 0
    assert "matches" in told.output


def test_an_empty_store_is_said_to_be_empty_in_one_line(url: str) -> None:
    done = run("history")
    assert done.exit_code == 0
    assert done.output == f"No attempts are recorded yet in {url}.\n"


@pytest.mark.parametrize("command", [("history",), ("show", "etl", "aggregate")])
def test_a_store_that_cannot_be_used_is_one_line_without_password_and_exit_code_2(
    url: str, command: tuple[str, ...]
) -> None:
    done = run(*command, "--store", "postgresql+nosuchdriver://me:s3cret@127.0.0.1:1/db")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "postgresql+nosuchdriver://me:***@127.0.0.1:1/db cannot be used" in done.stderr
    assert "s3cret" not in done.output


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AIRFLOW__AUTOREMED__STORE", "my_connection", "Write a SQLAlchemy URL"),
        ("AIRFLOW__AUTOREMED__STORE_DEADLINE", "soon", "write a number"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(
    url: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = run("history")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_a_store_named_on_the_command_line_needs_no_configured_one(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", "my_connection")
    assert len(json.loads(run("history", "--store", filled, "--format", "json").stdout)) == 2


def test_only_the_configured_deployment_is_shown(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOREMED__DEPLOYMENT", "another")
    assert "No attempts are recorded yet" in run("history").output


def test_show_tells_a_task_instance_try_by_try(filled: str) -> None:
    done = run("show", "etl", "aggregate", "manual__1")
    assert done.exit_code == 0
    first, second = done.output.split("try 2")
    for expected in (
        "etl.aggregate, run manual__1, try 1",
        "failed after 60.5 s, 96.2 GiB-seconds",
        "the declared configuration",
        "spark.executor.memory = 600m",
        "executor_oom (rule executor-heap)",
        "line 812: java.lang.OutOfMemoryError: Java heap space",
        "spark.executor.memory: 600m -> 1624m",
        "WARN [red]TaskSetManager[/red]",
    ):
        assert expected in first
    assert "a patched configuration" in second
    assert "spark.executor.memory = 1624m" in second


def test_show_without_a_run_takes_the_latest(filled: str) -> None:
    store = Store(filled)
    later = replace(TRY_1, run_id="manual__2", map_index=4)
    begin(store, later, started_at=NOON + timedelta(days=1))

    assert "etl.aggregate[4], run manual__2, try 1" in run("show", "etl", "aggregate").output
    in_json = json.loads(run("show", "etl", "aggregate", "--map-index", "-1", "--format", "json").stdout)
    assert [(row["run_id"], row["try_number"]) for row in in_json] == [("manual__1", 1), ("manual__1", 2)]


def test_show_says_when_there_is_nothing_to_show(filled: str) -> None:
    done = run("show", "etl", "aggregate", "manual__9", "--map-index", "3")
    assert done.exit_code == 1
    assert done.stderr == f"No attempt of etl.aggregate[3] in run manual__9 is recorded in {filled}.\n"


def test_shadow_decisions_are_marked_as_having_changed_nothing(url: str) -> None:
    decide(Store(url), TRY_1, remediation(), mode=Mode.SHADOW)
    assert "remediate (shadow: nothing was changed)" in " ".join(run("history").output.split())


def test_a_job_s_log_cannot_steer_the_terminal(url: str) -> None:
    lines = (EvidenceLine(1, "\x1b[2J\x1b]0;title\x07gone"),)
    stop = decision(Action.STOP, "\x1b[31mred", replace(HEAP, lines=lines), DECLARED)
    decide(Store(url), TRY_1, stop, mode=Mode.ACT, excerpt="\x1b[2J")
    assert "\x1b" not in run("show", "etl", "aggregate").output
    assert "gone" in run("show", "etl", "aggregate").output
