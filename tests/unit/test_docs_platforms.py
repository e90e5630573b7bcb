"""The page about operators: it names every operator that has an adapter, and its example of an adapter works."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_autoremed.platforms import Platform, supported_operators
from airflow_autoremed.types import Source

PAGE = (Path(__file__).parents[2] / "docs" / "platforms.md").read_text()
ELSEWHERE = {
    # Names of the page that stand for classes with other names in the code.
    "DatabricksTaskBaseOperator": "DatabricksTaskOperator",
    "_PySparkDecoratedOperator": "PySparkOperator",
}


def test_the_table_names_every_operator_with_an_adapter_and_no_other():
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+Operator)`", "".join(rows)))
    wanted = {ELSEWHERE.get(name, name) for name in supported_operators()} | {"DatabricksNotebookOperator"}
    assert named == wanted


def test_the_adapter_of_the_page_reads_and_writes_in_forty_lines():
    code = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)[-1]
    assert len(code.splitlines()) <= 40
    known: dict[str, Any] = {}
    exec(code, known)
    platform = known["AcmeSparkPlatform"]()
    assert isinstance(platform, Platform)
    hook = SimpleNamespace(get_log=lambda job: f"log of {job}")
    operator = SimpleNamespace(
        properties={"spark.executor.memory": "4g", "mine": 1}, main_file="job.py", job_id="7", hook=hook
    )
    assert platform.read_conf(operator)["spark.executor.memory"] == "4g"
    for _ in range(2):
        platform.write_conf(operator, {"spark.executor.memory": "8g"})
        assert platform.read_conf(operator) == {"spark.executor.memory": "8g", "mine": "1"}
    assert platform.job(operator) == {"application": "job.py"}
    assert list(platform.diagnostics(operator, RuntimeError())) == [(Source.DRIVER_LOG, "log of 7")]


def test_the_hook_of_the_worker_memory_page_moves_retries_and_nothing_else():
    page = (Path(__file__).parents[2] / "docs" / "worker-memory.md").read_text()
    known: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, flags=re.S)[0], known)
    hook = known["task_instance_mutation_hook"]
    for operator, tries, queue in (
        ("SparkSubmitOperator", 0, "default"),
        ("SparkSubmitOperator", 1, "large"),
        ("BashOperator", 1, "default"),
    ):
        ti = SimpleNamespace(operator=operator, try_number=tries, queue="default")
        hook(ti)
        assert ti.queue == queue
