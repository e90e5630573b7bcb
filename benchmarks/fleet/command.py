"""Putting the simulation together: the two halves of the work, the Spark job, the command line."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw_data
from benchmarks.fleet import engine, report
from benchmarks.fleet.engine import MEASURES, Tally
from benchmarks.fleet.ours import Product
from benchmarks.fleet.strategies import BLIND, MODEL, ORACLE, OURS, SIMPLE, STICKY
from benchmarks.fleet.world import (
    RETRIES,
    SCARCE,
    Fleet,
    Rates,
    Task,
    made_up_processes,
    make_task,
    processes,
    rates_as_json,
    scarce_in,
    undersized_in,
)

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BENCH_DATA", ROOT / "benchmarks" / "data")) / "sizey" / "tasks.csv.gz"
"""See ``benchmarks/sizing.py``; without it the processes are made up, and the page says so."""
RESULTS = ROOT / "benchmarks" / "results"
RAW = "fleet.json.gz"
WEEK = 7


@dataclass(frozen=True)
class Config:
    """What the command line says."""

    seed: int = 1
    days: int = 365
    tasks: int = 2000
    retrain: int = 1
    """Days between two trainings."""
    window: int = 120
    """Days that a training looks back."""
    most: int = 10_000
    """Attempts that it takes at most."""
    misclassified: float = Rates.misclassified
    unclassified: float = Rates.unclassified
    side: int = 400
    """Tasks of the worlds in which one assumption is changed; 0: none."""

    def fleet(self) -> Fleet:
        pool = processes(DATA) if DATA.is_file() else made_up_processes()
        rates = Rates(misclassified=self.misclassified, unclassified=self.unclassified)
        proof = RESULTS / "proof.json.gz"
        return Fleet(
            self.seed, self.days, pool, rates, scarce_in(proof) or dict(SCARCE), undersized_in(proof)
        )


def make_tasks(fleet: Fleet, count: int) -> list[Task]:
    return [make_task(fleet, number) for number in range(count)]


def with_model(config: Config, quiet: bool) -> dict[str, Any]:
    """The half of the work that trains; run in a process of its own."""
    logging.disable(logging.WARNING)
    fleet = config.fleet()
    with tempfile.TemporaryDirectory() as folder:
        tally, product, trainings = engine.play_model(
            fleet,
            make_tasks(fleet, config.tasks),
            Path(folder),
            every=config.retrain,
            window=config.window,
            most=config.most,
            say=None if quiet else lambda text: print(text, flush=True),
        )
    return {"strategies": {MODEL: as_json(tally, product)}, "trainings": trainings}


def without_model(config: Config) -> dict[str, Any]:
    """The other half: every other strategy, and the worlds with one thing changed."""
    fleet = config.fleet()
    tasks = make_tasks(fleet, config.tasks)
    tallies = engine.rule_strategies(fleet, tasks, (*SIMPLE, STICKY))
    product, tally = Product(), Tally.empty(fleet.days)
    engine.play_fleet(fleet, tasks, product, tally)
    strategies = {name: as_json(each) for name, each in tallies.items()}
    strategies[OURS] = as_json(tally, product)
    return {
        "strategies": strategies,
        "world": describe(config, fleet, tallies[BLIND]),
        "sensitivity": list(sensitivity(config, fleet)) if config.side else [],
    }


def as_json(tally: Tally, product: Product | None = None) -> dict[str, Any]:
    """What is kept of a strategy."""
    found: dict[str, Any] = {"weekly": weekly(tally)}
    if product is not None:
        found |= {
            "decided": dict(product.decided),
            "life": dict(product.life),
            "wrong": dict(tally.wrong),
            "weak": [asdict(each) for each in tally.weak],
        }
    return found


def weekly(tally: Tally) -> dict[str, list[float]]:
    starts = np.arange(0, tally.counts.shape[1], WEEK)
    sums = np.add.reduceat(tally.counts, starts, axis=1)
    return {name: [round(float(value), 3) for value in row] for name, row in zip(MEASURES, sums, strict=True)}


def totals(tally: Tally) -> dict[str, float]:
    return dict(zip(MEASURES, tally.counts.sum(axis=1).tolist(), strict=True))


def describe(config: Config, fleet: Fleet, declared: Tally) -> dict[str, Any]:
    """The world in figures; *declared*: of a strategy that begins every run as declared."""
    t = totals(declared)
    proof = scarce_in(RESULTS / "proof.json.gz")
    return {
        "seed": config.seed,
        "tasks": config.tasks,
        "days": config.days,
        "retries": RETRIES,
        "runs": int(t["runs"]),
        "declared_fail": t["first_failures"] / max(1, t["runs"]),
        "needy": int(t["needy"]),
        "needy_memory": int(t["needy_memory"]),
        "incurable": int(t["incurable_runs"]),
        "source": f"{len(fleet.pool)} processes of the sizey data set"
        if DATA.is_file()
        else "made up, because the sizey data set is not there",
        "scarce": {key: round(value, 3) for key, value in fleet.scarce.items()},
        "undersized": list(fleet.undersized),
        "scarce_from": "shares assumed"
        if proof is None
        else "shares of the curable jobs of `benchmarks/results/proof.json.gz`",
    }


def sensitivity(config: Config, fleet: Fleet) -> Any:
    """Small worlds with one thing changed, without a model."""
    rates = fleet.rates
    worlds: list[tuple[str, Fleet]] = [
        ("as above", fleet),
        ("another seed", replace(fleet, seed=fleet.seed + 1000)),
        ("a third seed", replace(fleet, seed=fleet.seed + 2000)),
        ("every cause read rightly", replace(fleet, rates=replace(rates, misclassified=0, unclassified=0))),
        ("10% misread", replace(fleet, rates=replace(rates, misclassified=0.1))),
        ("half unclassified (Netflix)", replace(fleet, rates=replace(rates, unclassified=0.5))),
        (
            "three times the transient faults",
            replace(fleet, rates=replace(rates, transient=3 * rates.transient)),
        ),
        ("no undersized deployments", replace(fleet, rates=replace(rates, undersized=0.0))),
        ("no deployments", replace(fleet, rates=replace(rates, deployed=0.0))),
    ]
    shown = (BLIND, "double everything", OURS, ORACLE)
    for name, each in worlds:
        tallies = engine.rule_strategies(each, make_tasks(each, config.side), shown)
        yield {"name": name, "tasks": config.side, "strategies": {key: brief(tallies, key) for key in shown}}


def brief(tallies: dict[str, Tally], name: str) -> dict[str, Any]:
    mine, best = totals(tallies[name]), totals(tallies[ORACLE])
    return {
        "healed": mine["healed"] / max(1, mine["needy"]),
        "cost": mine["cost"] / max(1e-9, best["cost"]),
        "wrong_stops": int(mine["wrong_stops"]),
    }


def simulate(config: Config, command: str, *, quiet: bool = False, lanes: int = 2) -> dict[str, Any]:
    """All of it, as JSON has it."""
    began = time.perf_counter()
    # Threads that wait for each other cost more than they bring: each half has one core.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if lanes > 1:
        with ProcessPoolExecutor(lanes, mp_context=get_context("spawn")) as pool:
            first = pool.submit(with_model, config, quiet)
            second = pool.submit(without_model, config)
            parts = (second.result(), first.result())
    else:
        parts = (without_model(config), with_model(config, quiet))
    results: dict[str, Any] = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "config": asdict(config),
        "rates": rates_as_json(config.fleet().rates),
        "week_days": [min(WEEK, config.days - start) for start in range(0, config.days, WEEK)],
        **parts[0],
        "trainings": parts[1]["trainings"],
    }
    results["strategies"] = {**parts[0]["strategies"], **parts[1]["strategies"]}
    results["seconds"] = round(time.perf_counter() - began, 1)
    results["cpu_seconds"] = round(
        sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)), 1
    )
    results["load"] = round(os.getloadavg()[0], 1)
    return results


def at_scale(config: Config, attempts: int, command: str, master: str) -> dict[str, Any]:
    """About *attempts* attempts of the product without a model, task by task on Spark."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    from pyspark.sql import SparkSession

    fleet = config.fleet()
    probe = sum(int(make_task(fleet, number).runs.sum()) for number in range(50)) / 50
    tasks = int(attempts / probe) + 1
    partitions = max(2, tasks // 100)
    spark = (
        SparkSession.builder.master(master).appName("fleet").config("spark.ui.enabled", "false").getOrCreate()
    )
    began = time.perf_counter()
    try:
        shared = spark.sparkContext.broadcast(fleet)

        def play(numbers: Any) -> Any:
            logging.disable(logging.WARNING)
            found: dict[str, Tally] = {}
            for number in numbers:
                for name, tally in engine.alone(shared.value, number).items():
                    found.setdefault(name, Tally.empty(shared.value.days)).add(tally)
            yield {name: tally.counts.sum(axis=1) for name, tally in found.items()}

        parts = spark.sparkContext.parallelize(range(tasks), partitions).mapPartitions(play).collect()
        version = str(spark.version)
    finally:
        spark.stop()
    seconds = time.perf_counter() - began
    tallies = {name: Tally(sum(part[name] for part in parts)[:, None]) for name in (*SIMPLE, STICKY, OURS)}
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "master": master,
        "spark": version,
        "tasks": tasks,
        "partitions": partitions,
        "seconds": round(seconds, 1),
        "attempts": int(totals(tallies[OURS])["attempts"]),
        "attempts_all": int(sum(totals(each)["attempts"] for each in tallies.values())),
        "strategies": {name: brief(tallies, name) for name in tallies},
    }


def machine() -> str:
    """In a few words."""
    try:
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
    except OSError:
        names = []
    return (
        f"{os.cpu_count()} cores ({(names or [platform.machine()])[0]}), Python {platform.python_version()}"
    )


def save(results: dict[str, Any], folder: Path) -> None:
    """Raw figures, page and picture."""
    folder.mkdir(parents=True, exist_ok=True)
    raw_data.write(folder / RAW, results)
    (folder / "fleet.md").write_text(report.render(results), encoding="utf-8")
    report.draw(results, folder / "fleet.png")


def main(description: str = "", arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("seed", "days", "tasks", "retrain", "window", "most", "side"):
        parser.add_argument(f"--{name}", type=int, default=None)
    parser.add_argument("--misclassified", type=float, default=Config.misclassified)
    parser.add_argument("--unclassified", type=float, default=Config.unclassified)
    parser.add_argument("--quick", action="store_true", help="a smoke run: 60 tasks, 90 days; writes nothing")
    parser.add_argument("--spark", action="store_true", help="the part without a model as a Spark job")
    parser.add_argument("--attempts", type=int, default=1_000_000, help="of the Spark job")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--out", type=Path, default=None, help="where the results go")
    given = parser.parse_args(arguments)
    base = Config(days=90, tasks=60, retrain=40, side=0) if given.quick else Config()
    chosen = {
        name: value for name, value in vars(given).items() if name in asdict(base) and value is not None
    }
    config = replace(base, **chosen)
    out = given.out or (None if given.quick else RESULTS)
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = " ".join(["python -m benchmarks.fleet", *words])
    stored = raw_data.read(out / RAW) if out and (out / RAW).is_file() else {}
    if given.spark:
        found = at_scale(config, given.attempts, command, given.master)
        print(json.dumps(found, indent=1))
        if out and stored:
            save({**stored, "scale": found}, out)
        return
    results = simulate(config, command, quiet=given.quick)
    if "scale" in stored:
        results["scale"] = stored["scale"]
    print(report.render(results))
    if out:
        save(results, out)
