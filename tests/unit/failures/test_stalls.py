"""Applications that wait for ever are noticed and ended; applications that do anything at all are left alone."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest

from airflow_autoremed import remediate
from airflow_autoremed.airflow.attempt.stall_watch import StallWatch, watched
from airflow_autoremed.airflow.options import settings
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.stalls import Stall, StallDetector, StallKind, describe
from airflow_autoremed.history import Store
from airflow_autoremed.platforms.spark_submit import SparkSubmitPlatform
from airflow_autoremed.recommending import recommend
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import Limits, Restartable, Source
from tests.support.tasks import TaskInstance

STARVED = (
    "26/11/24 10:00:00 WARN TaskSchedulerImpl: Initial job has not accepted any resources; check your cluster UI "
    "to ensure that workers are registered and have sufficient resources"
)
JOB = "26/11/24 10:00:00 INFO TaskSchedulerImpl: Adding task set 0.0 with 2 tasks resource profile 0"
JOB_DONE = "26/11/24 10:00:00 INFO DAGScheduler: Job 0 finished: count at job.py:3, took 12.1 s"
STARTING = (
    "26/11/24 10:00:00 INFO TaskSetManager: Starting task 0.0 in stage 0.0 (TID 0) (127.0.0.1,executor 0)"
)
FINISHED = "26/11/24 10:00:00 INFO TaskSetManager: Finished task 0.0 in stage 0.0 (TID 0) in 500 ms on 127.0.0.1 (executor 0) (1/2)"
KILLED = "AirflowException: Cannot execute: spark-submit --master spark://m:7077 job.py. Error code is: -9."


def dead(number: int, code: int = 1) -> list[str]:
    """What a standalone driver prints when an executor ends at its start (measured with Spark 4.1.1)."""
    return [
        f"26/11/24 10:00:00 INFO StandaloneSchedulerBackend$StandaloneDriverEndpoint: Registered executor NettyRpcEndpointRef(spark-client://Executor) (127.0.0.1:57254) with ID {number}, ResourceProfileId 0",
        "26/11/24 10:00:00 WARN TransportChannelHandler: Exception in connection from /127.0.0.1:60406",
        "io.netty.channel.unix.Errors$NativeIoException: recvAddress(..) failed with error(-104): Connection reset by peer",
        f"26/11/24 10:00:00 INFO StandaloneAppClient$ClientEndpoint: Executor updated: app-20261124100000-0098/{number} is now EXITED (Command exited with code {code})",
        f"26/11/24 10:00:00 INFO StandaloneSchedulerBackend: Executor app-20261124100000-0098/{number} removed: Command exited with code {code}",
        f"26/11/24 10:00:00 INFO StandaloneAppClient$ClientEndpoint: Executor added: app-20261124100000-0098/{number + 1} on worker-1 (127.0.0.1:34811) with 1 core(s)",
        f"26/11/24 10:00:00 ERROR TaskSchedulerImpl: Lost an executor {number} (already removed): Command exited with code {code}",
        f"26/11/24 10:00:00 INFO StandaloneAppClient$ClientEndpoint: Executor updated: app-20261124100000-0098/{number + 1} is now RUNNING",
    ]


YARN_REPORT = [
    "26/11/24 10:00:00 INFO Client: Application report for application_1700000000000_0050 (state: ACCEPTED)",
    "26/11/24 10:00:00 INFO Client: ",
    "\t client token: N/A",
    "\t diagnostics: AM container is launched, waiting for AM container to Register with RM",
    "\t ApplicationMaster host: N/A",
    "\t final status: UNDEFINED",
    "\t user: etl",
]
POD_REPORT = [
    "26/11/24 10:00:00 INFO LoggingPodStatusWatcherImpl: State changed, new state: ",
    "\t pod name: daily-1b2c-driver",
    "\t node name: N/A",
    "\t phase: Pending",
    "\t container status: N/A",
    "26/11/24 10:00:01 INFO LoggingPodStatusWatcherImpl: Application status for spark-1b2c (phase: Pending)",
]


class Log:
    """A log that is written second by second, with a detector that looks at it every second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.detector = StallDetector(clock=lambda: self.now)

    def write(self, *lines: str, after: float = 1.0) -> Stall | None:
        for line in lines:
            self.detector.write(line)
        stall = self.detector.stall()
        self.now += after
        return stall

    def starve(self, seconds: float) -> Stall | None:
        """Spark's warning every 15 s, and nothing else."""
        stall = None
        for _ in range(int(seconds // 15) + 1):
            stall = self.write(STARVED, after=15)
        return stall


def test_a_job_that_gets_no_executor_waits_since_the_first_warning():
    log = Log()
    log.write(JOB)
    stall = log.starve(60)
    assert stall is not None
    assert (stall.kind, stall.since, stall.waited_s) == (StallKind.NO_EXECUTOR, 1.0, 60.0)
    assert all("has not accepted" in line for line in stall.lines)


def test_between_two_warnings_the_wait_goes_on_where_the_log_would_show_tasks():
    log = Log()
    log.write(JOB)
    log.starve(15)
    assert log.detector.stall().waited_s == 30.0


@pytest.mark.parametrize(
    "line",
    [
        STARTING,
        FINISHED,
        "price list loaded, 4000 rows",
        "26/11/24 10:00:00 INFO PriceList: 4000 rows",
        "26/11/24 10:00:00 INFO acme.Client: fetched page 7",
        "    indented output of the job",
        "[Stage 0:=====>                  (3 + 1) / 10]",
        "26/11/24 10:00:00 INFO TaskSchedulerImpl: Removed TaskSet 0.0, whose tasks have all completed, from pool",
        "26/11/24 10:00:00 INFO BlockManagerInfo: Added broadcast_0_piece0 in memory on 10.0.0.7:40001 (size: 7 KiB)",
    ],
)
def test_any_sign_of_work_ends_the_wait(line):
    log = Log()
    log.write(JOB)
    assert log.starve(60) is not None
    assert log.write(line) is None


def test_a_line_a_minute_of_the_jobs_own_keeps_it_alive_for_ever():
    log = Log()
    log.write(JOB)
    waited = []
    for minute in range(60):
        stall = log.starve(45)
        waited.append(stall.waited_s)
        log.write(f"fetched page {minute}")
    assert max(waited) <= 45


def test_a_quiet_log_that_stops_warning_has_its_executors():
    """At log level WARN the first sign of success is that the warnings end."""
    log = Log()
    log.starve(15)
    log.now += 3600
    assert log.detector.stall() is None


def test_a_quiet_job_that_got_its_executors_just_now_is_not_ended_for_the_seconds_since():
    log = Log()
    log.starve(30)
    log.now += 5
    assert log.detector.stall().waited_s == 30.0


def test_what_the_drawn_progress_bar_says_of_a_waiting_job_is_no_progress():
    log = Log()
    bar = "[Stage 0:>                                                          (0 + 0) / 2]"
    log.write(bar + STARVED, after=15)
    log.write(bar)
    assert log.write(bar + STARVED).waited_s == 16.0


def test_executors_that_end_at_their_start_one_after_the_other_are_a_loop():
    log = Log()
    log.write(JOB)
    stall = None
    for number in range(30):
        stall = log.write(*dead(number))
    assert (stall.kind, stall.died, stall.waited_s) == (StallKind.EXECUTORS_DIE, 30, 29.0)
    assert "30 of them; the last: Command exited with code 1" in stall.summary
    assert 0 < len(stall.lines) <= 6


def test_thousands_of_relaunched_executors_are_counted_in_bounded_memory():
    log = Log()
    log.write(JOB)
    for number in range(3000):
        log.write(*dead(number), after=0.02)
    stall = log.detector.stall()
    assert stall.kind is StallKind.EXECUTORS_DIE
    assert stall.waited_s == pytest.approx(60.0, abs=0.1)
    assert len(log.detector._wait.died) == stall.died == 256
    assert not log.detector._held


def test_executors_that_die_while_another_one_works_are_no_stall():
    log = Log()
    log.write(JOB, STARTING)
    for number in range(30):
        assert log.write(*dead(number)) is None


def test_executors_that_die_while_the_driver_works_alone_are_no_stall():
    log = Log()
    log.write(JOB, STARTING, FINISHED, JOB_DONE)
    for number in range(30):
        assert log.write(*dead(number)) is None


def test_executors_that_were_let_go_are_no_loop():
    log = Log()
    log.write(JOB)
    for number in range(9):
        line = f"26/11/24 10:00:00 INFO StandaloneSchedulerBackend: Executor app-1/{number} removed: Executor killed by driver."
        assert log.write(line) is None


def test_pods_of_executors_that_fail_over_and_over_are_a_loop():
    log = Log()
    log.write(JOB)
    stall = None
    for number in range(20):
        stall = log.write(
            "26/11/24 10:00:00 INFO ExecutorPodsAllocator: Going to request 1 executors from Kubernetes for ResourceProfile Id: 0, target: 1, known: 0, sharedSlotFromPendingPods: 1.",
            "26/11/24 10:00:00 INFO KubernetesClientUtils: Spark configuration files loaded from Some(/opt/spark/conf) : metrics.properties",
            "26/11/24 10:00:00 INFO BasicExecutorFeatureStep: Adding decommission script to lifecycle",
            f"26/11/24 10:00:00 INFO BlockManagerMasterEndpoint: Trying to remove executor {number} from BlockManagerMaster.",
            f"26/11/24 10:00:00 INFO BlockManagerMaster: Removal of executor {number} requested",
            f"26/11/24 10:00:00 INFO KubernetesClusterSchedulerBackend$KubernetesDriverEndpoint: Asked to remove non-existent executor {number}",
            after=3,
        )
    assert (stall.kind, stall.died) == (StallKind.EXECUTORS_DIE, 20)


@pytest.mark.parametrize(
    ("report", "kind", "started"),
    [
        (
            YARN_REPORT,
            StallKind.QUEUED,
            "26/11/24 10:00:00 INFO Client: Application report for application_1_0050 (state: RUNNING)",
        ),
        (
            POD_REPORT,
            StallKind.POD_PENDING,
            "26/11/24 10:00:00 INFO LoggingPodStatusWatcherImpl: Application status for spark-1b2c (phase: Running)",
        ),
    ],
)
def test_an_application_that_the_platform_keeps_waiting_waits_also_in_silence(report, kind, started):
    log = Log()
    for _ in range(30):
        log.write(*report)
    log.now += 600
    stall = log.detector.stall()
    assert (stall.kind, stall.waited_s) == (kind, 630.0)
    assert log.write(started) is None


def test_a_log_without_any_sign_of_waiting_is_never_a_stall():
    log = Log()
    log.write("26/11/24 10:00:00 INFO SparkContext: Running Spark version 4.1.4", after=10 * 3600)
    assert log.detector.stall() is None


def test_a_fault_in_the_detector_is_one_warning_and_the_log_streams_on(monkeypatch, caplog):
    monkeypatch.setattr("airflow_autoremed.failures.stalls._read", lambda line: 1 / 0)
    detector = StallDetector()
    for _ in range(10_000):
        detector.write(STARVED)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert detector.stall() is None


# ------------------------------------------------------------------------------------------------- the cause


def verdict(lines: Iterable[str]):
    tap = LogTap(load_catalogue)
    for line in lines:
        tap.write(line)
    return tap.classify([(Source.EXCEPTION, KILLED)])


def starved(conf=None, largest=None) -> list[str]:
    log = Log()
    log.write(JOB)
    return [JOB, STARVED, STARVED, describe(log.starve(60), 60, conf, largest)]


def looping(conf=None, code: int = 1) -> list[str]:
    log = Log()
    log.write(JOB)
    lines = [JOB, *itertools.chain.from_iterable(dead(number, code) for number in range(20))]
    for number in range(20):
        log.write(*dead(number, code))
    return [*lines, describe(log.detector.stall(), 10, conf)]


def test_a_request_above_the_largest_container_is_cut_to_fit_on_the_retry():
    conf = {"spark.executor.memory": "40g"}
    cause = verdict(starved(conf, 6 * GIB))
    assert (cause.rule, cause.category) == (
        "stall-executor-larger-than-any-container",
        "memory_request_invalid",
    )
    assert cause.sizes == {"executor_memory": 44 * GIB, "threshold": 6 * GIB}
    advice = recommend(cause, conf, conf, (), Limits(max_container_memory=6 * GIB))
    assert advice.conf == {"spark.executor.memory": "2g"}


def test_a_request_that_may_be_waited_for_is_named_as_missing_resources():
    cause = verdict(starved({"spark.executor.memory": "1g"}, 6 * GIB))
    assert (cause.rule, cause.category, cause.restartable) == (
        "stall-no-executor",
        "resource_unavailable",
        Restartable.AS_IS,
    )


def test_too_little_direct_memory_is_named_and_raised_on_the_retry():
    conf = {"spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:MaxDirectMemorySize=64m"}
    cause = verdict(looping(conf))
    assert (cause.rule, cause.category) == ("stall-executors-too-little-direct-memory", "direct_memory_oom")
    assert cause.sizes == {"limit": 64 * MIB, "needed": 200 * MIB}
    advice = recommend(cause, conf, conf, (), Limits())
    assert advice.conf["spark.executor.extraJavaOptions"] == "-XX:+UseSerialGC -XX:MaxDirectMemorySize=1g"


@pytest.mark.parametrize(
    ("code", "rule", "category"),
    [
        (1, "stall-executors-do-not-start", "submit_config_error"),
        (137, "stall-executors-killed-at-start", "executor_oom_overhead"),
        (99, "stall-executors-die", "executor_lost_preempted"),
    ],
)
def test_executors_that_die_at_their_start_are_judged_by_their_exit_code(code, rule, category):
    cause = verdict(looping({"spark.executor.memory": "1g"}, code))
    assert (cause.rule, cause.category) == (rule, category)
    assert cause.restartable is not Restartable.NO


def test_a_named_cause_in_the_log_comes_before_the_stall():
    quota = (
        "io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://k/pods. "
        'Message: pods "daily-exec-1" is forbidden: exceeded quota: team, requested: requests.memory=8Gi'
    )
    assert verdict([JOB, STARVED, quota, *starved()[1:]]).category == "license_or_quota"


def test_the_kill_is_not_taken_for_the_cause():
    assert verdict(starved()).category == "resource_unavailable"


# ------------------------------------------------------------------------------------------------- the watch


@pytest.fixture
def watching(monkeypatch):
    """A watch on a detector that says what the test tells it to; stopped at the end, with no thread left."""
    watches: list[StallWatch] = []

    def start(
        stall: Callable[[], Stall | None], kill, noted: list[str], timeout_s: float = 2.0
    ) -> StallWatch:
        watch = StallWatch(SimpleNamespace(stall=stall), timeout_s, kill, noted.append)
        watches.append(watch)
        watch.start()
        return watch

    yield start
    for watch in watches:
        watch.stop()
        watch.stop()
        assert not watch._thread.is_alive()
    assert not [t for t in threading.enumerate() if t.name == "autoremed-stall-watch"]


def waited(seconds: float) -> Stall:
    return Stall(StallKind.NO_EXECUTOR, 0.0, seconds, (STARVED,), "no executor took its tasks")


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_a_stalled_attempt_is_ended_once_and_its_cause_noted_before(watching):
    happened: list[str] = []

    def kill(announce) -> bool:
        announce()
        happened.append("killed")
        return True

    watch = watching(lambda: waited(2.5), kill, happened)
    until(lambda: not watch._thread.is_alive())
    assert [each[:30] for each in happened] == ["[autoremed] The application wa", "killed"]
    assert "waited 2 s without progress and was ended (stall_timeout = 2 s)" in happened[0]
    assert watch.stall == waited(2.5)


def test_an_attempt_that_waits_less_than_the_timeout_is_left_alone(watching):
    killed: list[str] = []
    asked = itertools.count()

    def stall() -> Stall:
        next(asked)
        return waited(1.9)

    watch = watching(stall, lambda announce: killed.append("killed") or True, [])
    until(lambda: next(asked) > 6)
    assert watch._thread.is_alive()
    assert killed == []


def test_in_shadow_mode_the_stall_is_told_and_nothing_is_ended(watching, caplog):
    caplog.set_level(logging.WARNING, logger="airflow_autoremed")
    noted: list[str] = []
    watch = watching(lambda: waited(3), None, noted)
    until(lambda: watch.stall is not None and caplog.records)
    assert noted == []
    assert "would have been ended" in caplog.records[-1].getMessage()


def test_nothing_is_noted_when_the_attempt_ended_by_itself_meanwhile(watching):
    noted: list[str] = []
    watch = watching(lambda: waited(3), lambda announce: False, noted)
    until(lambda: not watch._thread.is_alive())
    assert (noted, watch.stall) == ([], None)


@pytest.mark.parametrize("broken", ["detector", "kill"])
def test_a_fault_of_the_watch_is_one_warning_and_no_exception(watching, caplog, broken):
    def raises(*_: object) -> bool:
        raise OSError("no such process")

    caplog.set_level(logging.WARNING, logger="airflow_autoremed")
    stall = raises if broken == "detector" else lambda: waited(3)
    watch = watching(stall, raises, [])
    until(lambda: not watch._thread.is_alive())
    assert [r.getMessage() for r in caplog.records] == [
        "[autoremed] airflow-autoremed failed while watching for a stall (OSError: no such process). "
        "The task continues without it."
    ]


def test_stopping_waits_for_a_kill_that_is_under_way(watching):
    """The operator may still have a driver pod to delete when the worker process is about to exit."""
    began, ended = threading.Event(), threading.Event()

    def kill(announce) -> bool:
        began.set()
        time.sleep(0.5)
        ended.set()
        return True

    watch = watching(lambda: waited(3), kill, [])
    assert began.wait(10)
    watch.stop()
    assert ended.is_set()


def test_stopping_a_watch_that_never_began_does_nothing():
    StallWatch(StallDetector(), 60, None, print).stop()


# ----------------------------------------------------------------------------------------------- the platform


@pytest.fixture
def hanging(spark_submit, spark_task, tmp_path):
    """A task of the real operator whose spark-submit prints Spark's warning for ever."""
    spark_submit("")
    (tmp_path / "bin" / "spark-submit").write_text(
        f'#!/bin/sh\nexec {sys.executable} -uc "\nimport time\nwhile True:\n  print({STARVED!r})\n  time.sleep(0.2)"\n'
    )
    return spark_task()


def test_a_hanging_spark_submit_ends_as_a_failed_try_with_the_cause_named(hanging):
    platform, tap = SparkSubmitPlatform(), LogTap(load_catalogue)
    conf = {"spark.executor.memory": "1g"}
    watch, write = watched(platform, hanging, tap.write, 1.0, act=True, conf=conf, largest_container=None)
    platform.tap(hanging, write)
    watch.start()
    began = time.monotonic()
    with pytest.raises(Exception, match="Error code is: -9") as error:
        hanging.execute({})
    watch.stop()
    assert time.monotonic() - began < 20
    cause = tap.classify([(Source.EXCEPTION, str(error.value))])
    assert cause.rule == "stall-no-executor"
    assert not watch._thread.is_alive()


def test_a_task_that_does_not_run_spark_submit_now_is_not_killed(spark_submit, spark_task):
    platform = SparkSubmitPlatform()
    announced: list[str] = []
    task = spark_task()
    assert platform.kill(task, lambda: announced.append("")) is False
    spark_submit("", cured_by="job.py")
    task.execute({})
    assert platform.kill(task, lambda: announced.append("")) is False
    assert announced == []


def test_where_the_operator_only_asks_yarn_the_hook_ends_spark_submit(hanging, monkeypatch):
    monkeypatch.setattr("airflow_autoremed.platforms.spark_submit._SUBMIT_ENDS_S", 0.2)
    monkeypatch.setattr(type(hanging), "on_kill", lambda self: None)
    platform = SparkSubmitPlatform()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            hanging.execute({})
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: getattr(hanging._hook, "_submit_sp", None) is not None)
    assert platform.kill(hanging, lambda: None) is True
    thread.join(10)
    assert "Error code is: -9" in str(failed[0])


@pytest.mark.parametrize("deployment_wide", [False, True])
def test_a_task_with_a_stall_timeout_fails_with_the_cause_named_instead_of_waiting_for_ever(
    hanging, monkeypatch, deployment_wide
):
    if deployment_wide:
        monkeypatch.setenv("AIRFLOW__AUTOREMED__STALL_TIMEOUT", "1s")
    task = remediate(hanging, stall_timeout=None if deployment_wide else 1)
    outcome = TaskInstance(task).run()
    assert "Error code is: -9" in str(outcome.error)
    assert Store(settings().store_url).recent(1)[0].category == "resource_unavailable"


def test_a_stall_timeout_that_is_none_is_refused_with_what_to_write(spark_task):
    with pytest.raises(SettingsError, match="write a duration, for example"):
        remediate(spark_task(), stall_timeout="soon")
