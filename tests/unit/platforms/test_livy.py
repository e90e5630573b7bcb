"""``LivyOperator``: the real operator and hook, with Livy's REST API played at the level of HTTP."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("airflow.providers.apache.livy")

from airflow.providers.apache.livy.hooks.livy import LivyHook
from airflow.providers.apache.livy.operators.livy import LivyOperator
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.history import Store
from airflow_autoremed.platforms import find_platform
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, TaskInstance


class TestLivy(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("spark_params",)

    def build(self, **conf: str) -> Any:
        return LivyOperator(
            task_id="daily",
            file="job.py",
            args=["{{ ds }}"],
            executor_memory=conf.pop("spark.executor.memory", None),
            executor_cores=conf.pop("spark.executor.cores", None),
            conf=conf,
        )


class Livy:
    """Livy's batches: each fails with *log* unless its body says *cured_by*."""

    def __init__(self, log: str, cured_by: str) -> None:
        self.lines, self.cured_by = log.splitlines(), cured_by
        self.bodies: list[dict[str, Any]] = []
        self.broken_log = False

    def __call__(self, hook: Any, endpoint: str, method: str = "GET", data: Any = None, **_: Any) -> Any:
        """Response shapes: Livy's REST API documentation, POST /batches, GET /batches/{id}/state and /log."""
        if method == "POST":
            self.bodies.append(json.loads(data))
            return self.answer({"id": len(self.bodies), "state": "starting"})
        batch = int(endpoint.split("/batches/")[1].split("/")[0])
        if endpoint.endswith("/state"):
            healthy = self.cured_by in json.dumps(self.bodies[batch - 1])
            return self.answer({"id": batch, "state": "success" if healthy else "dead"})
        if endpoint.endswith("/log"):
            if self.broken_log:
                raise OSError("Livy is gone")
            lines = self.lines[data["from"] : data["from"] + data["size"]]
            return self.answer({"id": batch, "from": data["from"], "total": len(self.lines), "log": lines})
        return self.answer({"id": batch, "appId": "application_1_0001"})

    @staticmethod
    def answer(value: dict[str, Any]) -> Any:
        return SimpleNamespace(json=lambda: value, text=json.dumps(value), raise_for_status=lambda: None)


@pytest.fixture
def livy(monkeypatch, tmp_path):
    def install(log: str, cured_by: str = "nothing cures this") -> Livy:
        api = Livy(log, cured_by)
        monkeypatch.setattr(LivyHook, "run_method", lambda hook, *args, **kwargs: api(hook, *args, **kwargs))
        monkeypatch.setattr(LivyHook, "get_conn", lambda hook, *args, **kwargs: None)
        monkeypatch.setenv("AIRFLOW_CONN_LIVY_DEFAULT", '{"conn_type": "livy", "host": "livy"}')
        monkeypatch.setenv("FAKE_SPARK_ARGV", str(tmp_path / "argv"))
        monkeypatch.setattr("airflow.providers.apache.livy.operators.livy.time.sleep", lambda seconds: None)
        return api

    return install


def operator(**kwargs: Any) -> LivyOperator:
    arguments = {"task_id": "daily", "file": "job.py", "executor_memory": "1g", "polling_interval": 1}
    return LivyOperator(**{**arguments, "retries": 3, "durable": False, **kwargs})


def test_a_batch_that_ran_out_of_heap_is_submitted_again_with_more(livy):
    api = livy(HEAP_OOM, cured_by='"executorMemory": "2g"')
    ti = TaskInstance(remediate(operator()))
    assert ti.run().decision.action is RetryAction.RETRY
    assert ti.run().error is None
    assert [body["executorMemory"] for body in api.bodies] == ["1g", "2g"]


def test_a_batch_that_is_doomed_is_stopped_on_its_first_try(livy):
    livy(MISSING_TABLE)
    assert TaskInstance(remediate(operator())).run().decision.action is RetryAction.FAIL


def test_a_livy_that_has_lost_the_log_is_left_to_airflow(livy):
    livy(HEAP_OOM).broken_log = True
    outcome = TaskInstance(remediate(operator())).run()
    assert outcome.decision.action is RetryAction.DEFAULT
    assert "Livy is gone" in str(outcome.error)


def test_the_end_of_a_very_long_log_is_read_in_pages(livy):
    quiet = "26/11/24 10:00:00 INFO DAGScheduler: quiet\n" * 30_000
    livy(quiet + HEAP_OOM)
    assert TaskInstance(remediate(operator())).run().decision.action is RetryAction.RETRY


def test_a_deferred_batch_is_decided_about_when_its_trigger_reports_the_failure(livy):
    livy(HEAP_OOM)
    task = operator(deferrable=True)
    platform = find_platform(task)
    error = RuntimeError("Batch 1 did not succeed with dead")
    assert any("Java heap space" in text for _, text in platform.diagnostics(task, error))
    assert list(platform.diagnostics(task, RuntimeError("something else"))) == []


def test_a_batch_of_an_earlier_try_that_was_taken_up_is_recorded_as_unpatched(
    livy, airflow_home, monkeypatch
):
    api = livy(HEAP_OOM, cured_by='"executorMemory": "2g"')
    ti = TaskInstance(remediate(operator(durable=True)))
    ti.run()
    api.cured_by = "job.py"

    def reconnect(self: Any, context: Any) -> Any:
        """What ResumableJobMixin does when the state store knows of an active run."""
        self.poll_until_complete(1, context)
        return self.get_job_result(1, context)

    monkeypatch.setattr(LivyOperator, "execute_resumable", reconnect)
    assert ti.run().error is None
    second = Store(f"sqlite:///{airflow_home}/autoremed.db").one("shop", "manual__1", "daily", -1)[1]
    assert (second.patched, second.effective["spark.executor.memory"]) == (False, "1g")


def test_a_mapped_batch_can_be_opted_in():
    from airflow.sdk import DAG

    with DAG("mapped"):
        task = LivyOperator.partial(task_id="m", retries=2, file="job.py").expand(args=[["a"], ["b"]])
    assert remediate(task) is task
