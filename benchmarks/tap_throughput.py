"""How fast a task's log passes through us while it streams.

    .venv/bin/python benchmarks/tap_throughput.py

The lines of a healthy log of 100 MB (the generator of classify_throughput.py) are written one by one, as the
operator's hook does: to the tap alone, to the stall detector alone, and to both. Processor seconds, median of 5.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from classify_throughput import make_log

from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.stalls import StallDetector

MEGABYTES = 100
ROUNDS = 5


def to_tap() -> Callable[[str], None]:
    """The tap as a task has it."""
    return LogTap(load_catalogue).write


def to_detector() -> Callable[[str], None]:
    """The stall detector alone."""
    return StallDetector().write


def to_both() -> Callable[[str], None]:
    """Tap and detector, as for a task with a stall_timeout."""
    tap, detector = LogTap(load_catalogue), StallDetector()

    def write(line: str) -> None:
        tap.write(line)
        detector.write(line)

    return write


def main() -> None:
    """Measure and print."""
    print(f"{date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="autoremed-bench-") as directory:
        path = Path(directory) / "log"
        make_log(path, MEGABYTES)
        lines = path.read_text(errors="replace").splitlines(keepends=True)
        size = path.stat().st_size
    for what, make in (("tap", to_tap), ("stall detector", to_detector), ("both", to_both)):
        seconds = []
        for _ in range(ROUNDS):
            write = make()
            began = time.process_time()
            for line in lines:
                write(line)
            seconds.append(time.process_time() - began)
        print(f"{what:16} {size / statistics.median(seconds) / 1e6:6.0f} MB/s")


if __name__ == "__main__":
    main()
