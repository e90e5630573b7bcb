"""What YARN, Kubernetes and the standalone master know of a driver that ran in them, through the provider's hook."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from airflow_autoremed.platforms import find_platform
from airflow_autoremed.platforms.spark_clusters import driver_diagnostics
from airflow_autoremed.types import Source
from tests.support.tasks import HEAP_OOM

# Spark's own text (yarn.ApplicationMaster), in the form of the ResourceManager's REST API.
DIAGNOSTICS = (
    "Application application_1_0001 failed 2 times due to AM Container exited with exitCode: -104\n"
    "Container is running beyond physical memory limits. Current usage: 2.1 GB of 2 GB physical memory used"
)


def test_yarns_diagnostics_are_asked_for_with_the_operators_own_hook():
    asked = []
    hook = SimpleNamespace(
        _is_yarn_cluster_mode=True,
        _yarn_application_id=None,
        _query_yarn_application_status=lambda app: (asked.append(app), ("FINISHED", "FAILED", DIAGNOSTICS))[
            1
        ],
    )
    assert list(driver_diagnostics(hook, None)) == []
    ((source, text),) = driver_diagnostics(hook, "application_1_0001")
    assert asked == ["application_1_0001"]
    assert source is Source.PLATFORM
    assert DIAGNOSTICS in text


def test_a_killed_driver_pod_tells_its_exit_code_and_its_log(monkeypatch):
    kube = pytest.importorskip("airflow.providers.cncf.kubernetes.kube_client")
    ended = SimpleNamespace(reason="OOMKilled", exit_code=137, message=None)
    status = SimpleNamespace(name="spark-kubernetes-driver", state=SimpleNamespace(terminated=ended))
    client = SimpleNamespace(
        read_namespaced_pod=lambda *_: SimpleNamespace(status=SimpleNamespace(container_statuses=[status])),
        read_namespaced_pod_log=lambda *_, **__: SimpleNamespace(data=HEAP_OOM.encode()),
    )
    monkeypatch.setattr(kube, "get_kube_client", lambda: client)
    hook = SimpleNamespace(_kubernetes_driver_pod="daily-driver", _connection={"namespace": "spark"})
    assert list(driver_diagnostics(hook, None)) == [
        (Source.PLATFORM, "container spark-kubernetes-driver terminated: OOMKilled, exit code 137\n"),
        (Source.DRIVER_LOG, HEAP_OOM),
    ]


def test_a_standalone_driver_tells_its_state():
    hook = SimpleNamespace(_driver_id="driver-1", _driver_status="ERROR")
    assert list(driver_diagnostics(hook, None)) == [(Source.PLATFORM, "standalone driver driver-1: ERROR\n")]


def test_a_driver_that_ran_in_the_worker_is_asked_of_nobody():
    assert list(driver_diagnostics(SimpleNamespace(), None)) == []


def test_a_run_that_an_earlier_try_began_is_noticed():
    operator = SparkSubmitOperator(task_id="daily", application="job.py")
    if not hasattr(operator, "submit_job"):
        pytest.skip("this provider's operator takes up no run of an earlier try")
    platform = find_platform(operator)
    platform.tap(operator, lambda _: None)
    assert not platform.reconnected(operator)
    operator.get_job_result("application_1_0001", {})
    assert platform.reconnected(operator)


@pytest.mark.parametrize(
    ("hook", "conf", "told"),
    [
        ({"_is_yarn_cluster_mode": True}, {}, "yarn.resourcemanager.am.max-attempts"),
        ({"_is_yarn_cluster_mode": True}, {"spark.yarn.maxAppAttempts": "3"}, "3 times"),
        ({"_is_yarn_cluster_mode": True}, {"spark.yarn.maxAppAttempts": "1"}, None),
        ({"_should_track_driver_status": True}, {"spark.driver.supervise": "true"}, "standalone master"),
        ({}, {"spark.driver.supervise": "true"}, None),
    ],
)
def test_restarts_of_the_driver_by_the_cluster_are_told(hook, conf, told):
    operator = SparkSubmitOperator(task_id="daily", application="job.py", conf=conf)
    operator._hook = SimpleNamespace(**hook)
    sentence = find_platform(operator).own_retries(operator)
    assert (sentence is None) == (told is None)
    assert told is None or told in sentence


YARN_ONLY_FOLLOWED = (
    "26/11/24 10:05:00 INFO Client: Application report for application_1700000000000_0001 (state: FINISHED)\n"
    "26/11/24 10:05:00 INFO Client: \n"
    "\t client token: N/A\n"
    "\t diagnostics: User application exited with status 1\n"
    "\t final status: FAILED\n"
    "26/11/24 10:05:00 ERROR Client: Application diagnostics message: User application exited with status 1\n"
    'Exception in thread "main" org.apache.spark.SparkException: Application application_1700000000000_0001 finished '
    "with failed status\n"
)


@pytest.mark.parametrize(
    "text", [YARN_ONLY_FOLLOWED, "stderr: \n\nYARN Diagnostics: \nUser application exited with status 1\n"]
)
def test_what_yarn_says_of_every_pyspark_program_that_fails_stops_nothing(text):
    from airflow_autoremed.failures.matching.classify import classify_texts
    from airflow_autoremed.failures.rules.loading import load_catalogue

    assert classify_texts(load_catalogue(()), [(Source.DRIVER_LOG, text)]).category == "unknown"
