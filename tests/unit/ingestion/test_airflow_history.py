"""`autoremed ingest airflow`: the tries that Airflow's own history has, through either API, without touching what the
tries recorded of themselves. The answers have the shapes of Airflow 3.3.2 and 2.11.2."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.queries import ingestion_marks
from airflow_autoremed.history.queries.run_metrics import NO_TASK, record_run
from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.types import AttemptId, RunMetrics
from tests.support.airflow_api import (
    NOW,
    Airflow,
    airflow_server,  # noqa: F401 - a fixture
    instance,
)


@pytest.fixture
def store(airflow_home: Any) -> Iterator[Store]:
    store = Store(f"sqlite:///{airflow_home}/autoremed.db")
    yield store
    store.close()


def run(*more: str) -> Any:
    arguments = ["ingest", "airflow", "--url", "http://airflow:8080", "--user", "ann", "--password", "hush"]
    return CliRunner().invoke(app, [*arguments, *more])


def by_task(store: Store) -> dict[tuple[str, int, int], StoredAttempt]:
    return {
        (row.attempt.task_id, row.attempt.map_index, row.attempt.try_number): row
        for row in store.recent(1000)
    }


def test_tries_become_attempts_with_their_end_and_configuration(airflow: Airflow, store: Store) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    assert "1 task instances read, 1 attempts of Spark tasks, 1 of them new in" in done.stdout
    (row,) = store.recent(10)
    assert row.attempt == AttemptId("shop", "scheduled__2026-03-01T00:00:00+00:00", "load", -1, 1)
    assert (row.source, row.operator, row.succeeded, row.duration_s) == (
        "airflow",
        "SparkSubmitOperator",
        True,
        60.0,
    )
    assert row.started_at == NOW - timedelta(hours=5)
    assert row.effective == {"spark.executor.memory": "4g", "spark.executor.instances": "2"}, "and no secret"
    # driver 1 GiB + 384 MiB, two executors of 4 GiB + a tenth
    assert row.gib_seconds == pytest.approx(60 * (1.375 + 2 * 4.4), rel=1e-6)


def test_v1_is_asked_with_user_and_password_and_v2_with_a_token(airflow: Airflow) -> None:
    run()
    assert {each.split()[0] for each in airflow.authorization} == {
        "Basic" if airflow.version == 1 else "Bearer"
    }
    airflow.authorization.clear()
    CliRunner().invoke(
        app, ["ingest", "airflow", "--url", "http://airflow:8080", "--token", "mine", "--since", "1d"]
    )
    assert set(airflow.authorization) == {"Bearer mine"}


def test_earlier_tries_are_asked_for_one_by_one_task_instance(airflow: Airflow, store: Store) -> None:
    airflow.instances = [
        instance(try_number=3, hours_ago=2),
        instance("many", map_index=4, try_number=2, state="failed"),
    ]
    run_id = airflow.instances[0]["dag_run_id"]
    airflow.tries = {
        f"/dags/shop/dagRuns/{run_id}/taskInstances/load/tries": [
            instance(try_number=1, hours_ago=4, state="failed", rendered_fields=None),
            instance(try_number=2, hours_ago=3, state="up_for_retry", rendered_fields=None),
            instance(try_number=3, hours_ago=2),
        ],
        f"/dags/shop/dagRuns/{run_id}/taskInstances/many/4/tries": [
            instance("many", map_index=4, try_number=1, state="failed")
        ],
    }
    assert "5 attempts of Spark tasks, 5 of them new" in run().stdout
    ends = {key: row.succeeded for key, row in by_task(store).items()}
    assert ends == {
        ("load", -1, 1): False,
        ("load", -1, 2): False,
        ("load", -1, 3): True,
        ("many", 4, 1): False,
        ("many", 4, 2): False,
    }


def test_a_second_time_nothing_is_news_and_it_goes_on_where_it_came_to(
    airflow: Airflow, store: Store
) -> None:
    run()
    first = len(airflow.asked)
    assert first >= 90, "three months, day by day"
    airflow.asked.clear()
    assert "0 of them new" in run().stdout
    assert len(airflow.asked) <= 2
    assert "1 attempts of Spark tasks, 0 of them new" in run("--since", "2d").stdout
    assert len(store.recent(10)) == 1


def test_a_try_that_still_ran_is_looked_at_again(airflow: Airflow, store: Store) -> None:
    airflow.instances = [instance(state="running", hours_ago=30), instance("done")]
    run()
    assert by_task(store)["load", -1, 1].succeeded is None
    airflow.instances[0] = instance(state="failed", hours_ago=30)
    run()
    assert by_task(store)["load", -1, 1].succeeded is False


def test_pages_are_turned(airflow: Airflow, store: Store) -> None:
    airflow.instances = [instance("load", map_index=number) for number in range(250)]
    assert "250 attempts of Spark tasks, 250 of them new" in run("--since", "1d").stdout
    assert len(store.recent(1000)) == 250


def test_only_operators_that_launch_spark_count_and_those_that_are_named(
    airflow: Airflow, store: Store
) -> None:
    airflow.instances = [
        instance("a"),
        instance("b", operator="BashOperator"),
        instance("c", operator="OurSpark"),
    ]
    run("--operator", "OurSpark")
    assert {key[0] for key in by_task(store)} == {"a", "c"}


@pytest.mark.parametrize("state", ["skipped", "upstream_failed", "removed", "none_of_these", None])
def test_what_never_was_a_try_is_none(airflow: Airflow, store: Store, state: str | None) -> None:
    airflow.instances = [instance(state=state), instance("load", start_date=None, state="failed")]
    run()
    assert store.recent(10) == []


def test_what_a_try_recorded_of_itself_stays(airflow: Airflow, store: Store) -> None:
    from airflow_autoremed.history.attempt_records import AttemptStart

    attempt = AttemptId("shop", "scheduled__2026-03-01T00:00:00+00:00", "load", -1, 1)
    mine = {"spark.executor.memory": "9g"}
    store.record(attempt, start=AttemptStart(attempt, mine, mine, "SparkSubmitOperator", NOW, patched=True))
    run()
    (row,) = store.recent(10)
    assert (row.effective, row.started_at, row.patched, row.source) == (mine, NOW, True, None)
    assert row.succeeded is True, "what it could not say itself is filled in"


def test_applications_from_event_logs_find_their_attempt_afterwards(airflow: Airflow, store: Store) -> None:
    began = (NOW - timedelta(hours=5) + timedelta(seconds=10)).timestamp()
    run_of = RunMetrics(
        app_id="a1", app_name="shop.load", started_at=began, conf={"spark.executor.memory": "4g"}
    )
    store.open()
    database = open_database(f"sqlite:///{store.name.partition('///')[2]}", 5)
    database.write(lambda c: record_run(c, "default", run_of, log_key="k", log_stamp="s"))
    database.close()
    assert {key[0] for key in by_task(store)} == {NO_TASK}
    assert "Matched 1 applications with the attempt that launched them." in run().stdout
    assert {key[0] for key in by_task(store)} == {"load"}


@pytest.mark.parametrize(
    ("rendered", "found"),
    [
        (
            {"conf": "{'spark.executor.memory': '4g', 'spark.speculation': True}"},
            {"spark.speculation": "true"},
        ),
        ({"conf": '{"spark.executor.memory": "4g"}'}, {}),
        ({"spark_params": {"conf": {"spark.executor.memory": "4g"}}}, {}),
        ({"conf": {"spark.executor.memory": "4g", "spark.executor.cores": 4}}, {"spark.executor.cores": "4"}),
    ],
)
def test_a_rendered_configuration_is_read_in_any_spelling(
    airflow: Airflow, store: Store, rendered: Any, found: dict[str, str]
) -> None:
    airflow.instances = [instance(rendered_fields=rendered)]
    run("--since", "1d")
    assert store.recent(1)[0].effective == {"spark.executor.memory": "4g", **found}


@pytest.mark.parametrize(
    "rendered", [None, 7, {"conf": "Truncated. You can..."}, {"conf": None}, {"conf": [1]}, {}]
)
def test_a_rendered_configuration_that_says_nothing_is_none(
    airflow: Airflow, store: Store, rendered: Any
) -> None:
    airflow.instances = [instance(rendered_fields=rendered)]
    run("--since", "1d")
    (row,) = store.recent(1)
    assert (dict(row.effective), row.gib_seconds, row.succeeded) == ({}, None, True)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"end_date": "yesterday"},
        {"try_number": None},
        {"task_id": None},
        {"duration": -5},
        {"end_date": "2020-01-01T00:00:00Z", "duration": None},
        {"map_index": "x"},
        {"operator": None},
    ],
)
def test_nonsense_in_a_task_instance_stops_nothing(
    airflow: Airflow, store: Store, nonsense: dict[str, Any]
) -> None:
    airflow.instances = [{**instance("odd"), **nonsense}, instance("good")]
    done = run("--since", "1d")
    assert done.exit_code == 0, done.output
    rows = by_task(store)
    assert ("good", -1, 1) in rows
    assert all(row.duration_s is None or row.duration_s >= 0 for row in rows.values())


def test_tries_that_cannot_be_had_are_told_and_the_last_one_counts(airflow: Airflow, store: Store) -> None:
    airflow.instances = [instance(try_number=2)]
    airflow.broken = {"/tries"}
    done = run("--since", "1d")
    assert done.exit_code == 0
    assert "shop.load: its earlier tries:" in done.stderr
    assert list(by_task(store)) == [("load", -1, 2)]


def test_what_is_no_airflow_is_said_with_what_to_check(airflow: Airflow) -> None:
    airflow.version = 9
    done = run()
    assert done.exit_code == 2
    assert "has no REST API of Airflow (404); the address must be the server's base URL" in done.stderr


def test_an_ingestion_that_is_broken_off_goes_on_from_the_last_whole_day(
    airflow: Airflow, store: Store
) -> None:
    airflow.instances = [instance("old", hours_ago=24 * 40), instance("new", hours_ago=2, try_number=2)]
    airflow.tries = {}  # the server dies on being asked for them
    assert run().exception is not None
    database = open_database(f"sqlite:///{store.name.partition('///')[2]}", 5)
    came_to = database.read(lambda c: ingestion_marks.read(c, "default", "airflow http://airflow:8080"))
    database.close()
    assert came_to is not None
    assert NOW - timedelta(days=3) < datetime.fromisoformat(came_to) < NOW
    assert list(by_task(store)) == [("old", -1, 1)]
    airflow.instances[1] = instance("new", hours_ago=2)
    airflow.asked.clear()
    assert run().exit_code == 0
    assert len(airflow.asked) <= 4
    assert set(by_task(store)) == {("old", -1, 1), ("new", -1, 1)}
