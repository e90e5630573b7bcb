"""``GlueJobOperator``: memory by worker type, the rest by ``--conf``; AWS played at the client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

pytest.importorskip("airflow.providers.amazon")

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Source
from tests.support.aws_hooks import session_of
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

HEAP = "spark.executor.memory"


class TestGlue(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("script_args", "run_job_kwargs")

    def build(self, **conf: str) -> Any:
        chained = " --conf ".join(f"{key}={value}" for key, value in conf.items())
        return GlueJobOperator(
            task_id="daily",
            job_name="daily",
            script_location="s3://b/job.py",
            script_args={"--day": "{{ ds }}", **({"--conf": chained} if chained else {})},
        )

    def test_the_jobs_own_arguments_stay(self, operator, platform):
        platform.write_conf(operator, self.changes)
        assert operator.script_args["--day"] == "{{ ds }}"
        assert not operator.script_args["--conf"].startswith("--conf")


def sized(worker, **conf):
    operator = TestGlue().build(**conf)
    operator.run_job_kwargs = {"WorkerType": worker, "NumberOfWorkers": 10}
    return operator


@pytest.mark.parametrize(
    ("worker", "changes", "larger"),
    [
        ("G.1X", {HEAP: "20g"}, "G.2X"),
        ("G.1X", {HEAP: "11g"}, "G.2X"),
        ("G.2X", {HEAP: "70g"}, "G.8X"),
        ("G.8X", {HEAP: "500g"}, "G.8X"),
        ("G.2X", {HEAP: "4g"}, "G.2X"),
        ("G.1X", {"spark.executor.memoryOverhead": "3g"}, "G.2X"),
        ("G.1X", {"spark.driver.memory": "20g"}, "G.2X"),
    ],
)
def test_a_need_of_memory_is_a_larger_worker(worker, changes, larger):
    operator = sized(worker)
    before = operator.run_job_kwargs
    find_platform(operator).write_conf(operator, changes)
    assert operator.run_job_kwargs == {"WorkerType": larger, "NumberOfWorkers": 10}
    assert before["WorkerType"] == worker
    assert "--conf" not in operator.script_args


def test_the_workers_memory_is_what_is_declared():
    operator = sized("G.1X", **{"spark.sql.shuffle.partitions": "20"})
    assert find_platform(operator).read_conf(operator) == {
        HEAP: "10g",
        "spark.driver.memory": "10g",
        "spark.sql.shuffle.partitions": "20",
    }


class Aws:
    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.exceptions = SimpleNamespace(ClientError=ClientError)

    def get_job_run(self, **_):
        return {"JobRun": {"JobRunState": "FAILED", "ErrorMessage": "Error Category: OUT_OF_MEMORY_ERROR"}}

    def get_log_events(self, *, logGroupName, **_):
        if not logGroupName.endswith("error"):
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetLogEvents")
        return {"events": [{"message": line} for line in HEAP_OOM.splitlines()]}

    def client(self, _):
        return self

    def initialize_job(self, script_args, run_kwargs):
        self.started.append({"args": script_args, **run_kwargs})
        return {"JobRunId": f"jr_{len(self.started)}"}


def test_a_job_that_ran_out_of_heap_is_run_again_on_a_larger_worker(monkeypatch, spark_submit):
    from airflow.exceptions import AirflowException

    spark_submit("", cured_by="--never")
    aws = Aws()

    def completion(*_):
        raise AirflowException("Exiting Job jr_1 Run State: FAILED")

    hook = SimpleNamespace(
        **vars(session_of(aws)), initialize_job=aws.initialize_job, job_completion=completion
    )
    monkeypatch.setattr(GlueJobOperator, "hook", hook, raising=False)
    monkeypatch.setattr(
        GlueJobOperator, "_set_job_run_id", lambda self, _, run: setattr(self, "_job_run_id", run)
    )
    monkeypatch.setattr(GlueJobOperator, "upload_etl_script_to_s3", lambda _: None, raising=False)
    monkeypatch.setattr(
        GlueJobOperator,
        "execute",
        lambda self, context: self.poll_until_complete(self.submit_job(context), context),
    )
    ti = TaskInstance(remediate(sized("G.1X"), limits={"max_container_memory": "100g"}))
    assert ti.run().decision.action is RetryAction.RETRY
    ti.run()
    assert [each["WorkerType"] for each in aws.started] == ["G.1X", "G.2X"]


def test_what_glue_knows_of_a_failed_run_is_read_also_after_a_deferral(monkeypatch):
    aws = Aws()
    monkeypatch.setattr(GlueJobOperator, "hook", session_of(aws), raising=False)
    operator = sized("G.1X")
    platform = find_platform(operator)
    found = list(platform.diagnostics(operator, RuntimeError("Error in glue job: {'run_id': 'jr_ab12'}")))
    assert found[0] == (Source.PLATFORM, "Error Category: OUT_OF_MEMORY_ERROR\n")
    assert found[1] == (Source.DRIVER_LOG, HEAP_OOM)
    assert list(platform.diagnostics(operator, RuntimeError("no idea"))) == []


def test_the_platforms_own_retries_are_told():
    operator = sized("G.1X")
    assert find_platform(operator).own_retries(operator) is None
    operator.retry_limit = 2
    assert "2 times" in find_platform(operator).own_retries(operator)
