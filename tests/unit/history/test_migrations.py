"""A store of any earlier version becomes one of today's, with all that is in it."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history import Store, migrations
from airflow_autoremed.history.db import schema_probe, schema_state, schema_version
from airflow_autoremed.history.db.engine import make_engine
from airflow_autoremed.history.db.run_metrics_table import metadata
from airflow_autoremed.history.db.schema_state import State
from airflow_autoremed.types import Mode, PatchState
from tests.support import stores
from tests.support.attempts import TRY_1, TRY_2, begin, decide, patch_for, remediation
from tests.support.schemas import alembic_version, differences, state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "autoremed.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{file}", 5)
    yield engine
    engine.dispose()


def test_the_question_that_every_try_asks_names_every_table() -> None:
    """A table that the probe does not know could be missing and nobody would notice."""
    keys = {table.name: [column.name for column in table.primary_key] for table in metadata.tables.values()}
    del keys["autoremed_meta"]
    assert {name: [key] for name, key in schema_probe.PROBED.items()} == keys


def test_every_version_has_a_migration_and_every_earlier_one_a_store_to_try_it_on() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_heads() == [schema_state.revision(schema_version.VERSION)]
    assert [each.revision for each in script.walk_revisions()][::-1] == [
        schema_state.revision(version) for version in range(1, schema_version.VERSION + 1)
    ]
    assert list(stores.VERSIONS) == list(range(1, schema_version.VERSION))


@pytest.mark.parametrize("version", stores.VERSIONS)
def test_a_store_of_an_earlier_version_is_upgraded_at_first_use_with_its_data(
    file: Path, engine: Engine, version: int
) -> None:
    stores.make(engine, version)
    before = stores.rows_of(version)
    before.pop("autoremed_meta")

    store = Store(f"sqlite:///{file}")
    (second, first) = store.one("etl", "manual__1", "aggregate", -1)[::-1]

    assert (first.category, second.succeeded) == ("executor_oom", True)
    assert store.decision_before(TRY_2).patch == patch_for(TRY_1)  # type: ignore[union-attr]
    assert stores.content(engine, before) == stores.sorted_rows(before)
    assert differences(engine) == []
    assert alembic_version(engine) == [schema_state.revision(schema_version.VERSION)]
    begin(store, TRY_2)
    decide(store, TRY_2, remediation(TRY_2), mode=Mode.ACT)
    assert state(engine) is State.CURRENT


def test_patches_of_version_1_are_active_whatever_the_job_and_know_their_category(
    file: Path, engine: Engine
) -> None:
    stores.make(engine, 1)
    ours, theirs = (Store(f"sqlite:///{file}", deployment=name).patches(10) for name in ("default", "other"))

    assert [row.state for row in (*ours, *theirs)] == [PatchState.ACTIVE] * 4
    assert {row.patch.scope.fingerprint for row in ours} == {"*"}
    assert sorted(row.category for row in ours) == ["executor_oom", "executor_oom"]
    # The decision that one of them belongs to is gone.
    assert sorted(row.category for row in theirs) == ["executor_oom", "unknown"]


def test_new_tables_and_upgraded_ones_are_the_same(file: Path, engine: Engine, tmp_path: Path) -> None:
    Store(f"sqlite:///{file}").open()
    assert differences(engine) == []
    assert alembic_version(engine) == [schema_state.revision(schema_version.VERSION)]

    other = make_engine(f"sqlite:///{tmp_path}/other.db", 5)
    assert migrations.upgrade(other).state is State.ABSENT
    assert differences(other) == []
    assert alembic_version(other) == alembic_version(engine)
    assert (state(engine), state(other)) == (State.CURRENT, State.CURRENT)
    other.dispose()


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    migrations.upgrade(engine)
    written: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: written.append(args[2]))
    assert migrations.upgrade(engine).state is State.CURRENT
    assert [each for each in written if not each.lstrip().startswith(("SELECT", "PRAGMA", "BEGIN"))] == []


def _open(url: str, barrier: Any) -> None:
    barrier.wait(60)
    Store(url, deadline_s=60).open()


@pytest.mark.parametrize("version", [None, *stores.VERSIONS])
def test_many_processes_that_start_at_once_find_one_upgraded_store(
    file: Path, engine: Engine, version: int | None
) -> None:
    if version is not None:
        stores.make(engine, version)
    spawn = multiprocessing.get_context("fork")
    barrier = spawn.Barrier(6)
    processes = [spawn.Process(target=_open, args=(f"sqlite:///{file}", barrier)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert differences(engine) == []


def test_threads_that_upgrade_at_once_take_turns(tmp_path: Path) -> None:
    """Alembic itself bears one upgrade at a time in a process."""
    engines = [make_engine(f"sqlite:///{tmp_path}/{number}.db", 5) for number in range(4)]
    for engine in engines:
        stores.make(engine, 1)
    threads = [threading.Thread(target=migrations.upgrade, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [differences(engine) for engine in engines] == [[]] * 4


def test_an_upgrade_that_dies_half_way_leaves_an_sqlite_store_as_it_was(engine: Engine) -> None:
    stores.make(engine, 1)
    before = stores.rows_of(1)

    def die(*args: Any) -> None:
        if "autoremed_grants" in args[2]:
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        migrations.upgrade(engine)
    event.remove(engine, "before_cursor_execute", die)

    assert state(engine) is State.BEHIND
    assert stores.content(engine, before) == stores.sorted_rows(before)
    migrations.upgrade(engine)
    assert differences(engine) == []


@pytest.mark.parametrize(
    "damage",
    [
        ("DROP TABLE autoremed_outcomes",),
        ("DROP TABLE autoremed_patch_changes", "DROP TABLE autoremed_grants"),
        ("ALTER TABLE autoremed_decisions DROP COLUMN opinion",),
        ("DELETE FROM autoremed_meta",),
        ("DROP TABLE autoremed_meta", "DROP TABLE autoremed_alembic_version"),
        ("UPDATE autoremed_meta SET value = '1'", "INSERT INTO autoremed_meta VALUES ('upgrading', 'since')"),
        ("UPDATE autoremed_meta SET value = 'x' WHERE name = 'schema_version'",),
    ],
)
def test_half_made_tables_are_refused_with_the_command_that_completes_them_and_then_used(
    file: Path, engine: Engine, damage: tuple[str, ...]
) -> None:
    store = Store(f"sqlite:///{file}")
    begin(store, TRY_1)
    store.close()
    with sqlite3.connect(file) as connection:
        for statement in damage:
            connection.execute(statement)
    connection.close()
    if "DROP COLUMN" not in damage[0]:  # only the close look sees this one
        with pytest.raises(StoreError, match=r"half-made .*autoremed db upgrade"):
            store.recent(1)
    assert state(engine) is State.HALF_MADE

    migrations.upgrade(engine)

    assert differences(engine) == []
    assert [row.attempt for row in store.recent(10)] == [TRY_1], "without a restart"


def test_a_newer_store_is_left_alone(file: Path, engine: Engine) -> None:
    Store(f"sqlite:///{file}").open()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE autoremed_meta SET value = '99' WHERE name = 'schema_version'")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="schema version 99, newer than"):
        migrations.upgrade(engine)
    assert file.read_bytes() == before


def test_code_of_version_1_refuses_the_upgraded_store(file: Path, engine: Engine) -> None:
    """It reads this very row, and compares."""
    stores.make(engine, 1)
    migrations.upgrade(engine)
    with sqlite3.connect(file) as connection:
        query = "SELECT value FROM autoremed_meta WHERE name = 'schema_version'"
        assert connection.execute(query).fetchall() == [(str(schema_version.VERSION),)]
    connection.close()


def test_a_worker_checks_the_tables_with_one_query_and_without_alembic(file: Path) -> None:
    Store(f"sqlite:///{file}").open()
    program = f"""
import json, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from airflow_autoremed.history import Store
statements = []
event.listen(Engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
Store("sqlite:///{file}").open()
print(json.dumps([statements, "alembic" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    statements, alembic = json.loads(done.stdout)
    queries = [statement for statement in statements if "autoremed_" in statement]
    assert len(queries) == 1
    assert not alembic


def test_only_sqlite_is_upgraded_at_first_use() -> None:
    absent = schema_state.Readiness(State.ABSENT, None, "no tables yet")
    behind = schema_state.Readiness(State.BEHIND, 1, "old tables")
    half_made = schema_state.Readiness(State.HALF_MADE, 1, "in between")
    assert schema_state.is_automatic("sqlite", absent)
    assert schema_state.is_automatic("sqlite", behind)
    assert not schema_state.is_automatic("sqlite", half_made)
    for backend in ("postgresql", "mysql", "mariadb"):
        assert not schema_state.is_automatic(backend, absent)
    assert "run `autoremed db upgrade` once" in schema_state.advice(absent)
    assert "run `autoremed db upgrade` once" in schema_state.advice(behind)
