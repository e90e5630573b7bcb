"""What is recorded about attempts is found again, once, by whom it belongs to."""

from __future__ import annotations

import multiprocessing
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart
from airflow_autoremed.history.db.upsert import put
from airflow_autoremed.history.stored import AttemptFilter
from airflow_autoremed.remediation import reasons
from airflow_autoremed.types import (
    ANY,
    Action,
    Advice,
    AttemptId,
    Ceilings,
    Mode,
    Override,
    PatchState,
    Reason,
    Scope,
)
from tests.support.attempts import (
    DECLARED,
    GROWN,
    HEAP,
    NOON,
    TRY_1,
    TRY_2,
    begin,
    decide,
    end,
    patch_for,
    remediation,
)
from tests.support.decisions import decision


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'made' / 'on demand' / 'autoremed.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


def test_an_attempt_comes_back_with_all_that_was_recorded(store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.SHADOW, excerpt="the log")
    end(store, TRY_1, succeeded=False)

    (row,) = store.one("etl", "manual__1", "aggregate", -1)

    assert row.attempt == TRY_1
    assert (row.baseline, row.effective, row.patched) == (DECLARED, DECLARED, False)
    assert (row.operator, row.started_at) == ("SparkSubmitOperator", NOON)
    assert (row.action, row.mode) == (Action.REMEDIATE, Mode.SHADOW)
    assert (row.category, row.rule, row.lines) == ("executor_oom", "executor-heap", HEAP.lines)
    assert row.reason == reasons.text(remediation(), Mode.SHADOW)
    assert row.changes == {"spark.executor.memory": ("600m", "1624m")}
    assert row.excerpt == "the log"
    assert (row.succeeded, row.duration_s, row.gib_seconds) == (False, 60.5, 96.25)
    assert row.ended_at == NOON + timedelta(minutes=1)


def test_the_next_try_finds_the_patch_of_the_try_before(store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)

    verdict = store.decision_before(TRY_2)

    assert verdict is not None
    assert (verdict.attempt, verdict.action, verdict.mode) == (TRY_1, Action.REMEDIATE, Mode.ACT)
    assert verdict.patch == patch_for(TRY_1)


@pytest.mark.parametrize(
    "other",
    [
        TRY_1,
        replace(TRY_1, try_number=3),
        replace(TRY_2, dag_id="ETL"),
        replace(TRY_2, dag_id="etl "),
        replace(TRY_2, run_id="manual__2"),
        replace(TRY_2, task_id="aggregate2"),
        replace(TRY_2, map_index=0),
    ],
)
def test_nobody_but_the_next_try_finds_the_decision(store: Store, other: AttemptId) -> None:
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    assert store.decision_before(other) is None


def test_a_decision_without_a_patch_is_a_decision(store: Store) -> None:
    stop = decision(Action.STOP, "The table is missing.", HEAP, DECLARED)
    decide(store, TRY_1, stop, mode=Mode.ACT)

    verdict = store.decision_before(TRY_2)

    assert verdict is not None
    assert (verdict.action, verdict.patch) == (Action.STOP, None)


def test_recording_twice_leaves_one_row_with_the_last_decision(store: Store) -> None:
    for _ in range(2):
        begin(store, TRY_1)
        decide(store, TRY_1, remediation(), mode=Mode.ACT)
        end(store, TRY_1, succeeded=False)
    assert len(store.recent(10)) == 1

    changed_mind = decision(Action.LEAVE_ALONE, "On second thoughts.", HEAP, DECLARED)
    decide(store, TRY_1, changed_mind, mode=Mode.ACT)

    (row,) = store.recent(10)
    assert (row.action, row.reason) == (
        Action.LEAVE_ALONE,
        "On second thoughts. Airflow's own retry rules apply.",
    )
    verdict = store.decision_before(TRY_2)
    assert verdict is not None
    assert verdict.patch is None


def test_a_try_that_resumes_after_a_deferral_keeps_its_first_beginning(store: Store) -> None:
    begin(store, TRY_1, started_at=NOON)
    begin(store, TRY_1, started_at=NOON + timedelta(hours=1), patched=True)

    (row,) = store.recent(10)
    assert (row.started_at, row.patched) == (NOON, True)


def test_past_attempts_are_the_earlier_tries_of_this_task_instance_oldest_first(store: Store) -> None:
    begin(store, TRY_2, patched=True)
    end(store, TRY_2, succeeded=False)
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    begin(store, replace(TRY_1, run_id="manual__2"))
    begin(store, replace(TRY_1, map_index=3))
    third = replace(TRY_1, try_number=3)
    begin(store, third)

    first, second = store.past_attempts(third)

    assert (first.try_number, first.conf, first.category, first.succeeded) == (
        1,
        DECLARED,
        "executor_oom",
        False,
    )
    assert (second.try_number, second.conf, second.category, second.duration_s) == (2, GROWN, None, 60.5)
    assert store.past_attempts(TRY_1) == ()


def test_a_decision_is_shown_though_the_beginning_of_its_attempt_could_not_be_recorded(store: Store) -> None:
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    end(store, TRY_1, succeeded=False)

    (row,) = store.one("etl", "manual__1", "aggregate", -1)

    assert (row.action, row.succeeded, row.started_at) == (Action.REMEDIATE, False, None)
    assert store.past_attempts(TRY_2) == (), "a configuration that nobody knows proves nothing"


def test_recent_is_latest_first_and_can_be_narrowed(store: Store) -> None:
    for number in range(1, 4):
        begin(store, replace(TRY_1, try_number=number))
    begin(store, replace(TRY_1, dag_id="other", task_id="elsewhere"))

    assert [row.attempt.try_number for row in store.recent(2, AttemptFilter(dag_id="etl"))] == [3, 2]
    assert [row.attempt.dag_id for row in store.recent(1)] == ["other"]
    assert [row.attempt.task_id for row in store.recent(9, AttemptFilter(task_id="elsewhere"))] == [
        "elsewhere"
    ]


def test_deployments_on_one_database_do_not_see_each_other(url: str) -> None:
    ours, theirs = Store(url, deployment="ours"), Store(url, deployment="theirs")
    begin(ours, TRY_1)
    decide(ours, TRY_1, remediation(), mode=Mode.ACT)

    assert theirs.recent(10) == []
    assert theirs.one("etl", "manual__1", "aggregate", -1) == []
    assert theirs.decision_before(TRY_2) is None
    assert theirs.past_attempts(TRY_2) == ()

    begin(theirs, TRY_1)
    assert len(ours.recent(10)) == len(theirs.recent(10)) == 1
    assert ours.recent(10)[0].action is Action.REMEDIATE


def test_long_texts_are_cut_and_long_values_noted(store: Store) -> None:
    jars = {**DECLARED, "spark.jars": "j" * 200_000}
    store.record(
        TRY_1, start=AttemptStart(TRY_1, baseline=jars, effective=jars, operator="O", started_at=NOON)
    )
    verbose = replace(remediation(), reason=Reason("r" * 10_000, Advice.INCURABLE), conf=jars)
    decide(store, TRY_1, verbose, mode=Mode.ACT, excerpt="first\n" + "☃" * 50_000 + "\nlast")

    (row,) = store.recent(1)

    assert row.effective == {**DECLARED, "spark.jars": "(200000 characters left out)"}
    assert row.reason is not None
    assert len(row.reason.encode()) <= 2 * 1024
    assert len(row.excerpt.encode()) <= 16 * 1024
    assert row.excerpt.startswith("first\n")
    assert row.excerpt.endswith("\nlast")


def test_characters_that_databases_refuse_do_not_lose_the_decision(store: Store) -> None:
    odd = replace(remediation(), reason=Reason("nul \x00 and a lone surrogate \ud800", Advice.INCURABLE))
    decide(store, TRY_1, odd, mode=Mode.ACT, excerpt="\x00\udfff")
    assert store.recent(1)[0].reason == "nul  and a lone surrogate ? No retry can fix this."


def test_the_sqlite_file_is_for_its_owner_only(url: str, store: Store) -> None:
    begin(store, TRY_1)
    assert stat.S_IMODE(Path(url.removeprefix("sqlite:///")).stat().st_mode) == 0o600


def test_check_says_that_a_new_store_can_be_used_and_leaves_nothing_in_it(store: Store) -> None:
    found = store.check()
    assert [(name, ok) for name, ok, _ in found] == [
        ("store reachable", True),
        ("store writable", True),
        ("store schema", True),
    ]
    assert store.recent(1) == []


def test_a_closed_store_can_be_used_again(store: Store) -> None:
    begin(store, TRY_1)
    store.close()
    assert len(store.recent(10)) == 1


@pytest.mark.parametrize(
    ("arguments", "what_to_write"),
    [
        ({"url": "my_conn"}, "sqlite:////var"),
        ({"url": "sqlite:////x", "deployment": " "}, "1 to 64 characters"),
        ({"url": "sqlite:////x", "deployment": "d" * 65}, "1 to 64 characters"),
        ({"url": "sqlite:////x", "deadline_s": 0}, "above 0"),
    ],
)
def test_arguments_of_which_no_store_can_be_made_are_refused_at_once(
    arguments: dict[str, object], what_to_write: str
) -> None:
    with pytest.raises(ValueError, match=what_to_write):
        Store(**arguments)  # type: ignore[arg-type]


def _one_process(url: str, number: int) -> None:
    store = Store(url, deadline_s=60)
    for index in range(50):
        attempt = AttemptId("etl", "run", f"task_{number}", index, 1)
        begin(store, attempt)
        decide(store, attempt, remediation(attempt), mode=Mode.ACT)
        end(store, attempt, succeeded=False)
        # All processes write about this one as well.
        begin(store, replace(TRY_1, try_number=index + 1))


def test_four_processes_at_once_on_a_new_sqlite_file_lose_nothing(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_one_process, args=(url, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]

    rows = Store(url).recent(1000)

    own = [row for row in rows if row.attempt.run_id == "run"]
    assert len(own) == len({row.attempt for row in own}) == 200
    assert all(row.action is Action.REMEDIATE and row.succeeded is False for row in own)
    assert len(rows) - len(own) == 50


def test_a_forked_process_opens_connections_of_its_own(store: Store) -> None:
    begin(store, TRY_1)
    child = multiprocessing.get_context("fork").Process(target=begin, args=(store, TRY_2))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert len(store.recent(10)) == 2


def test_a_file_that_was_put_back_from_a_backup_is_read_by_a_process_that_had_it_open(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page in the api-server runs for weeks; it must not go on reading a file that is no longer there."""
    monkeypatch.setattr("airflow_autoremed.history.db.engine._SQLITE_RECYCLE_S", 0)
    backup = Store(f"sqlite:///{tmp_path / 'backup.db'}")
    begin(backup, TRY_1)
    begin(backup, TRY_2)
    backup.close()
    assert store.recent(10) == []

    file = Path(url.removeprefix("sqlite:///"))
    for left in file.parent.iterdir():
        left.unlink()
    (tmp_path / "backup.db").replace(file)

    assert len(store.recent(10)) == 2


def test_a_name_that_no_column_can_hold_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        begin(store, replace(TRY_1, map_index=2**70))


def test_a_try_that_succeeds_pays_neither_for_the_tables_nor_for_the_life_of_patches(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/autoremed.db"
    Store(url).open()
    program = f"""
import sys
from datetime import datetime, timezone
from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptStart, AttemptEnd
from airflow_autoremed.types import AttemptId
store, attempt, now = Store({url!r}), AttemptId("etl", "r", "t", -1, 1), datetime.now(timezone.utc)
begun = AttemptStart(attempt, baseline={{}}, effective={{}}, operator="O", started_at=now, max_tries=3)
assert store.start(begun) is None
store.record(attempt, start=begun, end=AttemptEnd(True, now))
parts = ("db.schema", "queries.patch_life", "stored", "db.run_metrics_table", "db.schema_state")
print([part for part in parts if f"airflow_autoremed.history.{{part}}" in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
    assert [row.succeeded for row in Store(url).recent(10)] == [True]


def test_a_database_that_knows_no_upsert_has_each_row_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/other.db", future=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (key TEXT PRIMARY KEY, first TEXT, last INTEGER)"))
        monkeypatch.setattr(connection.dialect, "name", "other")
        put(connection, "things", {"key": "a", "first": "monday", "last": 1}, keep=("first",))
        put(connection, "things", {"key": "a", "first": "tuesday", "last": 2}, keep=("first",))
        put(connection, "things", {"key": "b"})
        put(connection, "things", {"key": "b"})
        rows = connection.execute(text("SELECT * FROM things ORDER BY key")).fetchall()
    assert [tuple(row) for row in rows] == [("a", "monday", 2), ("b", None, None)]


# ------------------------------------------------------------------------------------- attempts that never ended


def test_a_try_that_started_and_never_ended_is_known_to_the_next_one_with_what_it_ran_with(
    store: Store,
) -> None:
    begin(store, TRY_1, patched=True, max_tries=3)

    lost = store.started_without_end(TRY_2, 3)

    assert lost is not None
    assert (lost.attempt, lost.started_at, lost.max_tries) == (TRY_1, NOON, 3)
    assert (lost.baseline, lost.effective, lost.patched) == (DECLARED, GROWN, True)


def test_an_attempt_that_starts_is_recorded_and_told_of_the_patch_promoted_for_its_task(store: Store) -> None:
    start = AttemptStart(TRY_1, DECLARED, DECLARED, "SparkSubmitOperator", NOON, fingerprint="f", max_tries=3)
    assert store.start(start) is None
    assert store.started_without_end(TRY_2, 3) == start

    for_the_task = replace(patch_for(TRY_1), scope=Scope("etl", ANY, "aggregate", -1, "task", "f"))
    key = store.promote_patch(for_the_task, category="executor_oom", who="me", why="proven")

    tomorrow = replace(TRY_1, run_id="manual__2")
    found = store.start(start._replace(attempt=tomorrow))
    assert found is not None
    assert (found.key, found.patch) == (key, for_the_task)
    assert store.start(start._replace(attempt=tomorrow, fingerprint="edited")) is None


def test_an_attempt_that_starts_is_told_the_modes_that_people_set(store: Store) -> None:
    start = AttemptStart(TRY_1, DECLARED, DECLARED, "SparkSubmitOperator", NOON, fingerprint="f")
    for_the_task = replace(patch_for(TRY_1), scope=Scope("etl", ANY, "aggregate", -1, "task", "f"))
    store.promote_patch(for_the_task, category="executor_oom", who="me", why="proven")
    first = Override(Mode.ACT, "ada", "na\u00efve \u2603", NOON, "etl", "aggregate")
    wanted = [
        first._replace(mode=Mode.SHADOW),
        Override(Mode.OFF, "ada", "why", NOON, category="network"),
        Override(Mode.SHADOW, "ada", "why", NOON),
    ]
    store.set_mode(first)
    for each in (*wanted, Override(Mode.OFF, "ada", "why", NOON, "etl", "other task")):
        store.set_mode(each)
    told: list[tuple[Override, ...]] = []

    found = store.start(start, goes_on=lambda overrides: told.append(overrides) or True)  # type: ignore[func-returns-value]

    assert found is not None
    assert found.patch == for_the_task
    (overrides,) = told
    assert [each._replace(id=0) for each in sorted(overrides, key=lambda each: each.id)] == wanted
    assert store.overrides_of("etl", "aggregate") == overrides
    assert [each.mode for each in store.overrides(9) if each.ended_at is not None] == [Mode.ACT]
    assert store.end_override(overrides[0].id, who="ada", why="over")
    assert not store.end_override(overrides[0].id, who="ada", why="again")


def test_a_patch_that_takes_the_place_of_another_says_so_in_the_life_of_that(store: Store) -> None:
    for_the_task = replace(patch_for(TRY_1), scope=Scope("etl", ANY, "aggregate", -1, "task", "f"))
    first = store.promote_patch(for_the_task, category="executor_oom", who="me", why="proven")
    store.promote_patch(for_the_task, category="executor_oom", who="me", why="proven anew")
    assert store.patch_state(first) is PatchState.SUPERSEDED
    (found,) = store.find_patches(first)
    assert [(each.from_state, each.to_state) for each in found.changes][-1] == ("promoted", "superseded")


def test_an_attempt_that_is_switched_off_leaves_nothing(store: Store) -> None:
    start = AttemptStart(TRY_1, DECLARED, DECLARED, "SparkSubmitOperator", NOON, max_tries=3)
    assert store.start(start, goes_on=lambda overrides: False) is None
    assert store.started_without_end(TRY_2, 3) is None
    assert store.recent(9) == []


def test_nothing_recorded_is_no_sign_of_a_lost_try(store: Store) -> None:
    """A pruned history, a try before the task was opted in, a store that was down: all look like this."""
    assert store.started_without_end(TRY_2, 3) is None
    end(store, TRY_1, succeeded=False)  # its start met a store that was down
    assert store.started_without_end(TRY_2, 3) is None


@pytest.mark.parametrize("succeeded", [True, False, None])
def test_a_try_that_ended_was_not_lost(store: Store, succeeded: bool | None) -> None:
    begin(store, TRY_1, max_tries=3)
    end(store, TRY_1, succeeded=succeeded)
    assert store.started_without_end(TRY_2, 3) is None


def test_a_try_that_was_decided_about_was_not_lost(store: Store) -> None:
    begin(store, TRY_1, max_tries=3)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    assert store.started_without_end(TRY_2, 3) is None


@pytest.mark.parametrize(("then", "now"), [(3, 4), (3, None), (None, 3), (None, None)])
def test_a_try_before_the_task_was_cleared_is_not_taken_for_lost(
    store: Store, then: int | None, now: int | None
) -> None:
    begin(store, TRY_1, max_tries=then)
    assert store.started_without_end(TRY_2, now) is None


def test_only_the_try_right_before_is_taken_for_lost(store: Store) -> None:
    begin(store, TRY_1, max_tries=3)
    for other in (
        TRY_1,
        replace(TRY_2, try_number=3),
        replace(TRY_2, map_index=0),
        replace(TRY_2, run_id="r"),
    ):
        assert store.started_without_end(other, 3) is None


def test_the_sequence_of_a_try_that_resumes_is_that_of_its_first_start(store: Store) -> None:
    begin(store, TRY_1, max_tries=3)
    begin(store, TRY_1)
    assert store.started_without_end(TRY_2, 3) is not None


def test_a_try_that_was_ended_from_outside_counts_for_nothing_but_is_shown(store: Store) -> None:
    begin(store, TRY_1, max_tries=3)
    end(store, TRY_1, succeeded=None)

    (row,) = store.one("etl", "manual__1", "aggregate", -1)
    assert (row.succeeded, row.interrupted) == (None, True)
    assert row.ended_at == NOON + timedelta(minutes=1)
    assert store.outcome(TRY_1) is None
    assert store.past_attempts(TRY_2) == ()
    assert store.task_history(TRY_2, 10) == ()


def test_a_try_without_a_patch_gives_back_the_memory_that_was_granted_to_it(store: Store) -> None:
    """Its patch may have been refused after the try before had taken the memory for it."""
    ceilings = Ceilings(max_extra_memory=2 * 1024**3)
    assert store.grant(TRY_2, 2 * 1024**3, held_s=3600, ceilings=ceilings) is None
    other = replace(TRY_2, run_id="manual__2")
    assert store.grant(other, 1, held_s=3600, ceilings=ceilings) is not None
    begin(store, TRY_2)
    end(store, TRY_2, succeeded=False)
    assert store.grant(other, 1, held_s=3600, ceilings=ceilings) is None


def test_the_state_of_a_patch_is_found_by_its_key(store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    key = store.patch_key(patch_for(TRY_1))

    assert store.patch_state(key) is PatchState.PROPOSED
    assert store.end_patch(key, PatchState.REVOKED, who="me", why="too large")
    assert store.patch_state(key) is PatchState.REVOKED
    assert store.patch_state("0" * 64) is None


def test_a_patch_that_was_revoked_between_two_tries_is_not_handed_to_the_next_one(store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    store.end_patch(store.patch_key(patch_for(TRY_1)), PatchState.REVOKED, who="me", why="too large")

    decision = store.decision_before(TRY_2)

    assert decision is not None
    assert (decision.action, decision.patch) == (Action.REMEDIATE, None)
    assert decision.patch_state is PatchState.REVOKED


def test_another_deployment_can_neither_see_nor_end_a_patch(url: str, store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    key, theirs = store.patch_key(patch_for(TRY_1)), Store(url, deployment="theirs")

    assert theirs.patch_state(key) is None
    assert not theirs.end_patch(key, PatchState.REVOKED, who="them", why="theirs")
    assert store.patch_state(key) is PatchState.PROPOSED


def test_attempts_that_run_with_a_patch_are_named_until_they_end(store: Store) -> None:
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    key = store.patch_key(patch_for(TRY_1))
    patched = AttemptStart(TRY_2, DECLARED, GROWN, "SparkSubmitOperator", NOON, patched=True, patch_key=key)

    assert store.running_with(key) == []
    store.record(TRY_2, start=patched)
    assert store.running_with(key) == [TRY_2]
    store.record(TRY_2, start=patched, end=AttemptEnd(True, NOON))
    assert store.running_with(key) == []


@pytest.mark.parametrize("patched", [True, False])
def test_memory_is_given_back_at_the_latest_when_the_next_try_starts(store: Store, patched: bool) -> None:
    """Try 2 was lost with its worker: nobody recorded its end. A try 3 that runs patched keeps its own grant."""
    ceilings, half = Ceilings(max_extra_memory=2 * 1024**3), 1024**3
    third, other = replace(TRY_2, try_number=3), replace(TRY_2, run_id="manual__2")
    for attempt in (TRY_2, third):
        assert store.grant(attempt, half, held_s=3600, ceilings=ceilings) is None
    begin(store, third, patched=patched)
    assert store.grant(other, half, held_s=3600, ceilings=ceilings) is None
    refused = store.grant(replace(other, run_id="manual__3"), half, held_s=3600, ceilings=ceilings)
    assert (refused is not None) is patched
