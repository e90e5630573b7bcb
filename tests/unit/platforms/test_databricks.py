"""The Databricks operators: new clusters get the configuration, others are left alone; the API played at the hook."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

pytest.importorskip("airflow.providers.databricks")

from airflow.providers.databricks.operators.databricks import (
    DatabricksNotebookOperator,
    DatabricksRunNowOperator,
    DatabricksSubmitRunOperator,
    DatabricksTaskOperator,
)
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Source
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

HEAP = "spark.executor.memory"


def cluster(conf):
    return {
        "spark_version": "15.4.x-scala2.12",
        "node_type_id": "m5.xlarge",
        "num_workers": 4,
        **({"spark_conf": conf} if conf else {}),
    }


class TestSubmitRunAsJson(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("json",)

    def build(self, **conf: str) -> Any:
        return DatabricksSubmitRunOperator(
            task_id="daily",
            json={
                "new_cluster": cluster(conf),
                "notebook_task": {"notebook_path": "/daily"},
                "idempotency_token": "fixed",
            },
        )

    def test_every_patched_try_has_a_token_of_its_own(self, operator, platform):
        assert platform.renew(operator) is None
        assert operator.json["idempotency_token"] != "fixed"

    def test_the_platforms_own_retries_are_told(self, operator, platform):
        assert platform.own_retries(operator) is None
        operator.json = {**operator.json, "max_retries": 2}
        assert "2 times" in platform.own_retries(operator)


class TestSubmitRunAsArguments(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("new_cluster",)

    def build(self, **conf: str) -> Any:
        return DatabricksSubmitRunOperator(
            task_id="daily", new_cluster=cluster(conf), spark_python_task={"python_file": "dbfs:/job.py"}
        )


class TestSubmitRunOfTasks(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("tasks",)

    def build(self, **conf: str) -> Any:
        return DatabricksSubmitRunOperator(
            task_id="daily",
            tasks=[
                {"task_key": "a", "new_cluster": cluster(conf), "notebook_task": {"notebook_path": "/a"}},
                {"task_key": "b", "existing_cluster_id": "x", "notebook_task": {"notebook_path": "/b"}},
            ],
        )

    def test_a_task_on_a_cluster_that_exists_stays(self, operator, platform):
        before = operator.tasks[1]
        platform.write_conf(operator, self.changes)
        assert operator.tasks[1] == before


class TestSubmitRunOfJobClusters(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("json",)

    def build(self, **conf: str) -> Any:
        return DatabricksSubmitRunOperator(
            task_id="daily",
            json={
                "job_clusters": [{"job_cluster_key": "c", "new_cluster": cluster(conf)}],
                "tasks": [
                    {"task_key": "a", "job_cluster_key": "c", "notebook_task": {"notebook_path": "/a"}}
                ],
            },
        )


class TestNotebook(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("new_cluster",)

    def build(self, **conf: str) -> Any:
        return DatabricksNotebookOperator(
            task_id="daily", notebook_path="/daily", source="WORKSPACE", new_cluster=cluster(conf)
        )


class TestTask(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("new_cluster",)

    def build(self, **conf: str) -> Any:
        return DatabricksTaskOperator(
            task_id="daily",
            task_config={"spark_python_task": {"python_file": "dbfs:/job.py"}},
            new_cluster=cluster(conf),
        )


@pytest.mark.parametrize(
    ("operator", "why"),
    [
        (
            DatabricksSubmitRunOperator(
                task_id="t", existing_cluster_id="c", notebook_task={"notebook_path": "/a"}
            ),
            "exists already",
        ),
        (
            DatabricksNotebookOperator(
                task_id="t", notebook_path="/a", source="WORKSPACE", existing_cluster_id="c"
            ),
            "exists already",
        ),
        (DatabricksRunNowOperator(task_id="t", job_id=7), "defined in Databricks"),
    ],
)
def test_what_is_not_the_runs_own_is_not_changed_and_the_reason_is_told(operator, why):
    platform = find_platform(operator)
    assert why in platform.renew(operator)
    assert platform.job(operator)


class Databricks:
    """The hook's calls, in the shapes of the Jobs API 2.1."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []

    def submit_run(self, json):
        self.submitted.append(json)
        return 41 + len(self.submitted)

    def get_run(self, _):
        return {
            "state": {
                "life_cycle_state": "TERMINATED",
                "result_state": "FAILED",
                "state_message": "Workload failed",
            },
            "tasks": [
                {"run_id": 7, "task_key": "ok", "state": {"result_state": "SUCCESS"}},
                {"run_id": 8, "task_key": "bad", "state": {"result_state": "FAILED"}},
            ],
        }

    def get_run_output(self, run_id):
        assert run_id == 8
        return {"error": "Job aborted due to stage failure", "error_trace": HEAP_OOM}


def test_a_run_that_ran_out_of_heap_is_submitted_again_with_more_and_another_token(monkeypatch, spark_submit):
    from airflow.exceptions import AirflowException

    spark_submit("", cured_by="--never")
    api = Databricks()
    monkeypatch.setattr(DatabricksSubmitRunOperator, "_hook", api)

    def execute(self, context):
        self.submit_job(context)
        raise AirflowException(f"daily failed with terminal state, run {self.run_id}")

    monkeypatch.setattr(DatabricksSubmitRunOperator, "execute", execute)
    ti = TaskInstance(remediate(TestSubmitRunAsJson().build(**{HEAP: "2g"})))
    assert ti.run().decision.action is RetryAction.RETRY
    ti.run()
    first, second = api.submitted
    assert first["new_cluster"]["spark_conf"] == {HEAP: "2g"}
    assert second["new_cluster"]["spark_conf"] == {HEAP: "4g"}
    assert first["idempotency_token"] == "fixed" != second["idempotency_token"]


def test_only_failed_tasks_are_read_also_after_a_deferral(monkeypatch):
    operator = TestSubmitRunAsJson().build()
    monkeypatch.setattr(DatabricksSubmitRunOperator, "_hook", Databricks())
    platform = find_platform(operator)
    found = list(platform.diagnostics(operator, RuntimeError("see https://x/jobs/1/runs/42")))
    assert found == [
        (Source.PLATFORM, "Workload failed\n"),
        (Source.PLATFORM, "Job aborted due to stage failure\n"),
        (Source.PLATFORM, f"{HEAP_OOM}\n"),
    ]
    assert list(platform.diagnostics(operator, RuntimeError("no idea"))) == []
