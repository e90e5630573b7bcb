"""EMR on EC2, Serverless and on EKS: the provider's operators, with AWS played at the client."""

from __future__ import annotations

import gzip
import io
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.sdk import RetryAction
from botocore.exceptions import ClientError

pytest.importorskip("airflow.providers.amazon")

from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrContainerOperator,
    EmrServerlessStartJobOperator,
)

from airflow_autoremed import remediate
from airflow_autoremed.airflow.opt_in.attach import is_attached
from airflow_autoremed.platforms import arguments, find_platform
from airflow_autoremed.types import Source
from tests.support.aws_hooks import session_of
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM, TaskInstance

HEAP = "spark.executor.memory"


def steps(conf):
    args = ["spark-submit", "--deploy-mode", "cluster"]
    for key, value in conf.items():
        args += ["--executor-cores", value] if key == "spark.executor.cores" else ["--conf", f"{key}={value}"]
    return [
        {
            "Name": "copy",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["s3-dist-cp", "--src", "a"]},
        },
        {
            "Name": "daily",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [*args, "s3://b/job.py", "--day", "{{ ds }}"],
            },
        },
    ]


class TestSteps(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("steps",)

    def build(self, **conf: str) -> Any:
        return EmrAddStepsOperator(task_id="daily", job_flow_id="j-1", steps=steps(conf))

    def test_steps_that_run_no_spark_and_the_jobs_own_arguments_stay(self, operator, platform):
        platform.write_conf(operator, self.changes)
        assert operator.steps[0] == steps({})[0]
        assert operator.steps[1]["HadoopJarStep"]["Args"][-3:] == ["s3://b/job.py", "--day", "{{ ds }}"]
        assert operator.steps[1]["HadoopJarStep"]["Args"][0] == "spark-submit"

    def test_steps_as_text_are_read_as_the_operator_reads_them(self):
        operator = self.build(**self.declared())
        operator.steps = str(operator.steps)
        platform = find_platform(operator)
        platform.write_conf(operator, self.changes)
        assert platform.read_conf(operator)[HEAP] == "3g"


class TestServerless(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("job_driver",)

    def build(self, **conf: str) -> Any:
        words = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
        return EmrServerlessStartJobOperator(
            task_id="daily",
            application_id="app",
            execution_role_arn="role",
            job_driver={
                "sparkSubmit": {"entryPoint": "s3://b/job.py", "sparkSubmitParameters": " ".join(words)}
            },
            configuration_overrides={
                "applicationConfiguration": [
                    {"classification": "spark-defaults", "properties": {"spark.a": "1"}}
                ]
            },
            client_request_token="fixed",
        )

    def test_every_patched_try_has_a_token_of_its_own(self, operator, platform):
        assert platform.renew(operator) is None
        assert operator.client_request_token != "fixed"

    def test_the_platforms_own_retries_are_told(self, operator, platform):
        assert platform.own_retries(operator) is None
        operator.config = {"retryPolicy": {"maxAttempts": 3}}
        assert "3 times" in platform.own_retries(operator)


class TestContainers(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("job_driver",)

    def build(self, **conf: str) -> Any:
        words = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
        return EmrContainerOperator(
            task_id="daily",
            name="daily",
            virtual_cluster_id="vc",
            execution_role_arn="role",
            release_label="emr-7.0.0-latest",
            job_driver={
                "sparkSubmitJobDriver": {
                    "entryPoint": "s3://b/job.py",
                    "sparkSubmitParameters": " ".join(words),
                }
            },
        )

    def test_only_a_fixed_token_is_replaced(self, operator, platform):
        assert platform.renew(operator) is None
        assert operator.client_request_token is None
        operator.client_request_token = "fixed"
        platform.renew(operator)
        assert operator.client_request_token not in (None, "fixed")


class Aws:
    """The calls of the three operators, in the shapes that the provider's hooks read."""

    def __init__(self, log: str = HEAP_OOM, details: str = "Job failed") -> None:
        self.log, self.details = log, details
        self.started: list[dict[str, Any]] = []
        self.exceptions = SimpleNamespace(ClientError=ClientError)

    def get_application(self, **_):
        return {"application": {"state": "STARTED"}}

    def start_job_run(self, **arguments):
        self.started.append(arguments)
        return {"jobRunId": "00abc", "id": "00abc", "ResponseMetadata": {"HTTPStatusCode": 200}}

    def get_job_run(self, **_):
        return {
            "jobRun": {
                "state": "FAILED",
                "stateDetails": self.details,
                "configurationOverrides": {
                    "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://logs/x/"}}
                },
            }
        }

    def describe_job_run(self, **_):
        return {
            "jobRun": {
                "state": "FAILED",
                "failureReason": "USER_ERROR",
                "stateDetails": self.details,
                "configurationOverrides": self.get_job_run()["jobRun"]["configurationOverrides"],
            }
        }

    def describe_step(self, ClusterId, StepId):
        details = {"Reason": "Unknown Error.", "LogFile": f"s3://logs/{ClusterId}/steps/{StepId}/"}
        return {"Step": {"Id": StepId, "Status": {"State": "FAILED", "FailureDetails": details}}}

    def get_object(self, Bucket, Key):
        if not Key.endswith("stderr.gz"):
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(gzip.compress(self.log.encode()))}

    def list_objects_v2(self, **_):
        return {"Contents": [{"Key": "x/vc/jobs/00abc/containers/spark-00abc/spark-00abc-driver/stderr.gz"}]}


def served(monkeypatch, operator_class, aws):
    hook = session_of(aws)
    hook.get_waiter = lambda *_a, **_k: None
    monkeypatch.setattr(operator_class, "hook", hook, raising=False)
    return hook


def test_a_serverless_job_that_ran_out_of_heap_is_submitted_again_with_more(monkeypatch, spark_submit):
    from airflow.exceptions import AirflowException

    spark_submit(HEAP_OOM, cured_by="--never")
    aws = Aws()
    served(monkeypatch, EmrServerlessStartJobOperator, aws)
    monkeypatch.setattr(EmrServerlessStartJobOperator, "persist_links", lambda *_: None)

    def failing(**_):
        raise AirflowException("Serverless Job failed: FAILED")

    monkeypatch.setattr("airflow.providers.amazon.aws.operators.emr.wait", failing)
    ti = TaskInstance(remediate(TestServerless().build(**{HEAP: "2g"})))
    first = ti.run()
    assert first.decision.action is RetryAction.RETRY
    ti.run()
    one, two = (call["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"].split() for call in aws.started)
    assert arguments.read(one) == {HEAP: "2g"}
    assert arguments.read(two)[HEAP] == "4g"
    assert aws.started[0]["clientToken"] == "fixed" != aws.started[1]["clientToken"]


def test_a_doomed_serverless_job_is_stopped_on_its_first_try(monkeypatch, spark_submit):
    from airflow.exceptions import AirflowException

    from tests.support.tasks import MISSING_TABLE

    spark_submit("", cured_by="--never")
    served(monkeypatch, EmrServerlessStartJobOperator, Aws(log=MISSING_TABLE))
    monkeypatch.setattr(EmrServerlessStartJobOperator, "persist_links", lambda *_: None)
    monkeypatch.setattr(
        "airflow.providers.amazon.aws.operators.emr.wait",
        lambda **_: (_ for _ in ()).throw(AirflowException("Serverless Job failed")),
    )
    ti = TaskInstance(remediate(TestServerless().build()))
    assert ti.run().decision.action is RetryAction.FAIL


def test_what_aws_knows_of_a_failed_run_is_read(monkeypatch):
    aws = Aws(details="Container failed with exit code 137")
    for operator, expected in (
        (TestSteps().build(), "Unknown Error."),
        (TestServerless().build(), "exit code 137"),
        (TestContainers().build(), "USER_ERROR"),
    ):
        served(monkeypatch, type(operator), aws)
        found = list(
            find_platform(operator).diagnostics(
                operator, RuntimeError("'job_id': '00abcdefghij' s-2ABCDEFGHIJ")
            )
        )
        assert expected in found[0][1]
        assert found[0][0] is Source.PLATFORM
        assert (Source.DRIVER_LOG, HEAP_OOM) in found


def test_mapped_forms_are_accepted():
    mapped = EmrAddStepsOperator.partial(task_id="m", job_flow_id="j-1").expand(steps=[steps({}), steps({})])
    remediate(mapped)
    assert is_attached(mapped)
