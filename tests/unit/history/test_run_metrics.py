"""What event logs said is kept once, with the attempt that it belongs to, and with no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AirflowAttempt, AttemptEnd, AttemptStart
from airflow_autoremed.history.db.engine import Database
from airflow_autoremed.history.db.row_keys import attempt_key
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.prune import prune
from airflow_autoremed.history.queries import airflow_attempts, ingestion_marks
from airflow_autoremed.history.queries.run_metrics import (
    NO_TASK,
    Recorded,
    match_again,
    record_run,
    runs_of,
    runs_of_attempt,
    stamp_of,
    with_runs,
)
from airflow_autoremed.types import AttemptId, RecordedAttempt, RunMetrics
from tests.support.attempts import NOON

TRY_1 = AttemptId("etl", "manual__1", "aggregate", -1, 1)
TRY_2 = replace(TRY_1, try_number=2)
CONF = {"spark.executor.memory": "4g"}
RUN = RunMetrics(
    app_id="application_1_7",
    app_name="etl.aggregate",
    user="ann",
    spark_version="4.1.4",
    conf=CONF,
    started_at=NOON.timestamp() + 10,
    ended_at=NOON.timestamp() + 50,
    ended=True,
    jobs=2,
    tasks=100,
    failed_tasks=1,
    failure="naïve ☃\x00 failure",
    gc_share=0.25,
    skew=3.5,
    peak_heap=3 * 1024**3,
    peak_driver_heap=1024,
    peak_rss=5 * 1024**3,
    peak_overhead=2 * 1024**3,
    memory_spilled=2**62,
    input_bytes=12345,
    executor_seconds=80.0,
    core_seconds=200.0,
    gib_seconds=400.0,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/autoremed.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url, 5)
    yield database
    database.close()


def keep(database: Database, run: RunMetrics = RUN, *, log: str = "log", stamp: str = "1") -> Recorded:
    return database.write(lambda c: record_run(c, "default", run, log_key=log, log_stamp=stamp))


def kept(database: Database, attempt: AttemptId) -> tuple[RunMetrics, ...]:
    return database.read(lambda c: runs_of_attempt(c, "default", attempt))


def begin(
    store: Store, attempt: AttemptId = TRY_1, *, after_s: float = 0, lasts_s: float | None = 60, **conf: str
) -> None:
    start = NOON + timedelta(seconds=after_s)
    declared = {
        "spark.executor.memory": "2g",
        **{key.replace("_", "."): value for key, value in conf.items()},
    }
    store.record(attempt, start=AttemptStart(attempt, declared, declared, "SparkSubmitOperator", start))
    if lasts_s is not None:
        store.record(attempt, end=AttemptEnd(True, start + timedelta(seconds=lasts_s), lasts_s, 1.0))


def attempted(attempt: AttemptId = TRY_1, **more: Any) -> AirflowAttempt:
    values: dict[str, Any] = {
        "succeeded": True,
        "ended_at": NOON + timedelta(minutes=1),
        "duration_s": 60.0,
        **more,
    }
    return AirflowAttempt(attempt, "SparkSubmitOperator", NOON, **values)


def tell(database: Database, tried: AirflowAttempt) -> bool:
    return database.write(lambda c: airflow_attempts.record(c, "default", tried))


def test_what_a_log_said_comes_back_with_the_attempt_that_launched_the_application(
    store: Store, database: Database
) -> None:
    begin(store)
    recorded = keep(database)
    assert recorded == Recorded(TRY_1, matched=True, news=True)
    assert kept(database, TRY_1) == (replace(RUN, conf={}, failure="naïve ☃ failure"),)
    (row,) = store.one("etl", "manual__1", "aggregate", -1)
    assert row.effective == {"spark.executor.memory": "2g"}, "what the attempt told of itself stays"
    assert row.source is None


def test_the_same_log_twice_is_one_row(store: Store, database: Database) -> None:
    begin(store)
    assert keep(database).attempt == keep(database).attempt
    assert len(kept(database, TRY_1)) == 1
    assert database.read(lambda c: stamp_of(c, "default", "log")) == "1"
    assert database.read(lambda c: stamp_of(c, "other", "log")) is None


def test_a_log_that_grew_replaces_what_it_said(database: Database) -> None:
    first = keep(database, replace(RUN, ended=False, complete=False, tasks=10), stamp="1")
    assert keep(database, RUN, stamp="2").news
    (run,) = kept(database, first.attempt)
    assert (run.tasks, run.complete) == (100, True)


def test_a_copy_that_says_less_changes_nothing(database: Database) -> None:
    whole = keep(database)
    assert not keep(database, replace(RUN, complete=False, tasks=10), log="copy").news
    assert not keep(database, RUN, log="copy").news
    assert kept(database, whole.attempt)[0].tasks == 100
    assert keep(database, replace(RUN, tasks=101), log="better").news
    assert kept(database, whole.attempt)[0].tasks == 101


def test_an_application_without_an_attempt_is_kept_under_its_own_name_and_counts_for_no_task(
    store: Store, database: Database
) -> None:
    recorded = keep(database)
    assert recorded == Recorded(
        AttemptId("etl.aggregate", "application_1_7", NO_TASK, -1, 1), matched=False, news=True
    )
    (row,) = store.recent(10)
    assert (row.source, row.succeeded, row.operator) == ("event_log", None, None)
    assert row.effective == CONF
    assert row.started_at == NOON + timedelta(seconds=10)
    assert store.past_attempts(replace(recorded.attempt, try_number=2))[0].conf == CONF


@pytest.mark.parametrize("prefix", ["spark.airflow.", "spark.autoremed."])
def test_an_attempt_named_by_the_configuration_is_the_one_whatever_else(
    store: Store, database: Database, prefix: str
) -> None:
    begin(store)
    other = AttemptId("shop", "r", "load", 3, 2)
    names = {"dag_id": "shop", "run_id": "r", "task_id": "load", "map_index": "3", "try_number": "2"}
    run = replace(RUN, conf={**CONF, **{prefix + name: value for name, value in names.items()}})
    assert keep(database, run) == Recorded(other, matched=True, news=True)
    (row,) = store.one("shop", "r", "load", 3)
    assert row.effective["spark.executor.memory"] == "4g"


@pytest.mark.parametrize(
    "conf",
    [
        {"spark.openlineage.parentJobName": "etl.aggregate"},
        {"spark.kubernetes.driver.label.dag_id": "etl", "spark.kubernetes.driver.label.task_id": "aggregate"},
    ],
)
def test_what_airflow_itself_puts_into_the_configuration_names_the_task(
    store: Store, database: Database, conf: dict[str, str]
) -> None:
    begin(store)
    begin(store, replace(TRY_1, task_id="other"))
    assert keep(database, replace(RUN, app_name="arrow-spark", conf=conf)).attempt == TRY_1


def test_the_label_of_the_try_tells_tries_apart(store: Store, database: Database) -> None:
    begin(store)
    begin(store, TRY_2, after_s=1)
    labels = {"dag_id": "etl", "task_id": "aggregate", "try_number": "1"}
    conf = {f"spark.kubernetes.driver.label.{name}": value for name, value in labels.items()}
    assert keep(database, replace(RUN, conf=conf)).attempt == TRY_1


@pytest.mark.parametrize("name", ["aggregate", "etl-aggregate", "etl__aggregate", "etl.aggregate"])
def test_an_application_called_like_the_task_belongs_to_it(
    store: Store, database: Database, name: str
) -> None:
    begin(store)
    assert keep(database, replace(RUN, app_name=name)).attempt == TRY_1


@pytest.mark.parametrize("name", ['daily "report" 100%', "naïve ☃", "a_b\\c"])
def test_an_application_called_as_the_task_s_configuration_says_belongs_to_it(
    store: Store, database: Database, name: str
) -> None:
    begin(store, spark_app_name=name)
    begin(store, replace(TRY_1, task_id="other"), spark_app_name="something else")
    assert keep(database, replace(RUN, app_name=name)).attempt == TRY_1
    assert not keep(database, replace(RUN, app_id="x", app_name=name[:-1])).matched


def test_an_application_belongs_to_the_try_that_was_running_when_it_began(
    store: Store, database: Database
) -> None:
    begin(store, lasts_s=60)
    begin(store, TRY_2, after_s=61, lasts_s=60)
    starts = {1: TRY_1, 59: TRY_1, 62: TRY_2, 120: TRY_2, -30: TRY_1, 150: TRY_2}
    for number, (after_s, attempt) in enumerate(starts.items()):
        run = replace(RUN, app_id=f"app-{number}", started_at=NOON.timestamp() + after_s)
        assert keep(database, run).attempt == attempt, after_s
    for after_s in (-61, 200, 10 * 86400):
        run = replace(RUN, app_id=f"late-{after_s}", started_at=NOON.timestamp() + after_s)
        assert not keep(database, run).matched, after_s


def test_an_attempt_that_still_runs_is_one_that_was_running(store: Store, database: Database) -> None:
    begin(store, lasts_s=None)
    assert keep(database, replace(RUN, started_at=NOON.timestamp() + 7200)).attempt == TRY_1


def test_where_two_tasks_are_possible_none_is_taken(store: Store, database: Database) -> None:
    begin(store)
    begin(store, replace(TRY_1, map_index=0))
    assert not keep(database).matched
    begin(store, replace(TRY_1, run_id="manual__2"), after_s=5 * 86400)
    later = replace(RUN, app_id="app-2", started_at=NOON.timestamp() + 5 * 86400 + 10)
    assert keep(database, later).matched, "at another time there is only one"


def test_another_deployment_s_attempts_are_nobody_s(url: str, database: Database) -> None:
    begin(Store(url, deployment="other"))
    assert not keep(database).matched


@pytest.mark.parametrize("started_at", [None, 1e18, -1e18, float("nan")])
def test_an_application_with_an_impossible_time_is_kept_without_an_attempt(
    store: Store, database: Database, started_at: float | None
) -> None:
    begin(store)
    assert not keep(database, replace(RUN, started_at=started_at, ended_at=None)).matched


def test_an_attempt_that_becomes_known_later_takes_its_application_over(
    store: Store, database: Database
) -> None:
    made_up = keep(database).attempt
    keep(database, replace(RUN, app_id="stranger", app_name="stranger"))
    assert match_again(database, "default") == 0
    tell(database, attempted())
    assert match_again(database, "default") == 1
    assert kept(database, made_up) == ()
    assert kept(database, TRY_1)[0].app_id == "application_1_7"
    assert {row.attempt.dag_id for row in store.recent(10)} == {"etl", "stranger"}, "the made-up one is gone"
    (row,) = store.one("etl", "manual__1", "aggregate", -1)
    assert row.effective == CONF, "Airflow's history did not say with what it ran, the log does"
    assert match_again(database, "default") == 0


def test_airflow_s_history_fills_what_is_missing_and_overwrites_nothing(
    store: Store, database: Database
) -> None:
    begin(store, lasts_s=None)
    assert tell(database, attempted(succeeded=False, conf={"spark.executor.memory": "9g"}))
    (row,) = store.one("etl", "manual__1", "aggregate", -1)
    assert row.source is None
    assert row.effective == {"spark.executor.memory": "2g"}
    assert (row.succeeded, row.duration_s) == (False, 60.0), "its worker was lost before it could say so"
    assert not tell(database, attempted(succeeded=True))
    assert store.one("etl", "manual__1", "aggregate", -1)[0].succeeded is False


def test_airflow_s_history_twice_is_one_row_and_no_news(store: Store, database: Database) -> None:
    assert tell(database, attempted(conf=CONF))
    assert not tell(database, attempted(conf=CONF))
    (row,) = store.recent(10)
    assert (row.source, row.succeeded, row.patched) == ("airflow", True, False)
    assert (row.baseline, row.effective) == (CONF, CONF)
    assert row.operator == "SparkSubmitOperator"


def test_a_try_that_still_ran_gets_its_end_the_next_time(store: Store, database: Database) -> None:
    assert tell(database, attempted(succeeded=None, ended_at=None))
    assert store.recent(1)[0].succeeded is None
    assert tell(database, attempted())
    assert store.recent(1)[0].succeeded is True


def test_learning_gets_what_was_used_of_each_setting_by_all_applications_of_an_attempt(
    store: Store, database: Database
) -> None:
    begin(store)
    keep(database)
    keep(
        database,
        replace(RUN, app_id="second", peak_heap=7 * 1024**3, peak_overhead=1, input_bytes=5, user=None),
    )
    keys = {TRY_1: attempt_key("default", TRY_1), TRY_2: attempt_key("default", TRY_2)}
    runs = database.read(lambda c: runs_of(c, keys.values()))
    assert list(runs) == [keys[TRY_1]]
    plain = RecordedAttempt(TRY_1, NOON.timestamp(), CONF, CONF)
    record = with_runs(plain, runs[keys[TRY_1]])
    assert (record.user, record.input_bytes) == ("ann", 12350.0)
    assert record.peaks["spark.executor.memory"] == 7 * 1024**3
    assert record.peaks["spark.executor.memoryOverhead"] == 2 * 1024**3
    assert "spark.executor.pyspark.memory" not in record.peaks
    assert with_runs(plain, ()) == plain


def test_what_is_made_known_afterwards_counts_as_recorded_when_it_began(
    store: Store, database: Database
) -> None:
    tell(database, attempted())
    keep(database, replace(RUN, app_name="stranger"))
    counts = prune(database, "default", NOON + timedelta(seconds=1))
    assert counts.attempts == 1
    assert [row.attempt.dag_id for row in store.recent(10)] == ["stranger"]


def test_pruning_takes_what_logs_said_with_the_attempt(store: Store, database: Database) -> None:
    begin(store)
    keep(database)
    counts = prune(database, "default", datetime.now(timezone.utc) + timedelta(days=1))
    assert (counts.attempts, counts.runs) == (1, 1)
    assert kept(database, TRY_1) == ()


def test_how_far_an_ingestion_came_is_remembered_per_deployment_and_place(database: Database) -> None:
    database.write(lambda c: ingestion_marks.write(c, "default", "http://a", "2026-03-01"))
    database.write(lambda c: ingestion_marks.write(c, "default", "http://a", "2026-03-02"))
    assert database.read(lambda c: ingestion_marks.read(c, "default", "http://a")) == "2026-03-02"
    assert database.read(lambda c: ingestion_marks.read(c, "other", "http://a")) is None
    assert database.read(lambda c: ingestion_marks.read(c, "default", "http://b")) is None
