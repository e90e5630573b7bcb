"""EMR steps, EMR Serverless, EMR on EKS and Glue on a moto server, which keeps the APIs, S3 and CloudWatch Logs.

A run that is started ends after a moment as AWS lets it end: failure details in its words, the driver's output where it
puts it, minutes later if :attr:`Aws.logs_are_late`. Client tokens give back the run of before.
"""

from __future__ import annotations

import gzip
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest

from airflow_autoremed.platforms import arguments
from tests.support.standins.scripted import ScriptedSpark

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/spark"
_MESSAGE = 'Exception in thread "main" org.apache.spark.SparkException: Application application_1700000000000_0001 finished with failed status'


@dataclass
class Aws:
    """A region with a cluster, an application and a virtual cluster."""

    spark: ScriptedSpark
    client: Callable[[str], Any]
    port: int
    cluster: str = ""
    application: str = ""
    virtual_cluster: str = ""
    logs_are_late: bool = False
    in_cluster_mode: bool = False
    """Whether the driver of a step runs in a container of YARN, so that the step's own log names no cause."""
    late: list[tuple[str, str]] = field(default_factory=list)

    def put(self, uri: str, text: str) -> None:
        """A packed log on S3, now or with :meth:`put_late`."""
        if self.logs_are_late:
            self.late.append((uri, text))
            return
        bucket, _, key = uri.partition("://")[2].partition("/")
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))

    def put_late(self) -> None:
        """What AWS writes minutes after the end."""
        self.logs_are_late = False
        while self.late:
            self.put(*self.late.pop())


@contextmanager
def aws(spark: ScriptedSpark) -> Iterator[Aws]:
    """A region; needs moto."""
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )

    region = Aws(spark, client, port)
    try:
        with _runs_end(region):
            _set_up(region)
            yield region
    finally:
        server.stop()


def _set_up(region: Aws) -> None:
    s3 = region.client("s3")
    s3.create_bucket(Bucket="logs")
    s3.create_bucket(Bucket="code")
    for name in ("error", "output", "logs-v2"):
        region.client("logs").create_log_group(logGroupName=f"/aws-glue/jobs/{name}")
    region.client("iam").create_role(RoleName="spark", AssumeRolePolicyDocument="{}", Path="/")
    region.cluster = region.client("emr").run_job_flow(
        Name="cluster",
        LogUri="s3n://logs/emr/",
        Instances={
            "MasterInstanceType": "m5.xlarge",
            "InstanceCount": 1,
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        JobFlowRole="r",
        ServiceRole="r",
    )["JobFlowId"]
    region.application = region.client("emr-serverless").create_application(
        name="a", releaseLabel="emr-7.0.0", type="SPARK"
    )["applicationId"]
    region.virtual_cluster = region.client("emr-containers").create_virtual_cluster(
        name="v", containerProvider={"id": "eks", "type": "EKS", "info": {"eksInfo": {"namespace": "n"}}}
    )["id"]


@contextmanager
def _runs_end(region: Aws) -> Iterator[None]:
    from moto.emr import models as emr
    from moto.emrcontainers import models as eks
    from moto.emrserverless import models as serverless
    from moto.glue import models as glue

    add_steps = emr.ElasticMapReduceBackend.add_job_flow_steps
    step_state = emr.Step.status.fget
    glue_dict = glue.FakeJobRun.as_dict

    def add_job_flow_steps(backend: Any, job_flow_id: str, steps: Any) -> Any:
        added = add_steps(backend, job_flow_id, steps)
        _run_steps(region, job_flow_id, list(added))
        return added

    def glue_state(run: Any) -> Any:
        return getattr(run, "own_state", "RUNNING")

    def described_run(run: Any) -> Any:
        error = {"ErrorMessage": run.own_error} if hasattr(run, "own_error") else {}
        return {**glue_dict(run), "LogGroupName": "/aws-glue/jobs", **error}

    changes: list[tuple[Any, str, Any]] = [
        (serverless, "JOB_STATUS", "RUNNING"),
        (eks, "JOB_STATUS", "RUNNING"),
        (
            serverless.EMRServerlessBackend,
            "start_job_run",
            _idempotent(serverless.EMRServerlessBackend, region, _run_serverless),
        ),
        (
            eks.EMRContainersBackend,
            "start_job_run",
            _idempotent(eks.EMRContainersBackend, region, _run_on_eks),
        ),
        (emr.ElasticMapReduceBackend, "add_job_flow_steps", add_job_flow_steps),
        (emr.Step, "status", property(lambda step: {**step_state(step), **getattr(step, "own_details", {})})),
        (glue.FakeJobRun, "advance", lambda run: None),
        (glue.FakeJobRun, "status", property(glue_state, lambda run, value: None)),
        (glue.FakeJobRun, "as_dict", described_run),
        (glue.FakeJob, "start_job_run", _glue_start(glue, region)),
    ]
    patches = [patch.object(*change) for change in changes]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()


def _idempotent(backend: Any, region: Aws, begin: Callable[[Aws, Any], None]) -> Any:
    start = backend.start_job_run
    known: dict[str, Any] = {}

    def start_job_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = kwargs.get("client_token")
        if token not in known:
            known[str(token)] = start(self, *args, **kwargs)
            begin(region, known[str(token)])
        return known[str(token)]

    return start_job_run


def _conf(words: str | list[str]) -> dict[str, str]:
    return arguments.read(shlex.split(words) if isinstance(words, str) else words)


def _log_uri(overrides: Any) -> str:
    monitoring = (overrides or {}).get("monitoringConfiguration") or {}
    return str((monitoring.get("s3MonitoringConfiguration") or {}).get("logUri") or "").rstrip("/")


def _run_steps(region: Aws, cluster: str, steps: list[Any]) -> None:
    if not steps:
        return
    step, *rest = steps
    step.state = "RUNNING"
    place = f"s3://logs/emr/{cluster}"

    def ended(succeeded: bool, output: str) -> None:
        if succeeded:
            step.state = "COMPLETED"
            _run_steps(region, cluster, rest)
            return
        own = output
        if region.in_cluster_mode:
            own = f"INFO Client: Submitting application application_1700000000000_0001\n{_MESSAGE}\n"
            container = (
                f"{place}/containers/application_1700000000000_0001/container_1700000000000_0001_01_000001"
            )
            region.put(f"{container}/stderr.gz", output)
        region.put(f"{place}/steps/{step.id}/stderr.gz", own)
        details = {"Reason": "Unknown Error.", "LogFile": f"{place}/steps/{step.id}/"}
        step.own_details = {"FailureDetails": details}
        for each in rest:
            each.state = "CANCELLED"
        step.state = "FAILED"

    region.spark.run(_conf([str(word) for word in step.args][1:]), ended)


def _run_serverless(region: Aws, run: Any) -> None:
    submit = run.job_driver["sparkSubmit"]

    def ended(succeeded: bool, output: str) -> None:
        uri = _log_uri(run.configuration_overrides)
        if uri:
            place = f"{uri}/applications/{run.application_id}/jobs/{run.id}/SPARK_DRIVER"
            region.put(f"{place}/stderr.gz", output)
        run.state_details = "" if succeeded else "Job failed, please check complete logs. ExitCode: 1."
        run.state = "SUCCESS" if succeeded else "FAILED"

    region.spark.run(_conf(submit.get("sparkSubmitParameters") or ""), ended)


def _run_on_eks(region: Aws, run: Any) -> None:
    submit = run.job_driver["sparkSubmitJobDriver"]

    def ended(succeeded: bool, output: str) -> None:
        uri = _log_uri(run.configuration_overrides)
        if uri:
            place = f"{uri}/{run.virtual_cluster_id}/jobs/{run.id}/containers/spark-{run.id}/spark-{run.id}-driver"
            region.put(f"{place}/stderr.gz", output)
        if not succeeded:
            run.failure_reason, run.state_details = "USER_ERROR", "Job Run failed because of user error"
        run.state = "COMPLETED" if succeeded else "FAILED"

    region.spark.run(_conf(submit.get("sparkSubmitParameters") or ""), ended)


def _glue_start(glue: Any, region: Aws) -> Any:
    start = glue.FakeJob.start_job_run

    def start_job_run(job: Any, *args: Any, **kwargs: Any) -> Any:
        run_id = start(job, *args, **kwargs)
        run = next(each for each in job.job_runs if each.job_run_id == run_id)

        def ended(succeeded: bool, output: str) -> None:
            logs = region.client("logs")
            logs.create_log_stream(logGroupName="/aws-glue/jobs/error", logStreamName=run_id)
            now = int(time.time() * 1000)
            events = [{"timestamp": now + at, "message": line} for at, line in enumerate(output.splitlines())]
            logs.put_log_events(logGroupName="/aws-glue/jobs/error", logStreamName=run_id, logEvents=events)
            if not succeeded:
                run.own_error = "An error occurred while calling o97.count"
            run.own_state = "SUCCEEDED" if succeeded else "FAILED"

        chained = (run.arguments or {}).get("--conf")
        region.spark.run(_conf(f"--conf {chained}" if chained else ""), ended)
        return run_id

    return start_job_run
