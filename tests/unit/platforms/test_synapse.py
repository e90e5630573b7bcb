"""``AzureSynapseRunSparkBatchOperator``: the batch of the client library; Azure played at the client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("airflow.providers.microsoft.azure")

from airflow.providers.microsoft.azure.operators.synapse import AzureSynapseRunSparkBatchOperator
from airflow.sdk import RetryAction
from azure.synapse.spark.models import SparkBatchJobOptions

from airflow_autoremed import remediate
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Source
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

HEAP = "spark.executor.memory"


class TestSynapse(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("payload",)

    def build(self, **conf: str) -> Any:
        return AzureSynapseRunSparkBatchOperator(
            task_id="daily",
            spark_pool="pool",
            payload=SparkBatchJobOptions(
                name="daily",
                file="abfss://b/job.py",
                executor_memory=conf.pop(HEAP, None),
                executor_cores=int(conf.pop("spark.executor.cores", 0)) or None,
                configuration=conf or None,
            ),
        )

    def seen(self, operator: Any, *, everything: bool = False) -> dict[str, str]:
        found = super().seen(operator, everything=everything)
        return {**found, "payload": str(operator.payload)} if everything else found

    def test_numbers_stay_numbers(self, operator, platform):
        platform.write_conf(operator, {"spark.executor.cores": "1"})
        assert operator.payload.executor_cores == 1


class Azure:
    def __init__(self) -> None:
        self.submitted: list[Any] = []
        self.spark_batch = self

    def run_spark_job(self, payload):
        self.submitted.append(payload)
        return SimpleNamespace(id=7)

    def wait_for_job_run_status(self, **_):
        return False

    def get_conn(self):
        return self

    def get_spark_batch_job(self, **_):
        return SimpleNamespace(
            errors=[SimpleNamespace(error_code="SparkJobFailed", message="Application failed")],
            log_lines=HEAP_OOM.splitlines(),
        )


def test_a_batch_that_ran_out_of_heap_is_submitted_again_with_more(monkeypatch, spark_submit):
    spark_submit("", cured_by="--never")
    azure = Azure()
    monkeypatch.setattr(AzureSynapseRunSparkBatchOperator, "hook", azure)
    ti = TaskInstance(remediate(TestSynapse().build(**{HEAP: "2g"})))
    assert ti.run().decision.action is RetryAction.RETRY
    ti.run()
    assert [each.executor_memory for each in azure.submitted] == ["2g", "4g"]


def test_errors_and_log_lines_are_read(monkeypatch):
    monkeypatch.setattr(AzureSynapseRunSparkBatchOperator, "hook", Azure())
    operator = TestSynapse().build()
    found = list(find_platform(operator).diagnostics(operator, RuntimeError("Job run 7 has failed")))
    assert found == [(Source.PLATFORM, "SparkJobFailed Application failed\n"), (Source.DRIVER_LOG, HEAP_OOM)]
