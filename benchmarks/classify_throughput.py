"""How fast logs are classified, against ``grep -F -f`` with the same literals: one log, one run.

``python benchmarks/classify_throughput.py [--megabytes 100] [--keep FILE]`` makes a log from a fixed seed (the same
bytes every time), lets grep look for all literals of the catalogue in it, then every engine, and prints MB/s, the
ratio to grep and whether all engines agree.
``classify_cold_start.py`` and ``classify_memory.py`` measure the rest.

grep gets exactly the literals of the index, no more and no fewer, counts lines, and runs once with ``LC_ALL=C`` (the
fastest it can be, and what the ratios are against) and once in the locale of whoever runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from airflow_autoremed.failures.matching.classify import classify_file
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.literal_engines import available_engines
from airflow_autoremed.failures.rules.loading import load_catalogue

SEED = 20240501
ROUNDS = 7

_HEALTHY = (
    "INFO TaskSetManager: Starting task {a}.0 in stage {b}.0 (TID {c}) (10.0.{d}.{e} executor {f}, partition {a}, PROCESS_LOCAL, 9021 bytes) ",
    "INFO TaskSetManager: Finished task {a}.0 in stage {b}.0 (TID {c}) in {g} ms on 10.0.{d}.{e} (executor {f}) ({a}/2000)",
    "INFO BlockManagerInfo: Added broadcast_{b}_piece0 in memory on 10.0.{d}.{e}:4{c:04d} (size: {a}.3 KiB, free: 2.{f} GiB)",
    "INFO MemoryStore: Block broadcast_{b} stored as values in memory (estimated size {a}.0 KiB, free 434.{f} MiB)",
    "INFO DAGScheduler: Submitting ShuffleMapStage {b} (MapPartitionsRDD[{c}] at collect at report.py:{e}), which has no missing parents",
    "INFO MapOutputTrackerMasterEndpoint: Asked to send map output locations for shuffle {b} to 10.0.{d}.{e}:5{c:04d}",
    "INFO CodeGenerator: Code generated in {g}.{c} ms",
    "INFO FileScanRDD: Reading File path: s3a://bucket/table/day={a}/part-{c:05d}.snappy.parquet, range: 0-{g}, partition values: [empty row]",
    "INFO Executor: Running task {a}.0 in stage {b}.0 (TID {c})",
    "INFO ShuffleBlockFetcherIterator: Getting {a} (1{g}.0 KiB) non-empty blocks including {d} (0.0 B) local and {e} (0.0 B) host-local",
    "WARN TaskSetManager: Stage {b} contains a task of very large size ({g} KiB). The maximum recommended task size is 1000 KiB.",
    "WARN DAGScheduler: Broadcasting large task binary with size {g}.6 KiB",
    "INFO YarnAllocator: Launching container container_e46_1545125871120_683318_01_{c:06d} on host node{d} for executor with ID {f} for ResourceProfile Id 0",
    "INFO Client: Application report for application_1545125871120_683318 (state: RUNNING)",
)
_TROUBLE = (
    "WARN TaskSetManager: Lost task {a}.0 in stage {b}.0 (TID {c}) (10.0.{d}.{e} executor {f}): FetchFailed(BlockManagerId({f}, 10.0.{d}.{e}, 7337, None), shuffleId={b}, mapIndex={a}, mapId={c}, reduceId={a}, message=\n"
    "org.apache.spark.shuffle.FetchFailedException: Failed to connect to /10.0.{d}.{e}:7337\n"
    "\tat org.apache.spark.storage.ShuffleBlockFetcherIterator.throwFetchFailedException(ShuffleBlockFetcherIterator.scala:554)\n"
    "\tat org.apache.spark.executor.Executor$TaskRunner.run(Executor.scala:338)",
    "ERROR TaskSchedulerImpl: Lost executor {f} on 10.0.{d}.{e}: Remote RPC client disassociated. Likely due to containers exceeding thresholds, or network issues. Check driver logs for WARN messages.",
    "WARN NettyRpcEnv: Ignored failure: java.io.IOException: Connection reset by peer",
)
_END = (
    "WARN TaskSetManager: Lost task 3.3 in stage 8.0 (TID 99) (10.0.0.1 executor 12): java.lang.OutOfMemoryError: Java heap space\n"
    "ERROR TaskSetManager: Task 3 in stage 8.0 failed 4 times; aborting job\n"
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 8.0 failed 4 times\n"
)


def make_log(path: Path, megabytes: int) -> str:
    """Write the log; returns its SHA-256."""
    chance = random.Random(SEED)
    digest = hashlib.sha256()
    size, second = 0, 0
    with path.open("wb") as stream:
        while size < megabytes * 1_000_000:
            lines = []
            for _ in range(2000):
                pool = _TROUBLE if chance.random() < 0.002 else _HEALTHY
                second += chance.randrange(2)
                stamp = f"24/05/{1 + second // 86400 % 28:02d} {second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d} "
                values = {
                    "a": chance.randrange(2000),
                    "b": chance.randrange(300),
                    "c": chance.randrange(10000),
                    "d": chance.randrange(255),
                    "e": chance.randrange(255),
                    "f": chance.randrange(100),
                    "g": chance.randrange(1000, 9000),
                }
                lines.append(stamp + chance.choice(pool).format(**values))
            block = ("\n".join(lines) + "\n").encode()
            stream.write(block)
            digest.update(block)
            size += len(block)
        stream.write(_END.encode())
        digest.update(_END.encode())
    return digest.hexdigest()


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended, user and system."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(what: str, action: Callable[[], object], size: int, reference: float | None) -> float:
    """Median processor seconds of some rounds, of this process and its children; prints the rate.

    Processor time, because the machine may be shared; nothing here waits for anything but the page cache.
    """
    times, walls = [], []
    for _ in range(ROUNDS):
        before, began = cpu_seconds(), time.perf_counter()
        action()
        walls.append(time.perf_counter() - began)
        times.append(cpu_seconds() - before)
    seconds, wall = statistics.median(times), statistics.median(walls)
    ratio = f"{reference / seconds:5.2f}x grep" if reference else ""
    print(f"{what:28} {size / seconds / 1e6:8.1f} MB/s  {seconds:6.3f} s cpu, {wall:6.3f} s wall  {ratio}")
    return seconds


def throughput(catalogue: Catalogue, log: Path, scratch: Path) -> None:
    """grep, then every engine, on the same log with the same literals."""
    size = log.stat().st_size
    literals = scratch / "literals.txt"
    texts = catalogue.literals()  # what every engine looks for, neither more nor less
    literals.write_bytes(b"\n".join(texts) + b"\n")
    count = len(texts)
    print(f"{size / 1e6:.0f} MB, {len(catalogue.rules)} rules, {count} literals, median of {ROUNDS}")
    grep = shutil.which("grep")
    if grep is None:
        raise SystemExit("grep is needed for the comparison; install it")

    def run_grep(**environment: str) -> None:
        subprocess.run(
            [grep, "-F", "-f", str(literals), "-c", str(log)],
            stdout=subprocess.PIPE,  # grep stops at the first match when it writes to /dev/null
            env=environment or None,
            check=False,
        )

    reference = timed("grep -F -f (LC_ALL=C)", lambda: run_grep(LC_ALL="C"), size, None)
    timed("grep -F -f (locale as it is)", run_grep, size, reference)
    verdicts = {}
    for engine in available_engines():
        if engine == "re" and size > 20_000_000:
            continue

        def run_engine(engine: str = engine) -> None:
            verdicts[engine] = classify_file(catalogue, log, engine=engine)

        catalogue.index(engine)
        timed(engine, run_engine, size, reference)
    first, *others = verdicts.values()
    agree = all(verdict == first for verdict in others)
    print(
        "all engines agree" if agree else "ENGINES DISAGREE", {verdict.rule for verdict in verdicts.values()}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="where the log is left for another look")
    arguments = parser.parse_args()
    catalogue = load_catalogue()
    with tempfile.TemporaryDirectory() as folder:
        log = arguments.keep or Path(folder) / "spark.log"
        print("sha256", make_log(log, arguments.megabytes))
        throughput(catalogue, log, Path(folder))


if __name__ == "__main__":
    main()
