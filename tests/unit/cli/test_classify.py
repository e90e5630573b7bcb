"""``autoremed classify``: the machine-readable contract, and what a person sees."""

from __future__ import annotations

import io
import json
import os

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from airflow_autoremed.cli import progress
from airflow_autoremed.cli.classify import classify, set_off

HEAP = "WARN TaskSetManager: Lost task 0.0 in stage 0.0 (TID 0) (10.0.0.1 executor 1): java.lang.OutOfMemoryError: Java heap space"


@pytest.fixture(name="run")
def _run(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    for name in [name for name in os.environ if name.startswith("AIRFLOW__AUTOREMED__")]:
        monkeypatch.delenv(name)
    app = typer.Typer()
    app.command()(classify)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(name="logs")
def _logs(tmp_path):
    failed, healthy, table = tmp_path / "failed.log", tmp_path / "healthy.log", tmp_path / "[b]table.log"
    failed.write_text("one\n" + HEAP + "\nCommand exited with code 52\n")
    healthy.write_text("24/05/01 10:00:00 WARN NativeCodeLoader: Unable to load native-hadoop library\n")
    table.write_text("AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a` cannot be found.\n")
    return failed, healthy, table


def test_json_has_one_object_per_file_in_order_with_the_fields_of_the_contract(run, logs):
    result = run("--format", "json", *logs)
    assert result.exit_code == 0
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [str(path) for path in logs]
    assert set(answers[0]) == {"file", "category", "rule", "restartable", "memory_configuration", "lines"}
    assert answers[0] == {
        "file": str(logs[0]),
        "category": "executor_oom_heap",
        "rule": "memory-executor-heap-oom-in-task",
        "restartable": "with_changes",
        "memory_configuration": True,
        "lines": [{"number": 2, "text": HEAP}],
    }
    assert answers[1] == {
        "file": str(logs[1]),
        "category": "unknown",
        "rule": None,
        "restartable": "as_is",
        "memory_configuration": False,
        "lines": [],
    }
    assert (answers[2]["category"], answers[2]["restartable"]) == ("missing_data", "no")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_done(run, logs, tmp_path):
    result = run("--format", "json", logs[0], tmp_path / "nothere.log", logs[1])
    assert result.exit_code == 2
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(logs[0]), str(logs[1])]
    assert f"{tmp_path / 'nothere.log'} cannot be read: No such file or directory" in result.stderr


def test_a_person_sees_the_category_the_hint_and_the_deciding_line(run, logs):
    result = run(logs[0], logs[1], logs[2])
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "executor_oom_heap, caused by the memory configuration" in text
    assert "Give executors more heap" in text
    assert f"2 {HEAP}" in text
    assert "unknown, no rule applies" in text
    assert "[b]table.log" in text


def test_explain_names_what_lost_and_why(run, logs):
    text = " ".join(run("--explain", logs[0]).stdout.split())
    assert "does not count: memory-executor-exit-52 (executor_oom_heap): rank 80 is below the 92" in text
    assert "reference: Spark tuning guide" in text
    assert "does not count" not in run(logs[0]).stdout
    answer = json.loads(run("--explain", "--format", "json", logs[0]).stdout)
    assert "memory-executor-exit-52" in [match["rule"] for match in answer["runners_up"]]


def test_the_users_rules_count_and_a_broken_one_is_named(run, logs, tmp_path, monkeypatch):
    rules = tmp_path / "rules.yaml"
    rules.write_text("- id: memory-executor-heap-oom-in-task\n  silence: true\n- id: broken\n")
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RULES_PATHS", str(rules))
    result = run("--format", "json", logs[0])
    assert json.loads(result.stdout)["rule"] != "memory-executor-heap-oom-in-task"
    assert f"{rules}:3: rule 'broken'" in result.stderr
    assert result.exit_code == 0


def test_a_wrong_setting_is_refused_with_what_to_write(run, logs, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__MODE", "sometimes")
    result = run(logs[0])
    assert result.exit_code == 2
    assert "act" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_progress_bar_in_a_pipe(run, tmp_path):
    many = []
    for number in range(30):
        path = tmp_path / f"{number}.log"
        path.write_text(HEAP)
        many.append(path)
    result = run("--format", "json", *many)
    assert len(result.stdout.splitlines()) == 30
    assert result.stderr == ""


def test_a_progress_bar_in_a_terminal_for_work_that_takes_its_time_and_none_for_quick_work(monkeypatch):
    drawn = io.StringIO()
    assert list(progress.tracked(range(5), "classifying", Console(file=drawn, force_terminal=True))) == [
        *range(5)
    ]
    assert drawn.getvalue() == ""
    monkeypatch.setattr(progress, "PATIENCE_S", 0)
    assert list(progress.tracked(range(5), "classifying", Console(file=drawn, force_terminal=True))) == [
        *range(5)
    ]
    assert "classifying" in drawn.getvalue()


def test_a_directory_stands_for_the_logs_in_it(run, logs, tmp_path):
    folder = tmp_path / "app"
    (folder / "executor-1").mkdir(parents=True)
    (folder / "executor-1" / "stderr").write_text(HEAP)
    (folder / "notes.md").write_text("no log")
    result = run("--format", "json", folder)
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [
        str(folder / "executor-1" / "stderr")
    ]


def test_a_directory_without_logs_is_refused_with_what_is_looked_for(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty")
    assert result.exit_code == 2
    assert "stdout, stderr" in result.stderr


def test_a_log_can_be_piped_in(monkeypatch, tmp_path):
    app = typer.Typer()
    app.command()(classify)
    result = CliRunner().invoke(app, ["--format", "json", "-"], input=HEAP + "\n")
    assert json.loads(result.stdout)["category"] == "executor_oom_heap"


def test_rules_can_be_tried_before_they_are_installed(run, logs, tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text(
        "- {id: mine, category: bad_data, rank: 80, pattern: 'Java heap space', summary: 'Mine.'}\n"
    )
    result = run("--rules", rules, "--format", "json", logs[0])
    assert json.loads(result.stdout)["rule"] == "mine"


def test_in_a_terminal_the_matched_part_of_a_line_is_set_off_and_in_a_pipe_nothing_is(run, logs):
    from rich.text import Span

    from airflow_autoremed.failures.rules.loading import load_catalogue

    catalogue = load_catalogue()
    rule = "memory-executor-heap-oom-in-task"
    text = set_off(HEAP, catalogue.get(rule))
    (span,) = (span for span in text.spans if isinstance(span, Span))
    assert HEAP[span.start : span.end].endswith("Java heap space")
    assert "\x1b" not in run(logs[0]).stdout


def test_of_a_deciding_line_that_goes_on_for_ever_the_part_that_decides_is_shown(run, tmp_path):
    log = tmp_path / "driver.log"
    log.write_text(f"plan {'x' * 1500} {HEAP} {'y' * 1500}\n")
    (shown,) = (line for line in run(str(log)).stdout.splitlines() if "Java heap space" in line)
    assert len(shown) < 450
    assert shown.strip().startswith("1 ... xxx")
    assert shown.endswith("yyy ...")
    answer = json.loads(run(str(log), "--format", "json").stdout)
    assert "x" * 900 in answer["lines"][0]["text"]
