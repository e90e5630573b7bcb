"""The example Dags through ``airflow dags test``: real Airflow and real Spark, no scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_autoremed.demo.cluster import SparkCluster
from airflow_autoremed.demo.expected_outcomes import JUDGED
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.history import Store
from airflow_autoremed.history.stored import AttemptFilter
from airflow_autoremed.types import Action

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
AIRFLOW = Path(sys.executable).with_name("airflow")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("spark")
    processes = Processes(home / "processes")
    try:
        cluster = SparkCluster(home, processes)
        cluster.start()
        cluster.wait_until_ready()
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        env = cluster.env(clean) | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags_examples"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": cluster.airflow_connection,
            "AUTOREMED_DEMO_SCRATCH": str(home / "scratch"),
        }
        subprocess.run([AIRFLOW, "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
        yield env
    finally:
        processes.stop()


@pytest.fixture(scope="module")
def judged(environment: dict[str, str]) -> str:
    """What ``airflow dags test`` printed of the Dag whose tasks are stopped or left alone."""
    done = subprocess.run(
        [AIRFLOW, "dags", "test", JUDGED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    return done.stdout + done.stderr


def tries(environment: dict[str, str], task_id: str):
    store = Store(f"sqlite:///{environment['AIRFLOW_HOME']}/autoremed.db")
    try:
        return sorted(
            store.recent(100, AttemptFilter(JUDGED, task_id)), key=lambda row: row.attempt.try_number
        )
    finally:
        store.close()


def test_a_missing_table_is_stopped_on_the_first_try(environment, judged):
    (only,) = tries(environment, "missing_table")
    assert only.action is Action.STOP
    assert only.category == "missing_data"
    assert any("TABLE_OR_VIEW_NOT_FOUND" in line.text for line in only.lines)


def test_the_tasks_own_exception_is_in_the_log_as_ever(environment, judged):
    assert "Error code is: 1." in judged


def test_a_refused_connection_is_retried_with_the_configuration_untouched(environment, judged):
    first, second = tries(environment, "service_restarting")
    assert first.action is Action.LEAVE_ALONE
    assert first.category == "network_timeout"
    assert second.succeeded
    assert not second.patched
    assert second.effective == first.baseline


def test_what_no_container_can_hold_is_stopped_with_numbers(environment, judged):
    (only,) = tries(environment, "no_room")
    assert only.action is Action.STOP
    assert only.category == "executor_oom_heap"
    assert "600m" in only.reason
    assert "1g" in only.reason


def test_a_healthy_task_is_left_untouched(environment, judged):
    (only,) = tries(environment, "healthy")
    assert only.succeeded
    assert only.action is None
    assert not only.patched


def test_the_training_dag_takes_in_what_the_event_logs_say_and_skips_the_training_where_that_is_too_little(
    environment: dict[str, str],
) -> None:
    logs = REPOSITORY / "tests/data/event_logs/plain"
    done = subprocess.run(
        [AIRFLOW, "dags", "test", "autoremed_daily_training"],
        env=environment | {"AUTOREMED_EVENT_LOGS": str(logs)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Ingested: logs recorded" in said, said[-4000:]
    assert "are too few; 200 are needed" in said
    assert "state=success" in said, said[-4000:]
