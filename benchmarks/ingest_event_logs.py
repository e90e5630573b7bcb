"""How long `autoremed ingest eventlogs` takes, and how that grows with the number of logs.

    python benchmarks/ingest_event_logs.py [--logs 250 500 1000 2000] [--tasks 200] [--spark local[2]]

Generates zstd logs from a real one (tests/data/event_logs/plain): its events with other ids, names and durations.
Prints a line for each number of logs: generating is not counted, a second run over the same logs is. With ``--spark``
also how long the PySpark job takes that writes the same as Parquet, its start-up included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zstandard

from airflow_autoremed.history.opening import open_database
from airflow_autoremed.ingestion.event_logs import Fate, ingest, sources_in

REAL = Path(__file__).parent.parent / "tests" / "data" / "event_logs" / "plain"


def generate(folder: Path, count: int, tasks: int) -> int:
    """Write *count* logs of *tasks* tasks each to *folder*; their bytes unpacked."""
    (source,) = REAL.iterdir()
    lines = gzip.decompress(source.read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    ends = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
    others = [
        line
        for line, event in zip(lines, events, strict=True)
        if event["Event"] not in ("SparkListenerTaskEnd", "SparkListenerTaskStart")
    ]
    chance = random.Random(0)
    total = 0
    for number in range(count):
        real_id = source.name.removesuffix(".gz").encode()
        app_id = f"application_1_{number:06}".encode()
        text = [
            line.replace(real_id, app_id).replace(b"autoremed plain", b"job %d" % (number % 50))
            for line in others
        ]
        for _ in range(tasks):
            event = chance.choice(ends)
            info = event["Task Info"]
            lasted = int(chance.lognormvariate(6, 1))
            changed = {**event, "Task Info": {**info, "Finish Time": info["Launch Time"] + lasted}}
            text.insert(-3, json.dumps(changed, separators=(",", ":")).encode())
        whole = b"\n".join(text)
        total += len(whole)
        (folder / f"application_1_{number:06}.zstd").write_bytes(zstandard.compress(whole))
    return total


def on_spark(master: str, folder: Path, place: Path) -> float:
    """Seconds that the PySpark job takes for the same logs."""
    from airflow_autoremed.distributed import submit

    began = time.perf_counter()
    subprocess.run(
        [
            str(Path(sys.executable).with_name("spark-submit")),
            *("--master", master, "--conf", "spark.ui.enabled=false"),
            *(submit.__file__, "metrics", "--out", str(place / "metrics"), str(folder)),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
    )
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--logs", type=int, nargs="+", default=[250, 500, 1000, 2000])
    arguments.add_argument("--tasks", type=int, default=200)
    arguments.add_argument("--spark", metavar="MASTER", help="also run the PySpark job on this master")
    given = arguments.parse_args()
    print(
        f"{'logs':>6} {'MiB':>6} {'s':>7} {'logs/s':>7} {'MiB/s':>6} {'again, s':>9} {'peak RSS, MiB':>14} {'Spark, s':>9}"
    )
    for count in given.logs:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "logs"
            folder.mkdir()
            size = generate(folder, count, given.tasks) / 2**20
            database = open_database(f"sqlite:///{place}/autoremed.db", 30)
            taken = []
            for wanted in (Fate.RECORDED, Fate.UNCHANGED):
                began = time.perf_counter()
                fates = [each.fate for each in ingest(database, "default", sources_in([str(folder)]))]
                taken.append(time.perf_counter() - began)
                assert fates == [wanted] * count, set(fates)
            database.close()
            spark = "" if given.spark is None else f"{on_spark(given.spark, folder, Path(place)):.1f}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        first, again = taken
        print(
            f"{count:>6} {size:>6.0f} {first:>7.1f} {count / first:>7.0f} {size / first:>6.0f} {again:>9.1f} {peak:>14.0f} {spark:>9}",
            flush=True,
        )


if __name__ == "__main__":
    main()
