"""A task of the real SparkSubmitOperator, run try by try with the order of calls that Airflow's task runner has.

``spark-submit`` is a shell script that prints a log and exits, so no JVM and no scheduler is started.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before Airflow is imported anywhere: its own operators refuse to be executed outside a task runner otherwise.
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
# Before scikit-learn is: two test processes that each train on every core wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def spark_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a ``spark-submit`` that prints *log* and fails unless its arguments contain *cured_by*."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SPARK_ARGV", str(tmp_path / "argv"))
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[1]"}')

    def install(log: str, cured_by: str = "nothing cures this") -> None:
        (tmp_path / "log").write_text(log)
        script = binaries / "spark-submit"
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$@" > {tmp_path}/argv\n'
            f'case "$*" in *"{cured_by}"*) echo done; exit 0;; esac\n'
            f"cat {tmp_path}/log\n"
            # Spark's shutdown chatter pushes the cause out of the 20 lines the hook keeps.
            'i=0; while [ $i -lt 25 ]; do echo "26/11/24 10:00:07 INFO ShutdownHookManager: Deleting $i"; i=$((i+1)); done\n'
            "exit 1\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    return install


@pytest.fixture
def spark_task() -> Callable[..., Any]:
    """Build a task of the real SparkSubmitOperator."""
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    def build(**kwargs: Any) -> Any:
        arguments: dict[str, Any] = {"task_id": "daily", "application": "job.py", "retries": 3, **kwargs}
        return SparkSubmitOperator(**arguments)

    return build
