"""Rows that somebody else wrote, or a newer version: each costs itself, and no list and no command is lost for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.history.queries.training_attempts import everything
from airflow_autoremed.types import AttemptId, Mode
from tests.support.attempts import begin, decide, end, remediation

RUNS = 3


@pytest.fixture
def url(airflow_home: Path) -> str:
    return f"sqlite:///{airflow_home}/autoremed.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    for number in range(RUNS):
        first = AttemptId("shop", f"r{number}", "daily", -1, 1)
        second = replace(first, try_number=2)
        begin(store, first)
        decide(store, first, remediation(first), mode=Mode.ACT)
        end(store, first, succeeded=False)
        begin(store, second, patched=True)
        end(store, second, succeeded=True)
    yield store
    store.close()


def spoil(url: str, table: str, column: str, value: Any) -> None:
    """Write *value* into the first row of *table*."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    first = f"(SELECT min(rowid) FROM autoremed_{table})"
    connection.execute(f"UPDATE autoremed_{table} SET {column} = ? WHERE rowid = {first}", (value,))
    connection.commit()
    connection.close()


ATTEMPTS = [
    ("attempts", "effective", "{"),
    ("attempts", "effective", "[" * 30_000),
    ("attempts", "map_index", "z"),
    ("attempts", "started_at", "2026-13-99"),
    ("outcomes", "duration_s", "z"),
]
OF_LISTS = [
    ("decisions", "lines", "[1]"),
    ("decisions", "changes", '{"a":[1,[2]]}'),
    ("decisions", "action", "explode"),
    ("outcomes", "gib_seconds", "z"),
]


@pytest.mark.parametrize(("table", "column", "value"), [*ATTEMPTS, *OF_LISTS])
def test_one_unreadable_attempt_leaves_the_list_of_the_others(
    store: Store, url: str, caplog: pytest.LogCaptureFixture, table: str, column: str, value: str
) -> None:
    spoil(url, table, column, value)
    assert len(store.recent(100)) == 2 * RUNS - 1
    assert "1 of the store's rows cannot be read and were left out" in caplog.text
    done = CliRunner().invoke(app, ["history", "--store", url])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("table", "column", "value"), ATTEMPTS)
def test_one_unreadable_attempt_leaves_training_right_sizing_and_replay_the_others(
    store: Store, url: str, table: str, column: str, value: str
) -> None:
    spoil(url, table, column, value)
    assert len(list(everything(url, "default"))) == 2 * RUNS - 1
    for command in ("replay", "rightsize"):
        done = CliRunner().invoke(app, [command, "--store", url])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("operations", '[{"op":"replace"}]'),
        ("operations", '[{"op":"replace","path":5,"value":1}]'),
        ("from_try", "x"),
        ("map_index", "y"),
        ("state", "glowing"),
        ("state_at", "soon"),
    ],
)
def test_one_unreadable_patch_leaves_the_list_of_the_others(
    store: Store, url: str, column: str, value: str
) -> None:
    spoil(url, "patches", column, value)
    assert len(store.patches(100)) == RUNS - 1
    done = CliRunner().invoke(app, ["patches", "list", "--all", "--store", url])
    assert done.exit_code == 0, done.output


def test_names_in_a_row_steer_no_terminal(store: Store, url: str) -> None:
    spoil(url, "attempts", "dag_id", "[/x]\x1b[31m")
    assert "\x1b" not in CliRunner().invoke(app, ["history", "--store", url]).output
