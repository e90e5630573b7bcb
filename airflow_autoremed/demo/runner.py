"""The demo, top to bottom: start Spark and Airflow, run the tasks, watch them, tell how they ended."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from airflow_autoremed.demo.cluster import SparkCluster
from airflow_autoremed.demo.deployment import Airflow
from airflow_autoremed.demo.expected_outcomes import PROMISES, Ended, Promise
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.history import Store

FINAL = ("success", "failed", "upstream_failed", "skipped", "removed")
_LONGEST_RUN_S = 900.0
BASELINE = Path(__file__).with_name("baseline.json")

Watcher = Callable[[str], None]
"""Told, in one line, whenever something happens."""


@dataclass(frozen=True)
class Demo:
    """A demo that has run; Airflow is still up."""

    airflow: Airflow
    ended: tuple[Ended, ...]
    run_ids: dict[str, str]
    seconds: float


def dags_folder() -> Path:
    """The example Dags: in the checkout, beside the package.

    :raises FileNotFoundError: the package was installed without them
    """
    folder = Path(__file__).resolve().parents[2] / "dags_examples"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not there: the demo runs from a checkout of the project; write 'make demo' in it"
        )
    return folder


@contextmanager
def run(tell: Watcher, *, mode: str = "act", promises: Sequence[Promise] = PROMISES) -> Iterator[Demo]:
    """Run the demo's tasks; everything is stopped and removed when the context is left.

    :param tell: gets a line of progress
    :param mode: ``act``, or ``shadow`` to see what blind retries would do
    :raises RuntimeError: Spark or Airflow did not come up
    """
    home = Path(tempfile.mkdtemp(prefix="autoremed-demo-"))
    processes = Processes(home / "processes")
    started = time.monotonic()
    try:
        cluster = SparkCluster(home / "spark", processes)
        env = cluster.env(os.environ) | {
            "AIRFLOW_CONN_SPARK_DEFAULT": cluster.airflow_connection,
            "AUTOREMED_DEMO_SCRATCH": str(home / "scratch"),
        }
        airflow = Airflow(home / "airflow", dags_folder(), processes, env, mode)
        tell("starting Spark (standalone master and worker)")
        cluster.start()
        tell("starting Airflow (api-server, dag-processor, scheduler)")
        airflow.start()
        cluster.wait_until_ready()
        airflow.wait_until_ready({promise.dag_id for promise in promises})
        tell(f"ready after {time.monotonic() - started:.0f} s; Airflow is at {airflow.url}")
        run_ids = {dag_id: airflow.trigger(dag_id) for dag_id in sorted({p.dag_id for p in promises})}
        airflow.start_scheduler()
        states = _watch(airflow, run_ids, tell)
        ended = _ended(home / "airflow" / "autoremed.db", run_ids, states, promises)
        yield Demo(airflow, ended, run_ids, time.monotonic() - started)
    finally:
        processes.stop()
        shutil.rmtree(home, ignore_errors=True)


def _watch(airflow: Airflow, run_ids: dict[str, str], tell: Watcher) -> dict[tuple[str, str], str]:
    """Tell every change until all tasks have ended; their last states by Dag and task.

    :raises RuntimeError: Airflow died, or the tasks take too long
    """
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    told: set[tuple[str, str, int]] = set()
    deadline = time.monotonic() + _LONGEST_RUN_S
    while time.monotonic() < deadline:
        if (dead := airflow.dead()) is not None:
            raise RuntimeError(f"{dead} ended by itself while the tasks ran")
        for dag_id, run_id in run_ids.items():
            for instance in airflow.task_instances(dag_id, run_id):
                key = (dag_id, instance["task_id"])
                now = (instance["state"] or "waiting", int(instance["try_number"] or 0))
                if seen.get(key) == now:
                    continue
                seen[key] = now
                state, try_number = now
                if state in ("running", "up_for_retry", *FINAL):
                    tell(f"{key[1]:20} try {try_number}  {state}")
                if state in ("up_for_retry", "failed", "success"):
                    for number in range(1, try_number + 1):
                        if (*key, number) not in told:
                            told.add((*key, number))
                            for line in airflow.task_log(dag_id, run_id, key[1], number):
                                if line.startswith("[autoremed] Decision"):
                                    tell(f"{'':20} {line.removeprefix('[autoremed] ')}")
        if seen and all(state in FINAL for state, _ in seen.values()):
            return {key: state for key, (state, _) in seen.items()}
        time.sleep(0.5)
    raise RuntimeError(f"the tasks did not end within {_LONGEST_RUN_S:.0f} s: {seen}")


def _ended(
    database: Path, run_ids: dict[str, str], states: dict[tuple[str, str], str], promises: Sequence[Promise]
) -> tuple[Ended, ...]:
    store = Store(f"sqlite:///{database}")
    try:
        return tuple(
            Ended(
                promise,
                states.get((promise.dag_id, promise.task_id), "missing"),
                tuple(store.one(promise.dag_id, run_ids[promise.dag_id], promise.task_id, -1)),
            )
            for promise in promises
        )
    finally:
        store.close()


def save_baseline(demo: Demo, command: str) -> None:
    """Keep what the tasks spend without remediation, with when, where and how it was measured."""
    measured = {
        "command": command,
        "measured_at": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "tasks": {
            each.promise.task_id: {"gib_seconds": round(each.gib_seconds, 1), "tries": len(each.rows)}
            for each in demo.ended
        },
    }
    BASELINE.write_text(json.dumps(measured, indent=2) + "\n")
