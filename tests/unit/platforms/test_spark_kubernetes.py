"""``SparkKubernetesOperator``: the SparkApplication's fields; Kubernetes played at the client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml

pytest.importorskip("airflow.providers.cncf.kubernetes")

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

from airflow_autoremed import remediate
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.types import Source
from tests.support.platform_contract import PlatformContract
from tests.support.tasks import HEAP_OOM

HEAP = "spark.executor.memory"


def application(conf):
    conf = dict(conf)
    executor = {"instances": 2, "labels": {"team": "sales"}}
    if HEAP in conf:
        executor["memory"] = conf.pop(HEAP)
    if "spark.executor.cores" in conf:
        executor["cores"] = int(conf.pop("spark.executor.cores"))
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "daily", "namespace": "spark"},
        "spec": {
            "mainApplicationFile": "local:///job.py",
            "driver": {"serviceAccount": "spark"},
            "executor": executor,
            **({"sparkConf": conf} if conf else {}),
        },
    }


class TestTemplateSpec(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("template_spec", "application_file")

    def build(self, **conf: str) -> Any:
        return SparkKubernetesOperator(task_id="daily", template_spec=application(conf))

    def test_the_rest_of_the_application_stays(self, operator, platform):
        platform.write_conf(operator, self.changes)
        spec = operator.manage_template_specs()["spark"]["spec"]
        assert spec["driver"] == {"serviceAccount": "spark"}
        assert spec["executor"]["labels"] == {"team": "sales"}
        assert (spec["executor"]["memory"], spec["executor"]["memoryOverhead"]) == ("3g", "1g")
        assert spec["executor"]["instances"] == 2
        assert spec["sparkConf"]["spark.sql.shuffle.partitions"] == "800"

    def test_every_patched_try_has_a_name_of_its_own(self, operator, platform):
        operator.random_name_suffix = False
        assert platform.renew(operator) is None
        assert operator.random_name_suffix is True

    def test_the_platforms_own_restarts_are_told(self, operator, platform):
        assert platform.own_retries(operator) is None
        operator.template_spec["spec"]["restartPolicy"] = {"type": "OnFailure", "onFailureRetries": 3}
        assert "3 times" in platform.own_retries(operator)


class TestYaml(TestTemplateSpec):
    """The same as the text of a file."""

    def build(self, **conf: str) -> Any:
        return SparkKubernetesOperator(task_id="daily", application_file=yaml.safe_dump(application(conf)))

    def test_the_platforms_own_restarts_are_told(self):
        operator = self.build()
        assert find_platform(operator).own_retries(operator) is None


class Pods:
    def read_namespaced_pod(self, *_):
        ended = SimpleNamespace(reason="OOMKilled", exit_code=137, message=None)
        status = SimpleNamespace(name="spark-kubernetes-driver", state=SimpleNamespace(terminated=ended))
        return SimpleNamespace(status=SimpleNamespace(container_statuses=[status]))

    def read_namespaced_pod_log(self, *_, **__):
        return SimpleNamespace(data=HEAP_OOM.encode())


def test_how_the_driver_ended_and_its_log_are_read(monkeypatch):
    operator = TestTemplateSpec().build()
    monkeypatch.setattr(SparkKubernetesOperator, "client", Pods())
    platform = find_platform(operator)
    assert list(platform.diagnostics(operator, RuntimeError())) == []
    operator.pod = SimpleNamespace(metadata=SimpleNamespace(name="daily-driver", namespace="spark"))
    found = list(platform.diagnostics(operator, RuntimeError()))
    assert found == [
        (Source.PLATFORM, "container spark-kubernetes-driver terminated: OOMKilled, exit code 137\n"),
        (Source.DRIVER_LOG, HEAP_OOM),
    ]


def test_the_log_is_seen_as_the_operator_reads_it_before_the_pod_is_deleted(monkeypatch):
    operator = TestTemplateSpec().build()
    monkeypatch.setattr(SparkKubernetesOperator, "client", Pods())
    seen = []
    find_platform(operator).tap(operator, seen.append)
    for callback in operator.pod_manager._callbacks:
        callback.progress_callback(line="WARN lost", client=None, mode="sync")
    assert seen == ["WARN lost"]


@pytest.mark.parametrize(("begun_by", "reattached"), [("1", True), ("2", False), (None, False)])
def test_a_driver_of_an_earlier_try_that_is_gone_on_with_is_noticed(monkeypatch, begun_by, reattached):
    labels = {} if begun_by is None else {"try_number": begun_by}
    driver = SimpleNamespace(metadata=SimpleNamespace(name="daily-driver", labels=labels))
    listed = SimpleNamespace(items=[driver])
    client = SimpleNamespace(list_namespaced_pod=lambda *_, **__: listed)
    monkeypatch.setattr(SparkKubernetesOperator, "client", client)
    operator = TestTemplateSpec().build()
    platform = find_platform(operator)
    platform.tap(operator, lambda _: None)
    assert not platform.reconnected(operator)
    ti = SimpleNamespace(dag_id="shop", task_id="daily", run_id="r", map_index=-1, try_number=2)
    context = {"ti": ti, "run_id": "r", "dag": SimpleNamespace()}
    operator.get_or_create_spark_crd(None, context)
    assert platform.reconnected(operator) is reattached
    listed.items.clear()
    assert operator.find_spark_job(context) is None


def test_the_operator_is_accepted_and_what_is_submitted_is_what_was_patched():
    operator = remediate(TestTemplateSpec().build(**{HEAP: "2g"}))
    find_platform(operator).write_conf(operator, {HEAP: "4g"})
    assert operator.template_body["spark"]["spec"]["executor"]["memory"] == "4g"
