"""The log lines that README and documents show are those that the code logs, for real Spark logs of the proof.

After the wording changed, ``AUTOREMED_RENEW_DOCS=1 .venv/bin/python -m pytest tests/unit/test_shown_log_lines.py`` puts
the new lines into the pages.
"""

from __future__ import annotations

import logging
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import remediate
from tests.support.tasks import TaskInstance

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "benchmarks" / "results" / "proof-logs.tar.xz"
RENEW = "AUTOREMED_RENEW_DOCS"
NOTHING = "nothing cures this"


@dataclass(frozen=True)
class Shown:
    """A block of log lines in a page, and the attempts that log them."""

    page: str
    name: str
    job: str
    """Whose real driver log ``spark-submit`` prints."""
    memory: str
    cured_by: str = NOTHING
    mode: str = "act"
    attempts: tuple[int, ...] = (1,)
    """Those whose lines are shown."""

    @property
    def mark(self) -> re.Pattern[str]:
        return re.compile(rf"(<!-- log: {self.name} -->\n```text\n)(.*?)(\n```)", re.DOTALL)

    def read(self) -> str:
        (found,) = self.mark.findall((ROOT / self.page).read_text(encoding="utf-8"))
        return str(found[1])

    def renew(self, lines: str) -> None:
        file = ROOT / self.page
        text = self.mark.sub(lambda match: match[1] + lines + match[3], file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")


SHOWN = (
    Shown("README.md", "healed", "skew-1", "1g", "--executor-memory 2g", attempts=(1, 2)),
    Shown("README.md", "stopped", "no-module", "1g"),
    Shown("docs/rollout.md", "shadow", "skew-1", "2g", mode="shadow"),
    Shown("docs/rollout.md", "act", "skew-1", "2g", "--executor-memory 4g", attempts=(2,)),
)


def log_of(job: str) -> str:
    """The driver's log of a real job's first attempt."""
    with tarfile.open(LOGS) as logs:
        found = logs.extractfile(f"{job}.log")
        assert found is not None
        return found.read().decode("utf-8")


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page}-{shown.name}")
def test_a_page_shows_what_the_task_log_says(
    shown: Shown,
    spark_submit: Callable[..., None],
    spark_task: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="airflow_autoremed")
    spark_submit(log_of(shown.job), cured_by=shown.cured_by)
    task = TaskInstance(remediate(spark_task(executor_memory=shown.memory), mode=shown.mode))
    lines: list[str] = []
    for attempt in range(1, max(shown.attempts) + 1):
        caplog.clear()
        outcome = task.run()
        messages = map(logging.LogRecord.getMessage, caplog.records)
        if attempt in shown.attempts:
            # What a promotion saves depends on how long the attempts took.
            lines += [each for each in messages if "[autoremed]" in each and "promoted" not in each]
    assert (outcome.error is None) is (shown.cured_by != NOTHING)
    if os.environ.get(RENEW):
        shown.renew("\n".join(lines))
    assert shown.read() == "\n".join(lines), f"{RENEW}=1 pytest {Path(__file__).name} renews the page"
