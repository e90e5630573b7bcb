"""Dataproc jobs and batches: the provider's operators, with Google played at the hook."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("airflow.providers.google")

from airflow.providers.google.cloud.operators.dataproc import (
    DataprocCreateBatchOperator,
    DataprocSubmitJobOperator,
)
from airflow.sdk import RetryAction
from google.cloud.dataproc_v1 import Batch, Job

from airflow_autoremed import remediate
from airflow_autoremed.platforms import dataproc, find_platform
from airflow_autoremed.types import Source
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

HEAP = "spark.executor.memory"


class TestJob(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("job",)

    def build(self, **conf: str) -> Any:
        return DataprocSubmitJobOperator(
            task_id="daily",
            region="europe-west1",
            project_id="p",
            job={
                "reference": {"job_id": "daily"},
                "placement": {"cluster_name": "c"},
                "pyspark_job": {"main_python_file_uri": "gs://b/job.py", "properties": conf},
            },
            request_id="fixed",
        )

    def test_ids_that_are_fixed_become_others(self, operator, platform):
        assert platform.renew(operator) is None
        assert operator.request_id != "fixed"
        assert operator.job["reference"]["job_id"].startswith("daily-")
        assert operator.job["pyspark_job"]["properties"] == self.declared()

    def test_a_job_of_another_kind_or_without_a_worker_is_left_alone(self, operator, platform):
        operator.start_from_trigger = True
        assert "triggerer" in platform.renew(operator)
        operator.start_from_trigger = False
        operator.job = {"hive_job": {}}
        assert "not a Spark job" in platform.renew(operator)

    def test_the_platforms_own_restarts_are_told(self, operator, platform):
        assert platform.own_retries(operator) is None
        operator.job = {**dataproc._as_dict(operator.job), "scheduling": {"max_failures_per_hour": 4}}
        assert "4 times" in platform.own_retries(operator)


class TestJobAsMessage(TestJob):
    """The same as a message of the client library."""

    def build(self, **conf: str) -> Any:
        operator = super().build(**conf)
        operator.job = Job(operator.job)
        return operator

    def seen(self, operator: Any, *, everything: bool = False) -> dict[str, str]:
        found = super().seen(operator, everything=everything)
        return {**found, "job": str(operator.job)} if everything else found


class TestBatch(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("batch",)

    def build(self, **conf: str) -> Any:
        return DataprocCreateBatchOperator(
            task_id="daily",
            region="europe-west1",
            project_id="p",
            batch_id="daily-sales",
            request_id="fixed",
            batch={
                "pyspark_batch": {"main_python_file_uri": "gs://b/job.py"},
                "runtime_config": {"version": "2.2", "properties": conf},
            },
        )

    def test_ids_that_are_fixed_become_others_within_the_length_allowed(self, operator, platform):
        operator.batch_id = "d" * 63
        assert platform.renew(operator) is None
        assert operator.request_id != "fixed"
        assert len(operator.batch_id) == 63
        assert operator.batch_id != "d" * 63


class TestBatchAsMessage(TestBatch):
    def build(self, **conf: str) -> Any:
        operator = super().build(**conf)
        operator.batch = Batch(operator.batch)
        return operator

    def seen(self, operator: Any, *, everything: bool = False) -> dict[str, str]:
        found = super().seen(operator, everything=everything)
        return {**found, "batch": str(operator.batch)} if everything else found


class Google:
    """The hook's calls, in the shapes of the client library."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []
        self.project_id = "p"

    def submit_job(self, **arguments):
        self.submitted.append(arguments)
        return SimpleNamespace(reference=SimpleNamespace(job_id="job-1"))

    def wait_for_job(self, **_):
        from airflow.exceptions import AirflowException

        raise AirflowException("Job failed:\njob-1")

    def get_job(self, **_):
        return SimpleNamespace(
            status=SimpleNamespace(details="Job failed with message [Task failed]"),
            driver_output_resource_uri="gs://logs/driveroutput",
        )


def test_a_job_that_ran_out_of_heap_is_submitted_again_with_more_and_another_id(monkeypatch, spark_submit):
    spark_submit("", cured_by="--never")
    google = Google()
    monkeypatch.setattr("airflow.providers.google.cloud.operators.dataproc.DataprocHook", lambda **_: google)
    monkeypatch.setattr(
        "airflow.providers.google.cloud.operators.dataproc.DataprocJobLink.persist", lambda **_: None
    )
    monkeypatch.setattr(dataproc, "_output", lambda *_: HEAP_OOM)
    ti = TaskInstance(remediate(TestJob().build(**{HEAP: "2g"})))
    assert ti.run().decision.action is RetryAction.RETRY
    ti.run()
    first, second = google.submitted
    assert first["job"]["pyspark_job"]["properties"] == {HEAP: "2g"}
    assert second["job"]["pyspark_job"]["properties"] == {HEAP: "4g"}
    assert first["request_id"] == "fixed" != second["request_id"]
    assert first["job"]["reference"]["job_id"] == "daily" != second["job"]["reference"]["job_id"]


def test_what_google_knows_of_a_failed_job_is_read_also_after_a_deferral(monkeypatch):
    monkeypatch.setattr(dataproc, "_output", lambda *_: HEAP_OOM)
    monkeypatch.setattr(dataproc, "_hook", lambda _: Google())
    operator = TestJob().build()
    platform = find_platform(operator)
    found = list(platform.diagnostics(operator, RuntimeError("Job failed: job_id: 'job-1'")))
    assert found == [
        (Source.PLATFORM, "Job failed with message [Task failed]\n"),
        (Source.DRIVER_LOG, HEAP_OOM),
    ]
    assert list(platform.diagnostics(operator, RuntimeError("no idea"))) == []


def test_the_drivers_output_is_read_to_its_end_and_no_other_jobs(monkeypatch):
    pieces = {
        "jobs/1/driveroutput.000000000": b"begins\n",
        "jobs/1/driveroutput.000000001": b"ends\n",
        "jobs/1/driveroutput2/other": b"another job\n",
    }

    class Hook:
        def __init__(self, **_):
            pass

        def list(self, bucket_name, prefix):
            assert bucket_name == "logs"
            return [name for name in pieces if name.startswith(prefix)]

        def download(self, bucket_name, object_name):
            return pieces[object_name]

    monkeypatch.setattr("airflow.providers.google.cloud.hooks.gcs.GCSHook", Hook)
    operator = SimpleNamespace(gcp_conn_id="google", impersonation_chain=None)
    assert dataproc._output(operator, "gs://logs/jobs/1/driveroutput") == "begins\nends\n"
