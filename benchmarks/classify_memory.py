"""How much memory a log takes, whatever its length: resident memory while a generator feeds 0.1, 1 and 10 GB.

``python benchmarks/classify_memory.py [--gigabytes 0.1 1 10] [--engine NAME] [--kind lines|line|matches]``

Nothing is stored: one block of the log of ``classify_throughput.py`` is fed again and again. ``line`` is one single
line without end, ``matches`` a log of which every line matches rules. The first log warms up (engine, caches of
``re``); the peak is read from /proc after each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from classify_throughput import make_log

from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules.literal_engines import available_engines
from airflow_autoremed.failures.rules.loading import load_catalogue

HEAP = (
    "24/05/01 10:00:00 WARN TaskSetManager: Lost task 3.0 in stage 8.0 (TID 99) (10.0.0.1 executor 12): "
    "java.lang.OutOfMemoryError: Java heap space\n"
)
KINDS = ("lines", "line", "matches")


def stretch(kind: str, log: bytes) -> bytes:
    """What is fed again and again."""
    if kind == "lines":
        return log
    if kind == "line":
        return log.replace(b"\n", b" ")
    return (HEAP * 10_000).encode()


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    """``size`` bytes in blocks of 64 KiB, made as they are asked for."""
    fed = 0
    while fed < size:
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]
            fed += 65_536
            if fed >= size:
                return


def peak_mebibytes() -> float:
    """Peak resident memory of this process since :func:`forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let the peak begin anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 1, 10])
    parser.add_argument("--engine", choices=available_engines(), default=available_engines()[0])
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=["lines"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_log(Path(folder) / "spark.log", 10)
        log = (Path(folder) / "spark.log").read_bytes()
    catalogue = load_catalogue()
    for kind in arguments.kind:
        data = stretch(kind, log)
        for gigabytes in arguments.gigabytes:
            forget_peak()
            began = time.process_time()
            matcher = LogMatcher(catalogue, arguments.engine)
            for block in blocks(data, int(gigabytes * 1e9)):
                matcher.feed(block)
            matcher.feed("\n" + HEAP)
            verdict = matcher.classification()
            seconds = time.process_time() - began
            print(
                f"{arguments.engine}, {kind:8} {gigabytes:5} GB: peak {peak_mebibytes():6.1f} MiB resident, "
                f"{seconds:6.1f} s cpu, {gigabytes * 1000 / seconds:5.0f} MB/s, {verdict.rule}, "
                f"line {verdict.lines[0].number if verdict.lines else 0}",
                flush=True,
            )


if __name__ == "__main__":
    main()
