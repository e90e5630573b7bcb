"""How long a training takes, and how much memory, as the history grows to a million attempts.

    python benchmarks/training.py            # 10,000, 100,000 and 1,000,000 attempts
    python benchmarks/training.py 10000      # only these

The history is made up (tasks with a hidden need of memory, from which each run differs; declared sizes that are
often too little; retries that grow them; transient faults): what is measured here is time and memory, not how good
the model is. Each size runs in a process of its own, whose largest resident memory is read at its end.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from airflow_autoremed.types import AttemptId, Objective, RecordedAttempt

SIZES = (10_000, 100_000, 1_000_000)
RUNS = 60
"""Of each task."""


def history(attempts: int, seed: int = 0) -> Iterator[RecordedAttempt]:
    """About *attempts* attempts, task by task."""
    rng = np.random.default_rng(seed)
    made, task = 0, 0
    while made < attempts:
        need, usual = rng.lognormal(1.0, 0.8), rng.lognormal(5, 1)
        declared = max(0.5, need * rng.choice([0.6, 0.9, 1.5, 3.0]))
        driver = rng.random() < 0.2
        key = "spark.driver.memory" if driver else "spark.executor.memory"
        baseline = {
            key: f"{int(declared * 1024)}m",
            "spark.executor.instances": str(int(rng.integers(1, 20))),
            "spark.executor.cores": str(int(rng.choice([1, 2, 4]))),
        }
        for run in range(RUNS):
            heap = declared
            for number in range(1, 4):
                fits, unlucky = heap > need * rng.lognormal(0, 0.15), rng.random() < 0.03
                succeeded = bool(fits and not unlucky)
                category = "network_timeout" if fits else "driver_oom_heap" if driver else "executor_oom_heap"
                yield RecordedAttempt(
                    AttemptId(f"dag{task % 200}", f"r{run}", f"t{task}", -1, number),
                    1.7e9 + run * 86_400 + task % 80_000 + number,
                    baseline,
                    {**baseline, key: f"{int(heap * 1024)}m"},
                    succeeded,
                    float(usual * rng.lognormal(0, 0.2)),
                    None if succeeded else category,
                    operator="SparkSubmitOperator",
                    fingerprint=str(task),
                    peaks={key: min(heap, need) * 1024**3},
                )
                made += 1
                if succeeded:
                    break
                if not fits:
                    heap *= rng.choice([1.0, 1.3, 2.0, 3.0])
        task += 1


def measure(attempts: int) -> dict[str, object]:
    from airflow_autoremed.learning import training_run

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = training_run.run(history(attempts), Path(folder), objective=Objective(), by_task=True)
        seconds = time.perf_counter() - began
    return {
        "attempts": report.attempts,
        "seconds": round(seconds, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
        "promoted": report.promoted,
        "fails": min((s.loss, s.family) for s in report.scores if s.head == "fails"),
        "failed_audits": [each.name for each in report.audits if not each.passed],
    }


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or list(SIZES)
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}; makes the history, trains, audits, writes\n"
    )
    print(f"{'attempts':>10}  {'seconds':>8}  {'peak GiB':>8}  promoted  best family (Brier)")
    for size in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        loss, family = found["fails"]
        print(
            f"{found['attempts']:>10,}  {found['seconds']:>8}  {found['peak_gib']:>8}  "
            f"{'yes' if found['promoted'] else 'no: ' + ', '.join(found['failed_audits'])}       {family} ({loss:.4f})"
        )


if __name__ == "__main__":
    if "--one" in sys.argv:
        print(json.dumps(measure(int(sys.argv[-1]))))
    else:
        main()
