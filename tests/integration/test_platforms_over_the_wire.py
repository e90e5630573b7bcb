"""Every adapter of a remote platform, over the wire: see :mod:`tests.support.wire_contract`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_autoremed.platforms import find_platform
from tests.support.standins.aws import ROLE, Aws, aws
from tests.support.standins.databricks import databricks
from tests.support.standins.kubernetes import Cluster, kubernetes
from tests.support.standins.livy import livy
from tests.support.standins.scripted import ScriptedSpark
from tests.support.wire_contract import HEAP, LateLogs, WireContract

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def airflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of this machine."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))


class TestLivy(WireContract):
    operator = "LivyOperator"

    @pytest.fixture(autouse=True)
    def standin(self, spark: ScriptedSpark, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with livy(spark) as port:
            connection = {"conn_type": "livy", "host": "127.0.0.1", "port": port, "schema": "http"}
            monkeypatch.setenv("AIRFLOW_CONN_LIVY_DEFAULT", json.dumps(connection))
            yield

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.apache.livy.operators.livy import LivyOperator

        memory = conf.pop(HEAP, None)
        return LivyOperator(
            task_id="daily",
            file="job.py",
            conf=conf,
            executor_memory=memory,
            polling_interval=1,
            deferrable=deferrable,
        )


class _Databricks(WireContract):
    @pytest.fixture(autouse=True)
    def standin(self, spark: ScriptedSpark, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        pytest.importorskip("airflow.providers.databricks")
        with databricks(spark) as port:
            connection = {"conn_type": "databricks", "host": "127.0.0.1", "port": port, "schema": "http"}
            monkeypatch.setenv("AIRFLOW_CONN_DATABRICKS_DEFAULT", json.dumps({**connection, "password": "t"}))
            yield

    def cluster(self, conf: dict[str, str]) -> dict[str, Any]:
        return {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "spark_conf": conf}


class TestDatabricksSubmitRun(_Databricks):
    operator = "DatabricksSubmitRunOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

        return DatabricksSubmitRunOperator(
            task_id="daily",
            new_cluster=self.cluster(conf),
            spark_python_task={"python_file": "file:job.py"},
            polling_period_seconds=1,
            deferrable=deferrable,
            idempotency_token=f"fixed-{deferrable}",
        )


class TestDatabricksTask(_Databricks):
    operator = "DatabricksTaskOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.databricks.operators.databricks import DatabricksTaskOperator

        return DatabricksTaskOperator(
            task_id="daily",
            task_config={"spark_python_task": {"python_file": "file:job.py"}},
            new_cluster=self.cluster(conf),
            polling_period_seconds=1,
            deferrable=deferrable,
        )


class TestSparkKubernetes(WireContract):
    operator = "SparkKubernetesOperator"

    arguments: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def standin(
        self, spark: ScriptedSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        launcher = pytest.importorskip("airflow.providers.cncf.kubernetes.operators.custom_object_launcher")
        with kubernetes(spark, tmp_path) as (self.cluster, config):
            connection = {"conn_type": "kubernetes", "extra": {"namespace": "default"}}
            monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
            monkeypatch.setenv("KUBECONFIG", str(config))
            monkeypatch.setattr(launcher.time, "sleep", _shorter(launcher.time.sleep))
            self.config = config
            yield

    cluster: Cluster
    config: Path

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

        spec = {
            "type": "Python",
            "mainApplicationFile": "local:///job.py",
            "driver": {"cores": 1, "memory": "1g"},
            "executor": {"cores": 1, "memory": conf.pop(HEAP)},
            "sparkConf": {
                key: value for key, value in conf.items() if not key.endswith((".cores", ".memory"))
            },
        }
        return SparkKubernetesOperator(
            task_id="daily",
            namespace="default",
            name="report",
            template_spec={
                "spark": {
                    "apiVersion": "sparkoperator.k8s.io/v1beta2",
                    "kind": "SparkApplication",
                    "metadata": {"name": "report"},
                    "spec": spec,
                }
            },
            kubernetes_conn_id="kubernetes_default",
            config_file=str(self.config),
            deferrable=deferrable,
            **({"poll_interval": 1} | self.arguments),
        )


class TestSparkKubernetesWithoutLogs(TestSparkKubernetes):
    arguments: ClassVar[dict[str, Any]] = {"get_logs": False}


class TestSparkKubernetesThatFailsWithinTheFirstPoll(TestSparkKubernetes):
    """The application has failed when the operator looks at it for the second time."""

    @pytest.fixture(autouse=True)
    def fails_at_once(self, standin: None) -> None:
        self.cluster.queued_s = 0.8


def _shorter(sleep: Any) -> Any:
    return lambda seconds: sleep(min(seconds, 2.0))


@pytest.fixture(scope="module")
def shared() -> Iterator[Aws]:
    """Moto takes two seconds to start: one region for all tests."""
    pytest.importorskip("airflow.providers.amazon")
    pytest.importorskip("aiobotocore")
    with aws(ScriptedSpark()) as region:
        yield region


class _Aws(WireContract):
    region: Aws

    @pytest.fixture(autouse=True)
    def standin(self, shared: Aws, spark: ScriptedSpark, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{shared.port}"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        shared.spark, shared.logs_are_late, shared.in_cluster_mode = spark, False, False
        type(self).region = shared

    def logs_are_late(self) -> None:
        self.region.logs_are_late = True

    def logs_come(self) -> None:
        self.region.put_late()

    @staticmethod
    def words(conf: dict[str, str]) -> list[str]:
        return [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]


class TestEmrSteps(_Aws, LateLogs):
    operator = "EmrAddStepsOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.amazon.aws.operators.emr import EmrAddStepsOperator

        args = ["spark-submit", "--deploy-mode", "cluster", *self.words(conf), "s3://code/job.py"]
        step = {"Name": "daily", "ActionOnFailure": "CONTINUE"}
        return EmrAddStepsOperator(
            task_id="daily",
            job_flow_id=self.region.cluster,
            steps=[{**step, "HadoopJarStep": {"Jar": "command-runner.jar", "Args": args}}],
            wait_for_completion=True,
            deferrable=deferrable,
            waiter_delay=1,
            waiter_max_attempts=60,
        )

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_the_step_of_another_task_that_has_the_same_name_is_never_read(
        self, spark: ScriptedSpark, deferrable: bool
    ) -> None:
        ours = self.attempt(self.build(deferrable=deferrable, **{HEAP: "2g"}), deferrable=deferrable)
        spark.log = "the log of another task\n"
        self.attempt(self.build(deferrable=False, **{HEAP: "2g"}))
        assert "another task" not in ours.evidence()
        assert "Java heap space" in ours.evidence()

    def test_a_step_that_was_cancelled_because_another_failed_is_not_asked(self) -> None:
        operator = self.build(deferrable=False, **{HEAP: "2g"})
        operator.steps = [operator.steps[0], {**operator.steps[0], "Name": "cancelled"}]
        ended = self.attempt(operator)
        assert "Java heap space" in ended.evidence()
        assert ended.evidence().count("Unknown Error.") == 1

    def test_the_drivers_container_is_read_where_the_steps_own_log_names_no_cause(self) -> None:
        self.region.in_cluster_mode = True
        ended = self.attempt(self.build(deferrable=False, **{HEAP: "2g"}))
        assert "Java heap space" in ended.evidence()
        assert "finished with failed status" in ended.evidence()

    def test_without_the_ids_of_its_steps_nothing_is_guessed(self) -> None:
        self.attempt(self.build(deferrable=False, **{HEAP: "2g"}))
        untapped = self.build(deferrable=False, **{HEAP: "2g"})
        platform = find_platform(untapped)
        assert list(platform.diagnostics(untapped, RuntimeError("Waiter StepComplete failed"))) == []

    def test_of_a_packed_log_of_several_parts_the_end_is_read(self, spark: ScriptedSpark) -> None:
        from airflow_autoremed.platforms import aws as reading

        quiet = "26/11/24 10:00:00 INFO TaskSetManager: Finished task\n" * 700_000
        s3 = self.region.client("s3")
        packed = gzip.compress(quiet.encode()) + gzip.compress(spark.log.encode())
        s3.put_object(Bucket="logs", Key="long.gz", Body=packed)
        [(_, text)] = reading.s3_log(s3, "s3n://logs/long.gz")
        assert text.endswith(spark.log)
        assert len(text) <= reading._MOST_LOG
        s3.put_object(Bucket="logs", Key="cut.gz", Body=gzip.compress(spark.log.encode())[:-9])
        [(_, text)] = reading.s3_log(s3, "s3://logs/cut.gz")
        assert "Java heap space" in text
        assert list(reading.s3_log(s3, "s3://logs/not-there.gz")) == []


class TestEmrServerless(_Aws, LateLogs):
    operator = "EmrServerlessStartJobOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

        submit = {"entryPoint": "s3://code/job.py", "sparkSubmitParameters": " ".join(self.words(conf))}
        return EmrServerlessStartJobOperator(
            task_id="daily",
            application_id=self.region.application,
            execution_role_arn=ROLE,
            job_driver={"sparkSubmit": submit},
            configuration_overrides=_TO_S3,
            deferrable=deferrable,
            waiter_delay=1,
            waiter_max_attempts=60,
        )


class TestEmrContainers(_Aws, LateLogs):
    operator = "EmrContainerOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.amazon.aws.operators.emr import EmrContainerOperator

        submit = {"entryPoint": "s3://code/job.py", "sparkSubmitParameters": " ".join(self.words(conf))}
        return EmrContainerOperator(
            task_id="daily",
            name="daily",
            virtual_cluster_id=self.region.virtual_cluster,
            execution_role_arn=ROLE,
            release_label="emr-7.0.0-latest",
            job_driver={"sparkSubmitJobDriver": submit},
            configuration_overrides=_TO_S3,
            deferrable=deferrable,
            poll_interval=1,
            max_polling_attempts=60,
        )


class TestGlue(_Aws):
    operator = "GlueJobOperator"

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

        conf = {key: value for key, value in conf.items() if key != "spark.driver.memory"}
        return GlueJobOperator(
            task_id="daily",
            job_name=f"daily-{deferrable}",
            script_location="s3://code/job.py",
            iam_role_name="spark",
            s3_bucket="code",
            create_job_kwargs={"GlueVersion": "4.0", "NumberOfWorkers": 2, "WorkerType": "G.1X"},
            script_args={"--conf": " --conf ".join(f"{key}={value}" for key, value in conf.items())},
            deferrable=deferrable,
            job_poll_interval=1,
            waiter_delay=1,
            waiter_max_attempts=60,
        )


_TO_S3 = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://logs/app"}}}
