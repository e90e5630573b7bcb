"""Real Spark applications that hang are ended with their cause named; one that is only slow is not.

A real standalone cluster, the real operator and hook; the watch is put around ``execute`` by hand.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

from airflow_autoremed.airflow.attempt.stall_watch import StallWatch, watched
from airflow_autoremed.demo.cluster import SparkCluster
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.stalls import StallKind
from airflow_autoremed.platforms.spark_submit import SparkSubmitPlatform
from airflow_autoremed.recommending import recommend
from airflow_autoremed.spark.allocation import container
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import Classification, Conf, Limits, Source

pytestmark = pytest.mark.integration

LIMITS = Limits(max_container_memory=2 * GIB)
JOB = """
import sys, time
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("stall").getOrCreate()
seconds = int(sys.argv[1])
time.sleep(seconds)  # the driver alone, without a word
print(spark.sparkContext.parallelize(range(2), 2).map(lambda n: time.sleep(seconds) or n).count(), "rows")
"""
LATE_S = 90.0
"""What a crowded machine may take besides: to start the JVMs, to print, to look, to end them."""


@dataclass(frozen=True)
class Ended:
    """One try."""

    error: BaseException | None
    watch: StallWatch
    cause: Classification | None
    seconds: float
    conf: Conf


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    home = tmp_path_factory.mktemp("spark")
    processes = Processes(home / "process-logs")
    cluster = SparkCluster(home, processes, worker_memory="2g")
    try:
        cluster.start()
        cluster.wait_until_ready()
        yield cluster
    finally:
        processes.stop()
    assert left_over(str(home)) == []  # it is on the class path of every JVM


@pytest.fixture
def run(
    cluster: SparkCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ended]]:
    """Run one try of the real operator with the watch around it."""
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    for name in [name for name in os.environ if name.startswith("SPARK_")]:
        monkeypatch.delenv(name)
    for name, value in cluster.env(os.environ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", cluster.airflow_connection)
    job = tmp_path / "stall_job.py"
    job.write_text(JOB)

    def attempt(conf: Conf, timeout_s: float, seconds: int = 0) -> Ended:
        task = SparkSubmitOperator(
            task_id="daily", application=str(job), conf=dict(conf), application_args=[str(seconds)]
        )
        platform, tap = SparkSubmitPlatform(), LogTap(load_catalogue)
        watch, write = watched(
            platform,
            task,
            tap.write,
            timeout_s,
            act=True,
            conf=platform.read_conf(task),
            largest_container=LIMITS.max_container_memory,
        )
        platform.tap(task, write)
        watch.start()
        began = time.monotonic()
        error, cause = None, None
        try:
            task.execute({})
        except Exception as failure:
            error = failure
        took = time.monotonic() - began
        watch.stop()
        if error is not None:
            cause = tap.classify([(Source.EXCEPTION, f"{type(error).__name__}: {error}")])
        logging.getLogger("airflow_autoremed").warning("The try took %.1f s: %s", took, watch.stall)
        return Ended(error, watch, cause, took, platform.read_conf(task))

    yield attempt
    # The Python driver and the executors notice by themselves that the driver's JVM is gone.
    executors = (str(cluster.home), "CoarseGrainedExecutorBackend")
    deadline = time.monotonic() + 30
    while (left_over(str(job)) or left_over(*executors)) and time.monotonic() < deadline:
        time.sleep(0.25)
    assert left_over(str(job)) + left_over(*executors) == []


def left_over(*words: str) -> list[str]:
    """Command lines of processes that have every one of *words* in theirs."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if all(word in line for word in words)]


def test_executors_larger_than_any_worker_are_ended_and_cut_to_fit(run):
    conf = {"spark.executor.memory": "8g", "spark.starvation.timeout": "3s"}
    ended = run(conf, timeout_s=4)
    assert "Error code is: -9" in str(ended.error)
    assert ended.watch.stall.kind is StallKind.NO_EXECUTOR
    assert 4 <= ended.watch.stall.waited_s < 4 + LATE_S
    assert ended.seconds < 4 + 3 + LATE_S
    assert (ended.cause.rule, ended.cause.category) == (
        "stall-executor-larger-than-any-container",
        "memory_request_invalid",
    )
    advice = recommend(ended.cause, ended.conf, ended.conf, (), LIMITS)
    assert 1 * GIB < container(advice.conf, "executor") <= 2 * GIB


def test_executors_that_die_at_their_start_for_ever_are_ended_and_started_right(run):
    conf = {
        "spark.executor.memory": "600m",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:MaxDirectMemorySize=64m",
    }
    ended = run(conf, timeout_s=6)
    assert "Error code is: -9" in str(ended.error)
    assert ended.watch.stall.kind is StallKind.EXECUTORS_DIE
    assert ended.watch.stall.died >= 3
    assert ended.seconds < 6 + LATE_S
    assert (ended.cause.rule, ended.cause.category) == (
        "stall-executors-too-little-direct-memory",
        "direct_memory_oom",
    )
    advice = recommend(ended.cause, ended.conf, ended.conf, (), Limits())
    healed = run(advice.conf, timeout_s=30)
    assert (healed.error, healed.watch.stall) == (None, None)


def test_a_job_that_is_only_slow_is_not_ended(run):
    ended = run({}, timeout_s=1.5, seconds=3)
    assert ended.error is None
    assert ended.watch.stall is None
    assert ended.seconds > 3 * 3
