"""A real Airflow on this machine: scheduler, Dag processor and api-server in a directory of their own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from airflow_autoremed.demo.processes import Processes, free_ports
from airflow_autoremed.errors import WebError
from airflow_autoremed.ingestion.web import Web

_READY_S = 180.0
_LONGEST_PAUSE_S = 1.0
_FIRST = ("api-server", "dag-processor")
"""What makes runs possible and runs nothing."""


class Airflow:
    """An Airflow deployment, with the LocalExecutor and SQLite where *settings* say nothing else.

    :param home: becomes ``AIRFLOW_HOME``
    :param dags: the folder of Dag files
    :param processes: who starts and stops the components
    :param env: what the components and the tasks see beside Airflow's own settings
    :param mode: ``[autoremed] mode`` of all of them
    :param settings: more of Airflow's settings, as environment variables; they replace those made here
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        processes: Processes,
        env: Mapping[str, str],
        mode: str,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.home = home
        self._processes = processes
        (self.port, log_port) = free_ports(2)
        self._web = Web(self.url, pause=lambda seconds: time.sleep(min(seconds, _LONGEST_PAUSE_S)))
        # Whatever the person has set for an Airflow of their own is not for this one.
        clean = {key: value for key, value in env.items() if not key.startswith("AIRFLOW__")}
        self._env = clean | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__AUTOREMED__MODE": mode,
            "AIRFLOW__AUTOREMED__STORE": f"sqlite:///{home / 'autoremed.db'}",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", os.defpath)]),
            **settings,
        }

    @property
    def url(self) -> str:
        """Where the UI can be looked at."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Make the metadata database; start the api-server and the Dag processor, but nothing that runs a task.

        :raises RuntimeError: the database could not be made; the message carries Airflow's output
        """
        self.home.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            [_airflow(), "db", "migrate"], env=self._env, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise RuntimeError(f"'airflow db migrate' failed:\n{made.stdout[-2000:]}\n{made.stderr[-2000:]}")
        for component in _FIRST:
            self._start(component)

    def start_worker(self) -> None:
        """Start a Celery worker, where the executor is the CeleryExecutor."""
        self._processes.start(
            "airflow-worker",
            [_airflow(), "celery", "worker", "--without-gossip", "--without-mingle"],
            self._env,
        )

    def start_scheduler(self) -> None:
        """Start the scheduler, which runs what was triggered.

        Only after the triggering: on SQLite the api-server stands still for five seconds and answers 500 when a
        run is made at the moment in which a task reports itself (it waits, in its event loop, for a lock that a
        request waiting for the same loop holds; seen on Airflow 3.3.2).
        """
        self._start("scheduler")

    def _start(self, component: str) -> None:
        self._processes.start(f"airflow-{component}", [_airflow(), component], self._env)

    def sign_in(self, web: Web) -> str:
        """A token for the REST API."""
        return str(web.json("/auth/token")["access_token"])

    def wait_until_ready(self, dag_ids: set[str]) -> None:
        """Return when the API answers and knows the Dags.

        :raises RuntimeError: it did not in three minutes, or a component died; the message carries log tails
        """
        deadline = time.monotonic() + _READY_S
        known: set[str] = set()
        while time.monotonic() < deadline and (dead := self._processes.dead()) is None:
            try:
                self._web.use_token(self.sign_in(self._web))
                known = {dag["dag_id"] for dag in self._web.json("/api/v2/dags")["dags"]}
            except (WebError, KeyError):
                known = set()
            if dag_ids <= known:
                return
            time.sleep(0.5)
        dead = self._processes.dead()
        what = f"{dead} ended by itself" if dead else f"the Dags {sorted(dag_ids - known)} did not appear"
        tails = [f"--- {each}\n{self._processes.log_tail(f'airflow-{each}')}" for each in _FIRST]
        raise RuntimeError(f"Airflow did not come up: {what}.\n" + "\n".join(tails))

    def trigger(self, dag_id: str) -> str:
        """Make a run of a Dag; its run id.

        :raises WebError: Airflow refuses; the message says how it answered
        """
        run: dict[str, Any] = self._web.post(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None})
        return str(run["dag_run_id"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run as the REST API tells them.

        :raises WebError: Airflow does not answer; the message says how
        """
        found: list[dict[str, Any]] = self._web.json(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")[
            "task_instances"
        ]
        return found

    def dead(self) -> str | None:
        """The name of a component that has ended by itself."""
        return self._processes.dead()

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The lines of a try's task log."""
        file = (
            self.home
            / "logs"
            / f"dag_id={dag_id}"
            / f"run_id={run_id}"
            / f"task_id={task_id}"
            / f"attempt={try_number}.log"
        )
        try:
            text = file.read_text(errors="replace")
        except OSError:
            return []
        return [_event(line) for line in text.splitlines()]


def _airflow() -> str:
    return str(Path(sys.executable).parent / "airflow")


def _event(line: str) -> str:
    """The message of a structured log line; the line itself where it is not one."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line
