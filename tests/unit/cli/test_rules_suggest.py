"""`autoremed rules suggest` and `autoremed rules learn`."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.rules import rules_app
from airflow_autoremed.cli.rules_suggest import plain_retries
from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.matching.precedence import unknown
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.loading import read_rules
from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart
from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.types import Action, AttemptId, Classification, Restartable
from tests.support.decisions import decision, recorded

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
LOG = """\
26/11/24 10:00:00 INFO SparkContext: Running Spark version 4.1.4
26/11/24 10:00:05 ERROR LedgerGuard: Shop {number} of region '{name}' is sealed since {day}
26/11/24 10:00:06 INFO ShutdownHookManager: Shutdown hook called
"""
OTHER = "26/11/24 10:00:05 ERROR FeedReader: Feed {number} ended before its trailer\n"
QUIET = "26/11/24 10:00:00 INFO SparkContext: Running Spark version 4.1.4\n"


def _sealed(number: int) -> str:
    return LOG.format(number=number, name="abcdefgh"[: number % 7 + 1], day=f"2026-11-{number % 28 + 1:02}")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configured store's URL: SQLite in an AIRFLOW_HOME of its own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for name in ("AIRFLOW_CONFIG", "AIRFLOW__AUTOREMED__STORE", "AIRFLOW__AUTOREMED__RULES_PATHS"):
        monkeypatch.delenv(name, raising=False)
    return f"sqlite:///{tmp_path / 'autoremed.db'}"


def _record(
    store: Store,
    run_id: str,
    try_number: int,
    *,
    excerpt: str | None = None,
    task: str = "load",
    gib_seconds: float = 10.0,
    cause: Classification | None = None,
    memory: str = "1g",
) -> None:
    attempt = AttemptId("shop", run_id, task, -1, try_number)
    conf = {"spark.executor.memory": memory}
    verdict = None
    if excerpt is not None:
        made = decision(Action.LEAVE_ALONE, "No rule names it.", cause or unknown(), conf)
        verdict = recorded(made, excerpt=excerpt)
    store.record(
        attempt,
        start=AttemptStart(attempt, conf, conf, "SparkSubmitOperator", NOON),
        decision=verdict,
        end=AttemptEnd(excerpt is None, NOON, 5.0, gib_seconds),
    )


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(rules_app, list(arguments))


@pytest.fixture
def filled(url: str) -> str:
    store = Store(url)
    for number in range(4):
        _record(store, f"run-{number}", 1, excerpt=_sealed(number), gib_seconds=100.0)
        _record(store, f"run-{number}", 2, excerpt=None if number < 3 else _sealed(number), gib_seconds=100.0)
    for number in range(6):
        _record(store, f"run-{number}", 1, excerpt=OTHER.format(number=number), task="feed", gib_seconds=1.0)
    _record(store, "run-9", 1, excerpt=QUIET, task="quiet")
    store.close()
    return url


def test_the_costliest_failure_comes_first_with_its_cost_and_what_retries_brought(filled: str) -> None:
    done = _run("suggest")
    assert done.exit_code == 0
    first, second = done.stdout.index("is sealed since"), done.stdout.index("ended before its trailer")
    assert first < second
    assert "5 failures; 500 GiB-seconds lost; 3 of 4 retries with nothing changed succeeded" in done.stdout
    assert "matches 5 of 5 of its failures" in done.stdout
    assert "matches 6 of 6 of its failures" in done.stdout
    assert "12 unclassified failures" in done.stderr
    assert "1 in which no line says what failed" in done.stderr


def test_the_drafted_file_passes_the_check_and_names_the_next_such_failure(
    filled: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    assert _run("suggest", "--output", str(file)).exit_code == 0
    assert _run("check", str(file)).exit_code == 0
    rules, errors = read_rules(file)
    assert errors == []
    verdict = classify_texts(Catalogue(tuple(rules)), [(None, _sealed(987654))])
    assert verdict.rule == rules[0].id
    assert verdict.restartable is Restartable.AS_IS


def test_the_examples_give_no_names_away(filled: str) -> None:
    done = _run("suggest")
    assert "examples:" in done.stdout
    assert "'abc" not in done.stdout
    assert "2026-11-0" not in done.stdout


def test_what_a_rule_of_your_own_names_by_now_is_not_suggested_again(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    _run("suggest", "--output", str(file), "--limit", "1")
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RULES_PATHS", str(file))
    done = _run("suggest")
    assert "is sealed since" not in done.stdout
    assert "ended before its trailer" in done.stdout
    assert "5 that a rule names by now" in done.stderr


def test_logs_can_be_given_instead_of_a_history(url: str, tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.log", tmp_path / "b.log.gz"
    plain.write_text(_sealed(3))
    packed.write_bytes(gzip.compress(_sealed(4).encode()))
    known = tmp_path / "c.log"
    known.write_text(
        "org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a` cannot be found.\n"
    )
    done = _run("suggest", *(f"--from={path}" for path in (plain, packed, known)))
    assert done.exit_code == 0
    assert "matches 2 of 2 of its failures" in done.stdout
    assert "2 unclassified failures in 3 logs" in done.stderr
    assert "1 that a rule names by now" in done.stderr
    assert not (tmp_path / "autoremed.db").exists()


def test_a_rule_that_would_fire_on_a_healthy_log_is_commented_out(url: str, tmp_path: Path) -> None:
    failed, healthy = tmp_path / "failed.log", tmp_path / "healthy"
    failed.write_text("LedgerGuard: failed to seal shop 17 in time\n")
    healthy.mkdir()
    (healthy / "good.log").write_text("LedgerGuard: failed to seal shop 4 in time\n")
    done = _run("suggest", "--from", str(failed), "--healthy", str(healthy))
    assert "NOT READY: it would name a failure in" in done.stdout
    assert "good.log" in done.stdout
    assert "\n- id" not in done.stdout
    assert "# - id: suggested-" in done.stdout
    assert "0 ready to use" in done.stderr


def test_nothing_unclassified_prints_no_rules(url: str, tmp_path: Path) -> None:
    done = _run("suggest")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "0 unclassified failures" in done.stderr
    assert not (tmp_path / "autoremed.db").exists()


def test_what_cannot_be_read_or_would_be_overwritten_is_said(url: str, tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("- id: mine\n")
    for arguments, told in (
        (["--from", str(tmp_path / "none.log")], "none.log cannot be read"),
        (["--healthy", str(tmp_path / "none.log")], "none.log cannot be read"),
        (["--output", str(there)], "exists already"),
        (["--store", "nonsense"], "SQLAlchemy URL"),
    ):
        done = _run("suggest", *arguments)
        assert done.exit_code == 2
        assert told in done.stderr
    assert there.read_text() == "- id: mine\n"


def _row(try_number: int, *, memory: str = "1g", succeeded: bool | None = False) -> StoredAttempt:
    conf = {"spark.executor.memory": memory}
    attempt = AttemptId("shop", "run", "load", -1, try_number)
    return StoredAttempt(attempt, operator="SparkSubmitOperator", effective=conf, succeeded=succeeded)


def test_only_a_retry_with_the_same_configuration_counts_as_a_plain_one() -> None:
    first = _row(1)
    assert plain_retries([_row(2, succeeded=True), first]) == {first.attempt: True}
    assert plain_retries([_row(2, memory="2g", succeeded=True), first]) == {}
    assert plain_retries([_row(2, succeeded=None), first]) == {}
    assert plain_retries([_row(3, succeeded=True), first]) == {}


# ---------------------------------------------------------------------------------------------------------- learn


@pytest.fixture
def few_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """No examples of rules, which make training take half a minute."""
    monkeypatch.setattr("airflow_autoremed.cli.rules_learn._rule_examples", lambda catalogue: [])


def _labelled(path: Path, count: int) -> Path:
    lines = []
    for number in range(count):
        category, words = [("disk_full", "volume is full"), ("bad_data", "row is torn")][number % 2]
        lines.append(
            json.dumps(
                {"text": f"com.acme.StoreException: {words} {'x' * (number + 1)}", "category": category}
            )
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_learning_writes_a_model_that_suggest_then_asks(
    filled: str, tmp_path: Path, few_rules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    done = _run("learn", "--from", str(_labelled(tmp_path / "data.jsonl", 120)))
    assert done.exit_code == 0, done.output
    assert "Above a confidence of" in done.stdout
    assert (tmp_path / "autoremed" / "text_model" / "manifest.json").exists()
    log = tmp_path / "full.log"
    log.write_text("com.acme.StoreException: volume is full " + "x" * 41 + "\n")
    done = _run("suggest", "--from", str(log))
    assert "category: disk_full\n" in done.stdout
    assert "text model" in done.stdout


def test_learning_takes_what_rules_named_in_the_history(url: str, few_rules: None) -> None:
    pytest.importorskip("sklearn")
    store = Store(url)
    cause = Classification("disk_full", "no-space-left", Restartable.AS_IS, False)
    _record(store, "run-1", 1, excerpt="java.io.IOException: No space left on device", cause=cause)
    _record(store, "run-2", 1, excerpt=_sealed(1))
    store.close()
    done = _run("learn")
    assert done.exit_code == 1
    assert "1 failures in" in done.stderr
    assert "60 or more are needed" in done.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [("{", "is no failure"), ("[]", "is no failure"), ('{"text": "x", "category": "oops"}', "write one of")],
)
def test_a_line_that_is_no_labelled_failure_is_named(url: str, tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"text": "x", "category": "disk_full"}\n' + line + "\n")
    done = _run("learn", "--from", str(file))
    assert done.exit_code == 2
    assert f"{file}:2" in done.stderr
    assert told in done.stderr
