"""What opting in adds to the parsing of a Dag file, beyond Airflow's and the provider's own imports.

    .venv/bin/python benchmarks/parse_overhead.py

Every figure is taken in fresh processes: the first ``remediate()`` of a process (imports included), and a further
task in the same file. Median and range over the processes are printed, in milliseconds.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from datetime import date

PROCESSES = 15
PROGRAM = """
import json, time
from airflow.sdk import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
with DAG("d"):
    tasks = [SparkSubmitOperator(task_id=f"t{n}", application="job.py", retries=3) for n in range(101)]
started = time.perf_counter()
from airflow_autoremed import remediate
remediate(tasks[0], limits={"max_container_memory": "8g"})
first = time.perf_counter()
for task in tasks[1:]:
    remediate(task)
print(json.dumps([(first - started) * 1e3, (time.perf_counter() - first) * 1e3 / 100]))
"""


def main() -> None:
    """Measure and print."""
    runs = []
    for _ in range(PROCESSES):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{date.today()}, Python {platform.python_version()}, {PROCESSES} fresh processes")
    for what, values in zip(
        ("first task of a file", "each further task"), zip(*runs, strict=True), strict=True
    ):
        print(f"{what:22} median {statistics.median(values):6.2f} ms, {min(values):.2f} to {max(values):.2f}")


if __name__ == "__main__":
    main()
