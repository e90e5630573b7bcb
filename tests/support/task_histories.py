"""A made-up past of tasks, to learn from."""

from __future__ import annotations

import random

from airflow_autoremed.types import AttemptId, RecordedAttempt


def history(tasks=40, runs=12, seed=0):
    """Runs of tasks with a hidden need of heap; what is declared is often too little, and retries grow it."""
    rng = random.Random(seed)
    found = []
    for task in range(tasks):
        need, usual = rng.lognormvariate(1.0, 0.8), rng.lognormvariate(5, 1)
        declared = max(0.5, need * rng.choice([0.6, 0.9, 1.5, 3]))
        for run in range(runs):
            heap = declared
            for attempt in range(1, 4):
                needed = need * rng.lognormvariate(0, 0.15)
                fits, unlucky = heap > needed, rng.random() < 0.03
                found.append(
                    RecordedAttempt(
                        AttemptId(f"dag{task % 5}", f"r{run}", f"t{task}", -1, attempt),
                        1.7e9 + run * 86_400 + task * 10 + attempt,
                        {"spark.executor.memory": f"{int(declared * 1024)}m"},
                        {"spark.executor.memory": f"{int(heap * 1024)}m"},
                        fits and not unlucky,
                        usual * rng.lognormvariate(0, 0.2),
                        None if fits and not unlucky else "network_timeout" if fits else "executor_oom_heap",
                        operator="SparkSubmitOperator",
                        fingerprint=str(task),
                    )
                )
                if fits and not unlucky:
                    break
                if not fits:
                    heap *= rng.choice([1.0, 1.3, 2.0, 3.0])
    return found
