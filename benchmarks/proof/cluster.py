"""One attempt of one job on a real cluster: submitted through the provider's own hook, its log kept whole.

Containers are emulated: a watcher adds up the resident memory of an executor's processes and, where it exceeds what
Spark would ask a container for, sends the signal that the platform would send. The kill, the exit code and what Spark
makes of it are real; the limit is ours.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from airflow_autoremed.demo.cluster import SparkCluster
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.cost import usage_by_conf
from airflow_autoremed.types import Conf
from benchmarks.proof.jobs import BASE, SMALL_JVM, Job, Kind

PROGRAMS = Path(__file__).with_name("programs.py")
LONGEST_S = 75.0
"""An attempt that takes longer is ended and counts as failed."""
_LOOK_S = 0.15
_ARCHIVING_S = 30.0
"""How long an executor may take to write its archive after its application has ended."""
_FLAGS = {"driver": "spark.driver.extraJavaOptions", "executor": "spark.executor.extraJavaOptions"}
_quiet = logging.getLogger("benchmarks.proof.hook")
_quiet.setLevel(logging.ERROR)


@dataclass(frozen=True)
class Outcome:
    """What one attempt came to."""

    succeeded: bool
    duration_s: float
    gib_seconds: float
    core_seconds: float
    log: str
    """File of the driver's whole log."""
    exception: str
    """The text of the exception that the hook raised; empty when it did not."""
    killed: str = ""
    """What the watcher or the time limit did."""

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class Cluster:
    """A standalone master and worker for as long as the ``with`` block lasts."""

    def __init__(self, home: Path, memory: str, lanes: int) -> None:
        self._home = home
        self._processes = Processes(home / "processes")
        self._archives: dict[str, Path] = {}
        self._spark = SparkCluster(home, self._processes, worker_memory=memory, worker_cores=lanes)
        self._lock = threading.Lock()
        self._defaults = home / "spark-defaults.conf"
        (home / "drivers").mkdir(parents=True, exist_ok=True)
        self._number = len(list((home / "drivers").iterdir()))  # a run that goes on keeps the logs of before

    def __enter__(self) -> Cluster:
        try:
            self._spark.start()
            self._spark.wait_until_ready()
        except BaseException:
            self._processes.stop()
            raise
        os.environ["AIRFLOW_CONN_SPARK_PROOF"] = self._spark.airflow_connection
        # A directory of the class path has to be empty for classes to be archived.
        (self._home / "conf" / "spark-defaults.conf").replace(self._defaults)
        self._archive_classes()
        return self

    def _archive_classes(self) -> None:
        """Have a small job leave its classes as JVMs map them (application class-data sharing): the attempts begin
        with these, which takes a quarter off what each lasts."""
        left = {role: self._home / f"{role}.jsa" for role in _FLAGS}
        if not all(file.exists() for file in left.values()):
            conf = BASE | {
                key: f"{SMALL_JVM} -XX:ArchiveClassesAtExit={left[role]}" for role, key in _FLAGS.items()
            }
            first = Job("archive", "archive", Kind.CURABLE, "wide_rows", {"mb": 1}, conf, (), held_out=False)
            self.run(first, conf, 1)
            until = time.monotonic() + _ARCHIVING_S
            while not all(file.exists() for file in left.values()) and time.monotonic() < until:
                time.sleep(0.5)
        self._archives = {role: file for role, file in left.items() if file.exists()}

    def _options(self, role: str, conf: Conf) -> str:
        """The JVM options of *role*: the job's own, or the administrator's with the archived classes."""
        own = conf.get(_FLAGS[role])
        if own is not None:
            return own
        archive = self._archives.get(role)
        return SMALL_JVM if archive is None else f"{SMALL_JVM} -XX:SharedArchiveFile={archive}"

    def __exit__(self, *_: object) -> None:
        self._processes.stop()

    def run(self, job: Job, conf: Conf, attempt: int) -> Outcome:
        """Run *job* with *conf* as its try *attempt*."""
        from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

        with self._lock:
            self._number += 1
            number = self._number
        log = self._home / "drivers" / f"{number:04}.log"
        mark = f"-Dproof.run={number}"
        settings = {**conf, **{key: f"{self._options(role, conf)} {mark}" for role, key in _FLAGS.items()}}

        class Hook(SparkSubmitHook):  # type: ignore[misc]
            """The provider's hook; its lines go to a file in place of the task log."""

            log = _quiet

            def _process_spark_submit_log(self, itr: Iterator[Any]) -> None:
                with path.open("w", errors="replace") as file:
                    super()._process_spark_submit_log(_tee(itr, file))

        path = log
        hook = Hook(
            conf=settings,
            conn_id="spark_proof",
            properties_file=str(self._defaults),
            application_args=job.arguments(attempt),
            name=f"proof-{number}",
        )
        # Programs of other attempts must not see this one's environment, so nothing is exported.
        env = self._spark.env(os.environ)
        began = time.monotonic()
        exception, ended = "", threading.Event()
        watcher = _Watcher(job, conf, mark, hook, ended)
        watcher.start()
        try:
            hook.submit(str(PROGRAMS), env=env)
        except Exception as error:  # noqa: BLE001 - what Airflow would be given
            exception = str(error)
        finally:
            ended.set()
            watcher.join()
        duration = time.monotonic() - began
        used = usage_by_conf(conf, duration)
        return Outcome(
            not exception,
            round(duration, 2),
            round(used.gib_seconds, 2),
            round(used.core_seconds, 2),
            str(log),
            exception,
            watcher.did,
        )


class _Watcher(threading.Thread):
    """Ends what outgrows its container, and what takes too long."""

    def __init__(self, job: Job, conf: Conf, mark: str, hook: Any, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._job, self._mark, self._hook, self._ended = job, mark, hook, ended
        self._limit = allocation.container(conf, "executor")
        self._until = time.monotonic() + LONGEST_S
        self.did = ""

    def run(self) -> None:
        executor: psutil.Process | None = None
        while not self._ended.wait(_LOOK_S):
            if time.monotonic() > self._until:
                self.did = f"ended after {LONGEST_S:.0f} s"
                self._end()
                return
            if not self._job.container:
                continue
            with contextlib.suppress(psutil.Error):
                if executor is None or not executor.is_running():
                    executor = _executor(self._mark)
                if executor is not None:
                    self._look(executor)

    def _look(self, executor: psutil.Process) -> None:
        tree = [executor, *executor.children(recursive=True)]
        resident = {process: process.memory_info().rss for process in tree}
        if sum(resident.values()) <= self._limit:
            return
        how = self._job.container
        victim = max(resident, key=resident.__getitem__) if how == "largest" else executor
        victim.send_signal(signal.SIGTERM if how == "yarn" else signal.SIGKILL)
        self.did = f"{how}: {sum(resident.values()) >> 20} MiB in a container of {self._limit >> 20} MiB"

    def _end(self) -> None:
        process = getattr(self._hook, "_submit_sp", None)
        if process is None:
            return
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(process.pid)
            for each in [*root.children(recursive=True), root]:
                with contextlib.suppress(psutil.Error):
                    each.kill()


def _executor(mark: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or ()
        if mark in line and any("CoarseGrainedExecutorBackend" in part for part in line):
            return process
    return None


def _tee(lines: Iterator[Any], file: Any) -> Iterator[Any]:
    for line in lines:
        file.write(line)
        yield line


class Memo:
    """Attempts that were run: the same job with the same configuration in the same state runs once.

    :param file: JSON lines, so that a run that was broken off goes on.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Outcome] = {}
        self._all: list[tuple[str, Conf, Outcome]] = []
        self._lock = threading.Lock()
        if file.exists():
            for line in file.read_text().splitlines():
                entry = json.loads(line)
                self._remember(entry["key"], entry["job"], entry["conf"], Outcome(**entry["outcome"]))

    def _remember(self, key: str, job_id: str, conf: Conf, outcome: Outcome) -> None:
        self._known[key] = outcome
        self._all.append((job_id, conf, outcome))

    @property
    def count(self) -> int:
        """Attempts that were run."""
        return len(self._known)

    @property
    def seconds(self) -> float:
        """How long they took together."""
        return sum(each.duration_s for each in self._known.values())

    def ends(self, job: Job) -> list[tuple[Conf, bool]]:
        """How the attempts of *job* so far ended."""
        return [(conf, outcome.succeeded) for job_id, conf, outcome in self._all if job_id == job.id]

    def all(self) -> list[tuple[str, Conf, Outcome]]:
        """Each attempt as it was run: of which job, with which configuration, and its end."""
        return list(self._all)

    def get(self, key: str) -> Outcome | None:
        return self._known.get(key)

    def put(self, key: str, job: Job, conf: Conf, outcome: Outcome) -> None:
        entry = {"key": key, "job": job.id, "conf": dict(conf), "outcome": outcome.to_dict()}
        with self._lock:
            self._remember(key, job.id, conf, outcome)
            with self._file.open("a") as out:
                out.write(json.dumps(entry) + "\n")


class Lab:
    """Runs what is not known yet."""

    def __init__(self, cluster: Cluster, memo: Memo) -> None:
        self._cluster, self._memo = cluster, memo

    def ends(self, job: Job) -> list[tuple[Conf, bool]]:
        """How the attempts of *job* so far ended."""
        return self._memo.ends(job)

    def attempt(self, job: Job, conf: Conf, attempt: int, sample: int = 0) -> Outcome:
        """The outcome of try *attempt* of *job* with *conf*; *sample* tells repetitions apart."""
        # A fault that passes depends on the try; nothing else does.
        state = min(attempt, int(job.parameters.get("fails", 0)) + 1) if "fails" in job.parameters else 1
        what = json.dumps([job.id, dict(job.parameters), dict(sorted(conf.items()))])
        key = f"{what}|{state}|{sample}"
        known = self._memo.get(key)
        if known is None:
            known = self._cluster.run(job, conf, state)
            self._memo.put(key, job, conf, known)
        return known
