"""`autoremed db`, and what `autoremed doctor` says of the store."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.errors import StoreError
from airflow_autoremed.history import Store, export, prune
from airflow_autoremed.history.db import schema_version
from airflow_autoremed.history.db.engine import make_engine
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.prune import PruneCounts
from airflow_autoremed.types import Ceilings, Mode
from tests.support import stores
from tests.support.attempts import DECLARED, NOON, TRY_1, TRY_2, begin, decide, end, remediation

NOW = datetime.now(timezone.utc)
LONG_AGO = NOW - timedelta(days=200)


@pytest.fixture
def file(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configured store's file."""
    monkeypatch.setenv("COLUMNS", "400")
    for name in ("AIRFLOW_CONFIG", "AIRFLOW__AUTOREMED__DEPLOYMENT", "AIRFLOW__AUTOREMED__RETENTION"):
        monkeypatch.delenv(name, raising=False)
    return airflow_home / "autoremed.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def sql(file: Path, *statements: str) -> list[Any]:
    with sqlite3.connect(file) as connection:
        rows = [connection.execute(statement).fetchall() for statement in statements][-1]
    connection.close()
    return rows


def of_version_1(url: str) -> None:
    engine = make_engine(url, 5)
    stores.make(engine, 1)
    engine.dispose()


# ------------------------------------------------------------------------------------------ check and upgrade


def test_check_tells_each_state_and_exits_with_it(file: Path, url: str) -> None:
    absent = run("db", "check")
    assert (absent.exit_code, file.exists()) == (1, False)
    assert f"{url}: absent: no file yet" in absent.stdout
    assert "The first task that uses it does that" in absent.stderr

    of_version_1(url)
    behind = run("db", "check")
    assert behind.exit_code == 1
    assert f"behind: tables of schema version 1, older than the {schema_version.VERSION}" in behind.stdout
    assert sql(file, "SELECT value FROM autoremed_meta") == [("1",)], "looking changes nothing"

    assert run("db", "upgrade").exit_code == 0
    current = run("db", "check")
    assert (current.exit_code, current.stderr) == (0, "")
    assert "up to date" in current.stdout

    sql(file, "DROP TABLE autoremed_grants")
    half_made = run("db", "check")
    assert half_made.exit_code == 1
    assert "half-made: missing: autoremed_grants" in half_made.stdout
    assert "autoremed db upgrade" in half_made.stderr

    sql(file, f"UPDATE autoremed_meta SET value = '{schema_version.VERSION + 1}'")
    newer = run("db", "check")
    assert newer.exit_code == 1
    assert f"newer: tables of schema version {schema_version.VERSION + 1}" in newer.stdout
    assert "upgrade airflow-autoremed here" in newer.stderr


def test_upgrade_says_what_it_did(file: Path, url: str) -> None:
    assert (
        run("db", "upgrade").output
        == f"{url}: created the tables, schema version {schema_version.VERSION}.\n"
    )
    assert run("db", "upgrade").output == f"{url} is up to date: schema version {schema_version.VERSION}.\n"
    sql(file, "DROP TABLE autoremed_outcomes")
    completed = f"{url}: completed the upgrade from version {schema_version.VERSION} to schema version {schema_version.VERSION}.\n"
    assert run("db", "upgrade").output == completed
    file.unlink()
    of_version_1(url)
    assert (
        run("db", "upgrade").output
        == f"{url}: upgraded from version 1 to schema version {schema_version.VERSION}.\n"
    )


def test_upgrade_refuses_a_newer_store(file: Path, url: str) -> None:
    Store(url).open()
    sql(file, f"UPDATE autoremed_meta SET value = '{schema_version.VERSION + 1}'")
    done = run("db", "upgrade")
    assert done.exit_code == 2
    assert f"newer than the {schema_version.VERSION}" in done.stderr


def test_statements_for_sqlite_are_not_printed_and_it_is_said_what_to_run(file: Path, url: str) -> None:
    of_version_1(url)
    done = run("db", "upgrade", "--sql")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "run `autoremed db upgrade`" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("upgrade",),
        ("upgrade", "--sql"),
        ("prune", "--older-than", "90d", "--dry-run"),
        ("export", "out"),
    ],
)
@pytest.mark.parametrize(
    "bad",
    [
        "postgresql+psycopg2://me:s3cr%40t@127.0.0.1:1/db",
        "mysql+pymysql://me:s3cr%40t@127.0.0.1:1/db",
        "nonsense://me:s3cr%40t@127.0.0.1:1/db",
        "not a url",
    ],
)
def test_a_store_that_cannot_be_asked_is_one_line_without_password_and_exit_code_2(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], bad: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("db", *command, "--store", bad)
    assert done.exit_code == 2
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "cannot be used" in done.stderr
    assert "s3cr" not in done.output
    assert not (tmp_path / "out").exists()


def test_a_setting_that_cannot_be_used_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE_DEADLINE", "soon")
    done = run("db", "check")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "write a number" in done.stderr


# ------------------------------------------------------------------------------------------------------ prune


def record(store: Store, **changes: Any) -> None:
    """An attempt with everything that hangs on it."""
    attempt = replace(TRY_1, **changes)
    begin(store, attempt)
    decide(store, attempt, remediation(attempt), mode=Mode.ACT)
    end(store, attempt, succeeded=False)


def backdate(file: Path, where: str = "1 = 1") -> None:
    text = LONG_AGO.isoformat(timespec="microseconds")
    sql(file, f"UPDATE autoremed_attempts SET recorded_at = '{text}' WHERE {where}")


@pytest.fixture
def filled(file: Path, url: str) -> Path:
    """Five old attempts (one with a promoted patch) and two new ones, and one old one of another deployment."""
    store, other = Store(url), Store(url, deployment="other")
    for number in range(1, 6):
        record(store, run_id=f"old_{number}")
    record(other, run_id="old_1")
    backdate(file)
    for number in range(1, 3):
        record(store, run_id=f"new_{number}")
    sql(file, "UPDATE autoremed_patches SET state = 'promoted' WHERE run_id = 'old_3'")
    store.close()
    other.close()
    return file


def counted(file: Path) -> dict[str, int]:
    tables = ("attempts", "decisions", "outcomes", "patches", "patch_changes")
    return {name: sql(file, f"SELECT COUNT(*) FROM autoremed_{name}")[0][0] for name in tables}


def test_prune_deletes_what_is_old_keeps_what_is_in_force_and_leaves_other_deployments_alone(
    filled: Path, url: str
) -> None:
    assert counted(filled) == dict.fromkeys(counted(filled), 8)

    done = run("db", "prune", "--older-than", "90d", "--yes")

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Deleted 4 attempts, 4 decisions, 4 outcomes and 4 patches")
    assert "keep 1 attempt" in done.stdout
    assert counted(filled) == dict.fromkeys(counted(filled), 4)
    store = Store(url)
    assert sorted(row.attempt.run_id for row in store.recent(10)) == ["new_1", "new_2", "old_3"]
    (promoted,) = (row for row in store.recent(10) if row.attempt.run_id == "old_3")
    assert promoted.reason, "why the patch in force was made stays known"
    assert len(Store(url, deployment="other").recent(10)) == 1


def test_a_dry_run_counts_the_same_and_deletes_nothing(filled: Path) -> None:
    done = run("db", "prune", "--older-than", "90d", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.startswith("Would delete 4 attempts, 4 decisions, 4 outcomes and 4 patches")
    assert counted(filled) == dict.fromkeys(counted(filled), 8)


def test_a_patch_that_is_no_longer_in_force_goes_at_the_next_prune(filled: Path) -> None:
    run("db", "prune", "--older-than", "90d", "--yes")
    sql(filled, "UPDATE autoremed_patches SET state = 'revoked' WHERE run_id = 'old_3'")
    assert "Deleted 1 attempt," in run("db", "prune", "--older-than", "90d", "--yes").stdout


def test_prune_asks_and_without_a_terminal_says_how_to_answer(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("db", "prune", "--older-than", "90d")
    assert done.exit_code == 2
    assert "add --yes" in done.stderr

    from airflow_autoremed.cli import db

    monkeypatch.setattr(db, "_at_a_terminal", lambda: True)
    answered = CliRunner().invoke(app, ["db", "prune", "--older-than", "90d"], input="n\n")
    assert answered.exit_code == 1
    assert "Nothing was deleted" in answered.stderr
    assert counted(filled) == dict.fromkeys(counted(filled), 8)
    answered = CliRunner().invoke(app, ["db", "prune", "--older-than", "90d"], input="y\n")
    assert answered.exit_code == 0
    assert counted(filled)["attempts"] == 4


def test_how_old_is_too_old_comes_from_the_settings_or_has_to_be_said(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("db", "prune", "--dry-run")
    assert done.exit_code == 2
    assert "write --older-than 90d, or set [autoremed] retention" in done.stderr
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RETENTION", "90d")
    assert "Would delete 4 attempts" in run("db", "prune", "--dry-run").stdout
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RETENTION", "300d")
    assert "Nothing to delete" in run("db", "prune", "--dry-run").stdout
    for wrong in ("soon", "-1d", "none"):
        done = run("db", "prune", "--dry-run", "--older-than", wrong)
        assert done.exit_code == 2
        assert "write a duration" in done.stderr
    done = run("db", "prune", "--dry-run", "--older-than", "90")
    assert done.exit_code == 2
    assert "--older-than is '90', which has no unit; write '90d', '90h'" in done.stderr


def test_pruning_goes_in_batches_and_may_be_broken_off(filled: Path, url: str) -> None:
    database = open_database(url, 5)
    before = NOW - timedelta(days=90)

    def break_off(counts: PruneCounts) -> None:
        if counts.attempts == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune.prune(database, "default", before, batch=1, on_batch=break_off)
    assert counted(filled) == dict.fromkeys(counted(filled), 6), "what hangs on an attempt went with it"
    rest = prune.prune(database, "default", before, batch=1)
    assert rest == PruneCounts(attempts=2, decisions=2, outcomes=2, patches=2, changes=2, kept=1)
    database.close()
    with pytest.raises(ValueError, match="at least 1"):
        prune.prune(database, "default", before, batch=0)


def test_an_attempt_that_memory_is_granted_to_stays(file: Path, url: str) -> None:
    store = Store(url)
    record(store)
    assert store.grant(TRY_1, 1 << 30, held_s=3600, ceilings=Ceilings()) is None
    backdate(file)
    assert "Nothing to delete" in run("db", "prune", "--older-than", "90d", "--yes").stdout
    sql(file, f"UPDATE autoremed_grants SET held_until = '{LONG_AGO.isoformat(timespec='microseconds')}'")
    assert "Deleted 1 attempt," in run("db", "prune", "--older-than", "90d", "--yes").stdout
    assert sql(file, "SELECT COUNT(*) FROM autoremed_grants") == [(0,)]


# ----------------------------------------------------------------------------------------------------- export


def test_the_history_of_this_deployment_is_exported_as_it_is_stored(
    filled: Path, tmp_path: Path, url: str
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = run("db", "export", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'out' / 'attempts.parquet'}: 7 rows" in done.stdout
    tables = {path.stem: parquet.read_table(path).to_pylist() for path in (tmp_path / "out").iterdir()}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "attempts": 7,
        "decisions": 7,
        "outcomes": 7,
        "patches": 7,
        "patch_changes": 7,
        "run_metrics": 0,
    }
    assert {row["deployment"] for row in tables["attempts"]} == {"default"}
    attempt = tables["attempts"][0]
    assert (attempt["started_at"], attempt["try_number"], attempt["patched"]) == (NOON, 1, False)
    assert DECLARED["spark.app.name"] == "naïve ☃"
    assert "\\u2603" in attempt["baseline"], "JSON text, as it is stored"
    assert tables["outcomes"][0]["gib_seconds"] == 96.25
    assert {row["key"] for row in tables["attempts"]} == {row["key"] for row in tables["decisions"]}
    for path in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_export_reads_a_bounded_number_of_rows_at_once(
    filled: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "CHUNK", 3)
    seen: list[tuple[str, int, int]] = []
    database = open_database(url, 5)
    export.export(database, "default", tmp_path, on_progress=lambda p: seen.append((p.table, p.rows, p.of)))
    database.close()
    assert [each for each in seen if each[0] == "attempts"] == [
        ("attempts", 3, 7),
        ("attempts", 6, 7),
        ("attempts", 7, 7),
    ]
    file = parquet.ParquetFile(tmp_path / "attempts.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [3, 3, 1]
    assert len(set(file.read().column("key").to_pylist())) == 7


def test_an_export_that_fails_leaves_the_former_file_and_no_other(
    filled: Path, tmp_path: Path, url: str
) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    run("db", "export", str(out))
    before = (out / "attempts.parquet").read_bytes()
    sql(filled, "UPDATE autoremed_attempts SET started_at = 'yesterday'")
    done = run("db", "export", str(out))
    assert done.exit_code == 2
    assert "yesterday" in done.stderr
    assert (out / "attempts.parquet").read_bytes() == before
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []


def test_without_pyarrow_the_extra_is_named(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = run("db", "export", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "pip install 'airflow-autoremed[parquet]'" in done.stderr
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------------------------------------------------- faults


def test_a_full_disk_is_a_store_error_and_the_store_is_used_again_when_there_is_space(
    file: Path, url: str
) -> None:
    store = Store(url)
    begin(store, TRY_1)
    engine = store._database.engine  # type: ignore[union-attr]

    def full(connection: Any, _record: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(engine, "connect", full)
    engine.dispose()  # so that the next operation opens the file anew
    with pytest.raises(StoreError, match="full"):
        decide(store, TRY_2, remediation(TRY_2), mode=Mode.ACT, excerpt="x" * 16_000)
    assert len(store.recent(10)) == 1, "it can still be read, and nothing is there by half"
    event.remove(engine, "connect", full)
    last = replace(TRY_2, run_id="after")
    begin(store, last)
    assert store.recent(1)[0].attempt == last


def test_a_store_that_cannot_be_written_cannot_be_upgraded_and_is_when_it_can(file: Path, url: str) -> None:
    of_version_1(url)
    read_only = Store(f"sqlite:///file:{file}?mode=ro&uri=true")
    with pytest.raises(StoreError, match="readonly"):
        read_only.recent(1)
    assert run("db", "check").exit_code == 1
    assert len(Store(url).recent(10)) > 0
    assert len(read_only.recent(10)) > 0


def test_an_upgrade_meanwhile_is_waited_for_no_longer_than_the_deadline(file: Path, url: str) -> None:
    of_version_1(url)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = Store(url, deadline_s=0.5)
    started = datetime.now()
    with pytest.raises(StoreError, match=r"locked|did not answer within 0\.5 s"):
        store.recent(1)
    assert datetime.now() - started < timedelta(seconds=2)
    other.execute("ROLLBACK")
    other.close()
    assert len(Store(url).recent(10)) > 0


# ----------------------------------------------------------------------------------------------------- doctor


@pytest.fixture
def told_by_doctor(file: Path) -> Callable[[], str]:
    def ask() -> str:
        return " ".join(run("doctor").output.split())

    return ask


def test_doctor_tells_the_state_of_the_tables(
    file: Path, url: str, told_by_doctor: Callable[[], str]
) -> None:
    assert (
        "store schema │ ok │ no file yet; the first task that uses it creates or upgrades it"
        in told_by_doctor()
    )
    Store(url).open()
    assert (
        f"store schema │ ok │ up to date: tables of schema version {schema_version.VERSION}"
        in told_by_doctor()
    )
    sql(file, "DROP TABLE autoremed_grants")
    told = told_by_doctor()
    assert "store schema │ failed │ half-made" in told
    assert "autoremed db upgrade" in told
    sql(file, f"UPDATE autoremed_meta SET value = '{schema_version.VERSION + 1}'")
    assert "store schema │ failed │ newer" in told_by_doctor()


def test_doctor_tells_what_is_lost_when_workers_do_not_share_the_store(
    told_by_doctor: Callable[[], str], monkeypatch: pytest.MonkeyPatch, airflow_home: Path
) -> None:
    assert "store shared │ ok │ an SQLite file, and LocalExecutor" in told_by_doctor()
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")
    told = told_by_doctor()
    assert "store shared │ warning │ an SQLite file" in told
    for lost in ("history", "promoted patches", "brakes", "ceilings", "task state store"):
        assert lost in told
    monkeypatch.delenv("AIRFLOW__CORE__EXECUTOR")
    (airflow_home / "airflow.cfg").write_text("[core]\nexecutor = KubernetesExecutor\n")
    assert "store shared │ warning │ an SQLite file, and KubernetesExecutor" in told_by_doctor()


def test_doctor_tells_of_a_server_that_is_down_without_its_password(
    told_by_doctor: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", "postgresql+psycopg2://me:s3cr%40t@127.0.0.1:1/db")
    told = told_by_doctor()
    assert "store │ failed" in told
    assert "s3cr" not in told
    assert os.environ["AIRFLOW__AUTOREMED__STORE"].endswith("/db")
