"""The store on real database servers, which the tests bring up themselves: Postgres, and MariaDB where installed."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history import Store, export, migrations, prune
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart, Judge, Promotion
from airflow_autoremed.history.db import schema_state, schema_version
from airflow_autoremed.history.db.engine import make_engine
from airflow_autoremed.history.db.schema_state import State
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.types import Action, AttemptId, Ceilings, Mode, PatchRules, PatchState, TaskRecord
from tests.integration.servers import Door, Server, mariadb, postgres
from tests.support import stores
from tests.support.attempts import (
    DECLARED,
    GROWN,
    NOON,
    TRY_1,
    TRY_2,
    begin,
    decide,
    end,
    patch_for,
    remediation,
)
from tests.support.schemas import alembic_version, differences, state
from tests.unit.history import test_store as on_sqlite

pytestmark = pytest.mark.integration

# What holds on SQLite holds here: the same tests, with the fixtures of this module.
for _name in (
    "test_an_attempt_comes_back_with_all_that_was_recorded",
    "test_the_next_try_finds_the_patch_of_the_try_before",
    "test_nobody_but_the_next_try_finds_the_decision",
    "test_a_decision_without_a_patch_is_a_decision",
    "test_an_attempt_that_starts_is_told_the_modes_that_people_set",
    "test_an_attempt_that_is_switched_off_leaves_nothing",
    "test_a_patch_that_takes_the_place_of_another_says_so_in_the_life_of_that",
    "test_recording_twice_leaves_one_row_with_the_last_decision",
    "test_a_try_that_resumes_after_a_deferral_keeps_its_first_beginning",
    "test_past_attempts_are_the_earlier_tries_of_this_task_instance_oldest_first",
    "test_a_decision_is_shown_though_the_beginning_of_its_attempt_could_not_be_recorded",
    "test_recent_is_latest_first_and_can_be_narrowed",
    "test_deployments_on_one_database_do_not_see_each_other",
    "test_long_texts_are_cut_and_long_values_noted",
    "test_characters_that_databases_refuse_do_not_lose_the_decision",
    "test_check_says_that_a_new_store_can_be_used_and_leaves_nothing_in_it",
    "test_a_closed_store_can_be_used_again",
    "test_a_forked_process_opens_connections_of_its_own",
    "test_a_name_that_no_column_can_hold_is_a_store_error",
    "test_an_attempt_that_starts_is_recorded_and_told_of_the_patch_promoted_for_its_task",
    "test_a_try_that_started_and_never_ended_is_known_to_the_next_one_with_what_it_ran_with",
    "test_a_try_that_was_ended_from_outside_counts_for_nothing_but_is_shown",
    "test_a_try_without_a_patch_gives_back_the_memory_that_was_granted_to_it",
    "test_a_patch_that_was_revoked_between_two_tries_is_not_handed_to_the_next_one",
    "test_attempts_that_run_with_a_patch_are_named_until_they_end",
):
    globals()[_name] = getattr(on_sqlite, _name)


@pytest.fixture(scope="module", params=[postgres, mariadb], ids=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Sockets have short names: the directory must not be deep.
    with request.param(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.fixture
def empty(server: Server) -> str:
    """The URL of a database without tables."""
    return server.new_database()


@pytest.fixture
def url(empty: str) -> str:
    """The URL of a database with today's tables."""
    engine = make_engine(empty, 30)
    migrations.upgrade(engine)
    engine.dispose()
    return empty


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def engine(empty: str) -> Iterator[Engine]:
    engine = make_engine(empty, 30)
    yield engine
    engine.dispose()


@pytest.fixture
def door(server: Server, tmp_path: Path) -> Iterator[Door]:
    door = Door(server, tmp_path)
    yield door
    door.release()
    door.shut()


def behind(door: Door, server: Server, url: str) -> str:
    """*url* through the door."""
    return url.replace(str(server.socket), str(door.path)).replace(
        f"host={server.socket.parent}", f"host={door.path.parent}"
    )


# ------------------------------------------------------------------------------------------------ migrations


def test_a_server_s_tables_are_not_made_by_workers_and_the_error_says_what_to_run(
    empty: str, engine: Engine
) -> None:
    store = Store(empty)
    with pytest.raises(StoreError, match="no tables yet; run `autoremed db upgrade` once"):
        begin(store, TRY_1)
    assert state(engine) is State.ABSENT

    stores.make(engine, 1)
    with pytest.raises(StoreError, match=r"schema version 1, older .* run `autoremed db upgrade` once"):
        begin(store, TRY_1)
    assert state(engine) is State.BEHIND

    migrations.upgrade(engine)
    begin(store, TRY_1)


@pytest.mark.parametrize("version", stores.VERSIONS)
def test_an_earlier_store_is_upgraded_with_its_data(engine: Engine, empty: str, version: int) -> None:
    stores.make(engine, version)
    before = stores.rows_of(version)
    before.pop("autoremed_meta")
    assert migrations.upgrade(engine).version == version
    assert differences(engine) == []
    assert alembic_version(engine) == [schema_state.revision(schema_version.VERSION)]
    assert stores.content(engine, before) == stores.sorted_rows(before)
    verdict = Store(empty).decision_before(TRY_2)
    assert verdict is not None
    assert verdict.patch == patch_for(TRY_1)


def test_upgrading_an_empty_database_makes_the_tables_of_the_code(engine: Engine) -> None:
    assert migrations.upgrade(engine).state is State.ABSENT
    assert differences(engine) == []
    assert migrations.upgrade(engine).state is State.CURRENT


@pytest.mark.parametrize("version", [None, *stores.VERSIONS])
def test_the_printed_statements_do_the_same(engine: Engine, server: Server, version: int | None) -> None:
    if version is not None:
        stores.make(engine, version)
    printed = migrations.sql(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in printed.split(";\n"):
            lines = [line for line in statement.splitlines() if not line.startswith("--")]
            if "".join(lines).strip():
                connection.exec_driver_sql("\n".join(lines).replace("%", "%%"))
    assert differences(engine) == []
    assert state(engine) is State.CURRENT
    assert alembic_version(engine) == [schema_state.revision(schema_version.VERSION)]
    assert migrations.sql(engine) == ""


def test_an_upgrade_that_dies_at_any_statement_is_completed_by_running_it_again(server: Server) -> None:
    """On Postgres nothing of it stays; MySQL keeps every statement, and workers are told."""
    died_at, seen = 0, set()
    while True:
        engine = make_engine(server.new_database(), 30)
        stores.make(engine, 1)
        before = stores.rows_of(1)
        before.pop("autoremed_meta")
        countdown = [died_at]

        def die(*args: Any, countdown: list[int] = countdown) -> None:
            if args[2].lstrip().upper().startswith(("CREATE", "ALTER", "UPDATE", "INSERT", "DELETE")):
                countdown[0] -= 1
                if countdown[0] < 0:
                    raise ConnectionAbortedError

        event.listen(engine, "before_cursor_execute", die)
        try:
            migrations.upgrade(engine)
        except ConnectionAbortedError:
            event.remove(engine, "before_cursor_execute", die)
            seen.add(state(engine))
            if state(engine) is not State.CURRENT:
                with pytest.raises(StoreError, match="autoremed db upgrade"):
                    Store(str(engine.url.render_as_string(hide_password=False))).recent(1)
            migrations.upgrade(engine)
            assert differences(engine) == [], f"died at statement {died_at}"
            assert stores.content(engine, before) == stores.sorted_rows(before)
            died_at += 1
            engine.dispose()
        else:
            engine.dispose()
            break
    assert died_at > 15
    expected = {State.BEHIND} if server.backend == "postgresql" else {State.BEHIND, State.HALF_MADE}
    assert expected <= seen


def _upgrade(url: str, barrier: Any) -> None:
    engine = make_engine(url, 30)
    barrier.wait(60)
    migrations.upgrade(engine)
    engine.dispose()


@pytest.mark.parametrize("version", [None, 1])
def test_upgrades_at_once_take_turns(engine: Engine, empty: str, version: int | None) -> None:
    if version is not None:
        stores.make(engine, version)
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    processes = [spawn.Process(target=_upgrade, args=(empty, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert differences(engine) == []


def test_an_upgrade_waits_for_another_and_says_so(engine: Engine, empty: str) -> None:
    other = make_engine(empty, 30)
    with ExitStack() as stack:
        connection = stack.enter_context(other.connect())
        stack.enter_context(connection.begin())
        stack.enter_context(migrations._alone(connection, 1, None))
        told: list[str] = []
        with pytest.raises(StoreError, match=r"another upgrade of it has been running for 0\.5 s"):
            migrations.upgrade(engine, patience_s=0.5, on_wait=lambda: told.append("waiting"))
        assert told == ["waiting"]
    assert migrations.upgrade(engine, patience_s=0.5).state is State.ABSENT
    other.dispose()


# ------------------------------------------------------------------------------------------------ many at once


def _one_worker(url: str, number: int, attempts: int, results: Any) -> None:
    store = Store(url, deadline_s=30)
    took = []
    for index in range(attempts):
        attempt = AttemptId("etl", "run", "mapped", number * attempts + index, 1)
        started = time.perf_counter()
        begin(store, attempt)
        decide(store, attempt, remediation(attempt), mode=Mode.ACT)
        end(store, attempt, succeeded=False)
        took.append(time.perf_counter() - started)
        begin(store, replace(TRY_1, try_number=index + 1))  # everybody writes about this one
        store.grant(attempt, 1 << 30, held_s=60, ceilings=Ceilings(max_extra_memory=10 << 30))
        store.close()  # a worker lives for one task
    results.put(took)


def test_sixteen_processes_at_once_lose_nothing_and_exceed_no_ceiling(
    url: str, store: Store, server: Server
) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    processes = [spawn.Process(target=_one_worker, args=(url, number, 20, results)) for number in range(16)]
    for process in processes:
        process.start()
    took = sorted(each for _ in processes for each in results.get(timeout=300))
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 16
    rows = store.recent(1000)
    own = [row for row in rows if row.attempt.run_id == "run"]
    assert len(own) == len({row.attempt for row in own}) == 320
    assert all(row.action is Action.REMEDIATE and row.succeeded is False for row in own)
    assert len(rows) - len(own) == 20
    database = open_database(url, 5)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM autoremed_grants")).scalar() == 10
    database.close()
    print(
        f"\n{server.backend}: three writes of one attempt, 16 processes: p50 {took[len(took) // 2] * 1000:.0f} ms, "
        f"p99 {took[int(len(took) * 0.99)] * 1000:.0f} ms"
    )


def test_a_store_never_holds_more_than_two_connections(url: str, server: Server) -> None:
    store = Store(url, deadline_s=30)
    store.open()
    database = url.partition("?")[0].rpartition("/")[2]
    query = (
        f"SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{database}'"
        if server.backend == "postgresql"
        else f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'"
    )
    done = threading.Event()

    def work(number: int) -> None:
        index = 0
        while not done.is_set():
            index += 1
            begin(store, AttemptId("etl", "run", f"task_{number}", index, 1))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    seen = [server.run(query)[0][0] for _ in range(30)]
    done.set()
    for thread in threads:
        thread.join(60)
    store.close()
    assert 1 <= max(seen) <= 2


def heal(url: str, run_id: str, judge: Judge) -> list[str]:
    """One task instance fails, is patched, and succeeds; what the store said of its patch."""
    store = Store(url, deadline_s=20)
    first = replace(TRY_1, run_id=run_id)
    second = replace(first, try_number=2)
    begin(store, first)
    decide(store, first, remediation(first), mode=Mode.ACT)
    end(store, first, succeeded=False)
    key = store.patch_key(patch_for(first))
    start = AttemptStart(second, DECLARED, GROWN, "SparkSubmitOperator", NOON, patched=True, patch_key=key)
    store.record(second, start=start)
    return store.record(
        second, start=start, end=AttemptEnd(True, NOON), promotion=Promotion(PatchRules(), judge)
    )


def test_of_two_patches_promoted_at_once_one_is_in_force_and_revoking_it_leaves_none(
    url: str, store: Store
) -> None:
    """Two runs of a task heal in the same moment: each finds no other patch in force while it decides."""
    together = threading.Barrier(2)

    def judge(what: str, record: TaskRecord) -> tuple[bool, str]:
        together.wait(30)
        return True, "it pays"

    said: list[list[str]] = []
    runs = [threading.Thread(target=lambda run=run: said.append(heal(url, run, judge))) for run in ("a", "b")]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)

    assert [len(sentences) for sentences in said] == [1, 1]
    (promoted,) = store.patches(10, in_force_only=True)
    assert sorted(row.state for row in store.patches(10)) == [PatchState.PROMOTED, PatchState.SUPERSEDED]
    assert store.end_patch(promoted.key, PatchState.REVOKED, who="me", why="too large")
    assert store.promoted_patch(replace(TRY_1, run_id="c"), "") is None


# ------------------------------------------------------------------------------------------------ faults


def test_a_server_that_is_down_is_a_store_error_and_used_again_when_it_is_up(
    url: str, server: Server, door: Door
) -> None:
    store = Store(behind(door, server, url), deadline_s=3)
    begin(store, TRY_1)
    door.shut()
    started = time.monotonic()
    with pytest.raises(StoreError, match="cannot be used"):
        begin(store, TRY_2)
    assert time.monotonic() - started < 3.5
    door.open()
    begin(store, TRY_2)
    assert len(store.recent(10)) == 2


def test_a_server_that_takes_ten_seconds_is_given_up_in_time_and_used_again_afterwards(
    url: str, server: Server, door: Door
) -> None:
    store = Store(behind(door, server, url), deadline_s=1)
    begin(store, TRY_1)
    door.hold()
    release = threading.Timer(10, door.release)
    release.start()
    started = time.monotonic()
    with pytest.raises(StoreError, match="did not answer within 1 s"):
        begin(store, TRY_2)
    assert time.monotonic() - started < 1.5
    with pytest.raises(StoreError, match="still waiting"):
        store.recent(1)
    assert time.monotonic() - started < 2
    release.join()
    time.sleep(1)
    begin(store, TRY_2)
    assert {row.attempt.try_number for row in store.recent(10)} == {1, 2}


def test_a_server_that_has_become_read_only_is_a_store_error_until_it_is_not(
    url: str, server: Server, store: Store
) -> None:
    begin(store, TRY_1)
    database = url.partition("?")[0].rpartition("/")[2]
    if server.backend == "postgresql":
        on, off = (
            f"ALTER DATABASE {database} SET default_transaction_read_only = {value}"
            for value in ("on", "off")
        )
    else:
        server.run("CREATE OR REPLACE USER worker", f"GRANT ALL ON {database}.* TO worker")
        on, off = "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"
    # On MariaDB the administrator is exempt.
    store = Store(url.replace("root@", "worker@"))
    server.run(on)
    try:
        with pytest.raises(StoreError, match="read-only"):
            begin(store, TRY_2)
        assert len(store.recent(10)) == 1
    finally:
        server.run(off)
    with suppress(StoreError):  # a connection from before may still be read-only, and is let go of then
        begin(store, TRY_2)
    begin(store, TRY_2)
    assert len(store.recent(10)) == 2


def test_a_table_that_somebody_has_locked_is_given_up_and_leaves_nobody_waiting_on_the_server(
    url: str, server: Server
) -> None:
    store = Store(url, deadline_s=2)
    begin(store, TRY_1)
    other = make_engine(url, 30)
    postgresql = server.backend == "postgresql"
    with other.connect() as connection:
        lock = "LOCK TABLE autoremed_attempts" if postgresql else "LOCK TABLES autoremed_attempts WRITE"
        connection.execute(text(lock))
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"did not answer within 2 s|timeout"):
            begin(store, TRY_2)
        assert time.monotonic() - started < 2.5
        time.sleep(2)
        waiting = server.run(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            if postgresql
            else "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
        )
        assert waiting[0][0] == 0
        if not postgresql:
            connection.execute(text("UNLOCK TABLES"))
    other.dispose()
    begin(store, TRY_2)
    assert len(store.recent(10)) == 2


# ------------------------------------------------------------------------------------------------ over months


def test_what_is_old_is_deleted_in_batches_beside_workers(url: str, store: Store) -> None:
    for number in range(1, 31):
        attempt = replace(TRY_1, run_id=f"r{number}")
        begin(store, attempt)
        decide(store, attempt, remediation(attempt), mode=Mode.ACT)
        end(store, attempt, succeeded=False)
    other = Store(url, deployment="other")
    begin(other, TRY_1)
    database = open_database(url, 5)
    now = datetime.now(timezone.utc) + timedelta(seconds=1)
    expected = prune.would_prune(database, "default", now)
    batches: list[int] = []
    done = prune.prune(
        database, "default", now, batch=7, on_batch=lambda counts: batches.append(counts.attempts)
    )
    assert done == expected
    assert (done.attempts, done.decisions, done.outcomes, done.patches) == (30, 30, 30, 30)
    assert batches == [7, 14, 21, 28, 30]
    assert store.recent(10) == []
    assert len(other.recent(10)) == 1
    database.close()


def test_the_history_is_exported(url: str, store: Store, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    database = open_database(url, 5)
    export.export(database, "default", tmp_path / "out")
    database.close()
    (row,) = parquet.read_table(tmp_path / "out" / "attempts.parquet").to_pylist()
    assert (row["dag_id"], row["started_at"]) == ("etl", NOON)
