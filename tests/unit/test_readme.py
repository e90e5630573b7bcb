"""The log lines in the README are those that the code logs, for real Spark logs of the proof.

After the wording changed: ``AUTOREMED_RENEW_README=1 .venv/bin/python -m pytest tests/unit/test_readme.py`` puts the new
lines into the README.
"""

from __future__ import annotations

import logging
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import remediate
from tests.support.tasks import TaskInstance

README = Path(__file__).parents[2] / "README.md"
LOGS = Path(__file__).parents[2] / "benchmarks" / "results" / "proof-logs.tar.xz"
RENEW = "AUTOREMED_RENEW_README"


def log_of(job: str) -> str:
    """The driver's log of a real job's first attempt."""
    with tarfile.open(LOGS) as logs:
        found = logs.extractfile(f"{job}.log")
        assert found is not None
        return found.read().decode("utf-8")


def block(name: str) -> str:
    (found,) = re.findall(rf"<!-- log: {name} -->\n```text\n(.*?)\n```", README.read_text(), flags=re.S)
    return str(found)


def renew(name: str, lines: str) -> None:
    text = re.sub(
        rf"(<!-- log: {name} -->\n```text\n).*?(\n```)",
        lambda match: match[1] + lines + match[2],
        README.read_text(),
        flags=re.S,
    )
    README.write_text(text)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.INFO, logger="airflow_autoremed")

    def lines() -> str:
        messages = map(logging.LogRecord.getMessage, caplog.records)
        # What a promotion saves depends on how long the attempts took.
        return "\n".join(each for each in messages if "[autoremed]" in each and "promoted" not in each)

    return lines


@pytest.mark.parametrize(
    ("name", "job", "declared", "cured_by", "attempts"),
    [
        ("healed", "skew-1", {"executor_memory": "1g"}, "--executor-memory 2g", 2),
        ("stopped", "no-module", {}, "nothing cures this", 1),
    ],
)
def test_the_readme_shows_what_the_task_log_says(
    name: str,
    job: str,
    declared: dict[str, Any],
    cured_by: str,
    attempts: int,
    spark_submit: Callable[..., None],
    spark_task: Callable[..., Any],
    logged: Callable[[], str],
) -> None:
    spark_submit(log_of(job), cured_by=cured_by)
    task = TaskInstance(remediate(spark_task(**declared)))
    outcomes = [task.run() for _ in range(attempts)]
    assert (outcomes[-1].error is None) is (name == "healed")
    if os.environ.get(RENEW):
        renew(name, logged())
    assert block(name) == logged(), f"{RENEW}=1 pytest {Path(__file__).name} renews the README"
