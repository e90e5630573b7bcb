"""The pages about operators and workers: the table is complete, and the code that they show works."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from airflow_autoremed import platforms
from airflow_autoremed.platforms import find_platform, supported_operators
from airflow_autoremed.platforms.spark_submit import SparkSubmitPlatform
from airflow_autoremed.types import Source
from tests.support.platform_contract import PlatformContract
from tests.support.wire_contract import LateLogs, WireContract

DOCS = Path(__file__).parents[3] / "docs"
OPERATORS = (DOCS / "platforms.md").read_text()
SUBCLASSES = {"DatabricksNotebookOperator", "DatabricksTaskOperator"}
"""Named with the class that both inherit from, which nobody uses by itself."""


def code_of(page: str, name: str) -> str:
    """The Python block of a page that defines *name*."""
    (found,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
        if re.search(rf"^(def|class) {name}\b", block, flags=re.MULTILINE)
    )
    return found


def test_the_table_names_every_operator_with_an_adapter_and_no_other():
    rows = [line.split("|")[1] for line in OPERATORS.splitlines() if line.startswith("| `")]
    named = re.findall(r"`(\w+Operator)`", " ".join(rows))
    assert sorted(named) == sorted({*supported_operators(), *SUBCLASSES})


def test_an_operator_of_the_table_is_in_one_row_with_a_cell_for_each_column():
    table = [line for line in OPERATORS.splitlines() if re.match(r"\| (operator|`\w+Operator`)", line)]
    assert {line.count("|") for line in table} == {8}


def rows() -> dict[str, dict[str, str]]:
    """Column to cell, by each class that a row of the table names."""
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in OPERATORS.splitlines() if "|" in line
    ]
    head = next(cells for cells in table if cells[0] == "operator")
    found = {}
    for cells in table:
        for name in re.findall(r"`(\w+Operator)`", cells[0]):
            found[name] = dict(zip(head, cells, strict=True))
    return found


def over_the_wire() -> dict[str, type[WireContract]]:
    """The suites that run against a stand-in, by the class of the operator."""
    from tests.integration import test_platforms_over_the_wire as suites

    return {
        suite.operator: suite
        for suite in vars(suites).values()
        if isinstance(suite, type) and issubclass(suite, WireContract) and suite.operator
    }


def test_over_the_wire_stands_where_there_is_such_a_suite_and_nowhere_else():
    said = {name for name, row in rows().items() if row["tested"] == "over the wire"}
    inherited = {"DatabricksTaskBaseOperator", "DatabricksNotebookOperator"}
    assert said - inherited == set(over_the_wire())
    assert "DatabricksTaskOperator" in said


def test_what_is_said_of_a_deferral_is_what_its_suite_shows():
    for name, suite in over_the_wire().items():
        said = rows()[name]["after a deferral"] == "the same"
        assert said is (True in suite.deferrable and suite.deferred_evidence), name


def test_logs_that_come_late_are_promised_where_their_suite_shows_them():
    promised = {name for name, row in rows().items() if "comes late" in row["what to know"]}
    assert promised == {name for name, suite in over_the_wire().items() if issubclass(suite, LateLogs)}


def test_submissions_are_called_seen_where_a_process_or_a_suite_shows_them():
    families = {path.rpartition(".")[2]: where for path, where in platforms._FAMILIES.items()}
    shown = set(over_the_wire())
    shown |= {
        name
        for name, where in families.items()
        if isinstance(platforms._ours(where), SparkSubmitPlatform) or name == "DatabricksTaskBaseOperator"
    }
    said = {name for name, row in rows().items() if row["what was submitted"] == "seen"}
    assert said - {"DatabricksNotebookOperator"} == shown


class AcmeSparkOperator:
    """Somebody's operator, as small as the adapter of the page needs it."""

    def __init__(self, properties: dict[str, str] | None) -> None:
        self.properties = properties
        self.main_file = "job.py"
        self.job_id: str | None = None
        self.hook = SimpleNamespace(get_log=lambda job_id: f"log of {job_id}")
        self.existing_cluster: str | None = None
        self.request_id: str | None = "fixed"
        self.restarts = 0


class TestTheAdapterOfThePage(PlatformContract):
    conf_fields: ClassVar[tuple[str, ...]] = ("properties",)

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        module = ModuleType("acme_autoremed")
        exec(code_of(OPERATORS, "AcmeSparkPlatform"), vars(module))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        name, value = re.findall(r'^"acme\.airflow\.operators\.(\w+)" = "(.+)"$', OPERATORS, re.MULTILINE)[0]
        entry = EntryPoint(f"{__name__}.{name}", value, platforms.GROUP)
        monkeypatch.setattr(platforms, "_others", lambda: {entry.name: entry})
        platforms._theirs.cache_clear()
        yield
        platforms._theirs.cache_clear()

    def build(self, **conf: str) -> Any:
        return AcmeSparkOperator(conf or None)

    def test_it_has_forty_lines_at_most(self):
        assert len(code_of(OPERATORS, "AcmeSparkPlatform").splitlines()) <= 40

    def test_the_log_is_read_once_there_is_a_job(self, operator, platform):
        assert list(platform.diagnostics(operator, RuntimeError())) == []
        operator.job_id = "7"
        assert list(platform.diagnostics(operator, RuntimeError())) == [(Source.DRIVER_LOG, "log of 7")]

    def test_a_patched_try_is_a_new_run_or_says_why_not(self, operator, platform):
        assert platform.renew(operator) is None
        assert operator.request_id is None
        operator.existing_cluster = "c"
        assert "exists already" in platform.renew(operator)

    def test_restarts_are_told(self, operator, platform):
        assert platform.own_retries(operator) is None
        operator.restarts = 2
        assert "2 times" in platform.own_retries(operator)

    def test_without_its_entry_point_the_operator_is_left_alone(self, operator, monkeypatch):
        monkeypatch.setattr(platforms, "_others", dict)
        assert find_platform(operator) is None


def worker_memory(name: str) -> Any:
    """The function *name* of the page about worker memory."""
    known: dict[str, Any] = {}
    exec(code_of((DOCS / "worker-memory.md").read_text(), name), known)
    return known[name]


@pytest.mark.parametrize(
    ("operator", "tries", "queue"),
    [
        ("SparkSubmitOperator", None, "default"),
        ("SparkSubmitOperator", 0, "default"),
        ("SparkSubmitOperator", 1, "large"),
        ("BashOperator", 1, "default"),
    ],
)
def test_the_hook_for_task_instances_moves_retries_and_nothing_else(operator, tries, queue):
    ti = SimpleNamespace(operator=operator, try_number=tries, queue="default")
    worker_memory("task_instance_mutation_hook")(ti)
    assert ti.queue == queue


@pytest.mark.parametrize(
    ("task", "tries", "memory"), [("daily", 1, "2Gi"), ("daily", 2, "8Gi"), ("other", 2, "2Gi")]
)
def test_the_hook_for_pods_enlarges_the_worker_of_retries_and_nothing_else(task, tries, memory):
    generator = pytest.importorskip("airflow.providers.cncf.kubernetes.pod_generator")
    k8s = pytest.importorskip("kubernetes.client").models
    given = k8s.V1ResourceRequirements(requests={"memory": "2Gi", "cpu": "1"}, limits={"memory": "2Gi"})
    containers = [
        k8s.V1Container(name="base", resources=given),
        k8s.V1Container(name="sidecar", resources=given),
    ]
    pod = generator.PodGenerator.construct_pod(
        dag_id="sales",
        task_id=task,
        pod_id="sales-daily",
        try_number=tries,
        kube_image="airflow",
        date=None,
        args=[],
        pod_override_object=k8s.V1Pod(spec=k8s.V1PodSpec(containers=[containers[0]])),
        base_worker_pod=k8s.V1Pod(
            metadata=k8s.V1ObjectMeta(),
            spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base"), containers[1]]),
        ),
        namespace="airflow",
        scheduler_job_id="1",
        run_id="manual__1",
    )
    worker_memory("pod_mutation_hook")(pod)
    base, sidecar = pod.spec.containers
    assert (base.name, sidecar.name) == ("base", "sidecar")
    assert base.resources.requests == {"memory": memory, "cpu": "1"}
    assert base.resources.limits == {"memory": memory}
    assert sidecar.resources.limits == {"memory": "2Gi"}


def test_the_hook_for_pods_leaves_pods_of_operators_alone():
    pytest.importorskip("kubernetes.client")
    about = {"dag_id": "sales", "task_id": "daily", "try_number": "2"}
    metadata = SimpleNamespace(labels=about, annotations=about)
    worker_memory("pod_mutation_hook")(SimpleNamespace(metadata=metadata))  # it has no spec to touch


def test_what_cannot_be_patched_on_emr_is_refused_not_rewritten():
    from airflow_autoremed.platforms.emr import EmrContainerPlatform, EmrServerlessPlatform, EmrStepsPlatform

    sql = SimpleNamespace(
        job_driver={"sparkSqlJobDriver": {"entryPoint": "q.sql"}}, client_request_token=None
    )
    assert "sparkSqlJobDriver" in (EmrContainerPlatform().renew(sql) or "")
    hive = SimpleNamespace(job_driver={"hive": {"query": "q.sql"}}, client_request_token="t")
    assert "hive" in (EmrServerlessPlatform().renew(hive) or "")
    spark = SimpleNamespace(job_driver={"sparkSubmit": {"entryPoint": "job.py"}}, client_request_token="t")
    assert EmrServerlessPlatform().renew(spark) is None
    steps = SimpleNamespace(
        steps=[{"Name": "copy", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["s3-dist-cp"]}}]
    )
    assert "spark-submit" in (EmrStepsPlatform().renew(steps) or "")
