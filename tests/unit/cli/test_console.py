"""Nothing that a log, a row of the store or a file name holds can steer the terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from airflow_autoremed.cli import console as console_module
from airflow_autoremed.cli.console import console, say
from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.history.stored import Outcome
from airflow_autoremed.types import Mode
from tests.support.attempts import TRY_1, TRY_2, begin, decide, end, remediation

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x9b2J\r\x08"
TURNED = "\u202e"
MARKUP = "[red]not markup[/red] [/]"
HOSTILE = f"{TITLE}{CLEAR}{TURNED}{MARKUP}"


def assert_harmless(printed):
    assert not [c for c in printed if not (c.isprintable() or c in "\n\t")]


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal with colours is sent by the console."""
    made = console_module.Console
    out = io.StringIO()
    monkeypatch.setattr(
        console_module,
        "Console",
        lambda **given: made(**given | {"file": out, "force_terminal": True, "width": 200}),
    )
    return out


@pytest.mark.parametrize("hostile", [TITLE, CLEAR, TURNED, MARKUP])
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "plain string"])
def test_what_is_printed_keeps_its_words_and_loses_its_escapes(terminal, hostile, as_text):
    table = Table("column", title=hostile)
    table.add_row(Text(hostile) if as_text else hostile)
    console().print(table)
    console().print(Text(hostile) if as_text else hostile, soft_wrap=True)
    say(hostile)
    # Of the terminal's own sequences only rich's styles are left.
    assert_harmless(terminal.getvalue().replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[3m", ""))
    assert terminal.getvalue().count("[red]not markup[/red] [/]") == (4 if hostile == MARKUP else 0)


def test_styles_of_the_command_still_reach_a_terminal(terminal):
    say("bold", "bold")
    assert "\x1b[1mbold" in terminal.getvalue()


def test_a_log_cannot_steer_the_terminal_of_whoever_classifies_it(tmp_path):
    log = tmp_path / f"driver{TITLE.replace('/', '')}[bold].log"
    log.write_text(
        f"java.lang.OutOfMemoryError: Java heap space {HOSTILE}\nExecutorLostFailure (executor 1 exited caused by one "
        f"of the running tasks) Reason: Command exited with code 52 {HOSTILE}\n"
    )
    for arguments in (
        ["classify", str(log)],
        ["classify", str(log), "--explain"],
        ["classify", str(log) + "x"],
    ):
        done = CliRunner().invoke(app, arguments)
        assert_harmless(done.output)
        assert "[bold].log" in done.output


@pytest.fixture
def hostile_store(airflow_home, monkeypatch):
    monkeypatch.delenv("AIRFLOW__AUTOREMED__STORE", raising=False)
    store = Store(f"sqlite:///{airflow_home / 'autoremed.db'}")
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT, excerpt=HOSTILE)
    end(store, TRY_1, succeeded=False)
    begin(store, TRY_2)
    end(store, TRY_2, succeeded=None)
    store.close()


def test_a_row_cannot_steer_the_terminal_of_whoever_looks(hostile_store):
    done = CliRunner().invoke(app, ["show", TRY_1.dag_id, TRY_1.task_id, TRY_1.run_id])
    assert "[red]not markup[/red]" in done.output
    assert_harmless(done.output)


@pytest.mark.parametrize(
    ("outcome", "tries"),
    [
        (Outcome.FAILED, "try 1"),
        (Outcome.INTERRUPTED, "try 2"),
        (Outcome.SUCCEEDED, ""),
        (Outcome.UNKNOWN, ""),
    ],
)
def test_history_can_be_narrowed_to_how_an_attempt_ended(hostile_store, outcome, tries):
    done = CliRunner().invoke(app, ["history", "--outcome", outcome.value])
    assert done.exit_code == 0
    shown = [each for each in ("try 1", "try 2") if each in done.output]
    assert shown == ([tries] if tries else [])
    if outcome is Outcome.INTERRUPTED:
        assert "ended from outside" in done.output
