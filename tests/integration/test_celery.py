"""A real CeleryExecutor: Redis as broker, Postgres for Airflow and for the store, a worker with one process that runs
every task."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.demo.deployment import Airflow
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.history import Store
from tests.integration.servers import postgres, redis

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
FINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}
LONGEST_S = 240.0


def run_of(airflow: Airflow, dag_id: str) -> tuple[str, dict[tuple[str, int], str]]:
    """Run a Dag to its end: its run id, and how each task instance ended."""
    run_id = airflow.trigger(dag_id)
    airflow.start_scheduler()
    until = time.monotonic() + LONGEST_S
    states: dict[tuple[str, int], str] = {}
    while time.monotonic() < until:
        assert airflow.dead() is None, airflow.dead()
        instances = airflow.task_instances(dag_id, run_id)
        states = {(each["task_id"], each["map_index"]): each["state"] for each in instances}
        if states and set(states.values()) <= FINAL:
            return run_id, states
        time.sleep(0.5)
    raise AssertionError(f"the tasks did not end: {states}")


def tries(store: Store, run_id: str, task_id: str, map_index: int = -1) -> list[tuple[Any, Any]]:
    """The verdict on each try and whether it succeeded, as the matrix expects them."""
    return [
        (row.action.value if row.action else None, row.succeeded)
        for row in store.one("celery_tasks", run_id, task_id, map_index)
    ]


def test_tasks_heal_under_celery_with_a_worker_process_that_runs_them_all(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pytest.importorskip("celery", reason="pip install apache-airflow-providers-celery")
    tmp_path = tmp_path_factory.mktemp("celery")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    processes = Processes(tmp_path / "processes")
    with postgres(tmp_path) as server, redis(tmp_path) as broker:
        metadata, history = server.new_database(), server.new_database()
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            "AIRFLOW__AUTOREMED__STORE": history,
            "PATH": os.pathsep.join(
                [str(TESTS / "matrix" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
        }
        env = {**os.environ, "MATRIX_SCRATCH": str(scratch)}
        airflow = Airflow(
            tmp_path / "airflow", TESTS / "data" / "celery_dags", processes, env, "act", settings
        )
        command = [Path(sys.executable).with_name("autoremed"), "db", "upgrade", "--store", history]
        subprocess.run(command, env=env, check=True, capture_output=True)
        try:
            airflow.start()
            airflow.wait_until_ready({"celery_tasks"})
            airflow.start_worker()
            run_id, states = run_of(airflow, "celery_tasks")
            worker = processes.log_file("airflow-worker").read_text(errors="replace")
        finally:
            processes.stop()
        store = Store(history)
        healed = [("remediate", False), (None, True)]
        assert tries(store, run_id, "heals") == healed
        assert [tries(store, run_id, "mapped", index) for index in (0, 1)] == [healed, healed]
        assert tries(store, run_id, "doomed") == [("stop", False)]
        assert tries(store, run_id, "killed") == [("leave_alone", False), ("remediate", False), (None, True)]
        assert tries(store, run_id, "plain") == []
        store.close()
        assert states == {
            ("heals", -1): "success",
            ("mapped", 0): "success",
            ("mapped", 1): "success",
            ("doomed", -1): "failed",
            ("killed", -1): "success",
            ("plain", -1): "failed",  # nobody opted it in, so its second try asks for the same memory
        }
        assert len(re.findall(r"Task execute_workload\S+ received", worker)) == 12, "one for each try"
        assert not [
            line for line in worker.splitlines() if "[autoremed]" in line and "warning" in line.lower()
        ]
