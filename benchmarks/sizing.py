"""Sizing memory on the sizey data set: our predictor and optimiser beside rules and published methods.

    python benchmarks/sizing.py            # all seven seeds; writes benchmarks/results/sizing.{md,json.gz,png}
    python benchmarks/sizing.py --seeds 1  # a quick look; writes nothing

The protocol is docs/sizing-protocol.md. The data set of github.com/dos-group/sizey is not part of this
project: put its table of tasks at ``sizey/tasks.csv.gz`` in the directory that ``BENCH_DATA`` names (default:
``data`` beside this file).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import heapq
import math
import os
import platform
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from airflow_autoremed.learning.examples import TrainingSet
from airflow_autoremed.learning.families import Head, sigmoid
from airflow_autoremed.learning.features import TaskMemory
from airflow_autoremed.learning.training import FAMILIES, Scaling, calibrate
from airflow_autoremed.types import AttemptId, Axis, RecordedAttempt

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("BENCH_DATA", HERE / "data")) / "sizey" / "tasks.csv.gz"
RESULTS = HERE / "results"
SEEDS = 7
GB = 1024**3
MIB = 1024**2
KEY = "spark.executor.pyspark.memory"  # a setting without a smallest value
FLOOR = "largest peak x 1.1"
GRID = 2.0 ** (np.arange(0, 8 * 18 + 1) / 8) * MIB  # 1 MiB to 256 GiB, eight steps a doubling
LEAST_PAST, BETTER_BY = 8, 0.95
CONTENDERS = ("largest peak x 1.05", "largest peak x 1.2", "Tovar", "model")


@dataclass(frozen=True)
class Execution:
    workflow: str
    process: str
    preset: float
    peak: float
    hours: float
    submitted: float
    completed: float
    input: float | None


def read(path: Path) -> list[Execution]:
    """Executions that completed, in the order of their submission."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            peak, run_ms = _number(row["peak_rss"]), _number(row["realtime"])
            if row["status"] != "COMPLETED" or not peak or not run_ms:
                continue
            found.append(
                Execution(
                    row["workflow"],
                    row["process"],
                    max(_number(row["memory"]) or 1 * GB, MIB),
                    peak,
                    run_ms / 3_600_000,
                    (_number(row["submit"]) or 0) / 1000,
                    (_number(row["complete"]) or 0) / 1000,
                    _number(row["scheduler_files_bytes"]),
                )
            )
    return sorted(found, key=lambda each: (each.submitted, each.process))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def charge(allocation: float, done: Execution) -> tuple[float, int]:
    """GB h wasted and failures, with doubling after each failure."""
    wasted, failures = 0.0, 0
    while allocation < done.peak:
        wasted += allocation * done.hours
        failures += 1
        allocation *= 2
    return (wasted + (allocation - done.peak) * done.hours) / GB, failures


class Memory(TaskMemory):
    """The product's memory of a task, which also tells the largest peak."""

    largest_peak = 0.0

    def add(self, done: RecordedAttempt) -> None:
        super().add(done)
        self.largest_peak = max(self.largest_peak, done.peaks[KEY])


@dataclass
class Task:
    """What has completed of one process."""

    peaks: list[float] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    inputs: list[float | None] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    tally: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each contender: its waste and the floor's, execution by execution."""
    parts: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each regression: prediction and peak."""


def witt(task: Task, coming: Execution) -> float:
    """Linear regression on the input, plus one standard deviation of its errors."""
    if not task.peaks:
        return coming.preset
    predicted = linear(task, coming)
    pairs = [(x, y) for x, y in zip(task.inputs, task.peaks, strict=True) if x is not None]
    if len(pairs) < 3 or coming.input is None:
        return float(np.mean(task.peaks) + np.std(task.peaks))
    x, y = np.array(pairs).T
    slope, offset = _fit(x, y)
    return max(predicted + float(np.std(y - (slope * x + offset))), MIB)


def linear(task: Task, coming: Execution) -> float:
    pairs = [(x, y) for x, y in zip(task.inputs, task.peaks, strict=True) if x is not None]
    if len(pairs) < 3 or coming.input is None:
        return float(np.mean(task.peaks))
    slope, offset = _fit(*np.array(pairs).T)
    return max(slope * coming.input + offset, MIB)


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def nearest(task: Task, coming: Execution) -> float:
    if coming.input is None:
        return float(np.mean(task.peaks[-3:]))
    known = [
        (abs(x - coming.input), y) for x, y in zip(task.inputs, task.peaks, strict=True) if x is not None
    ]
    return float(np.mean([y for _, y in sorted(known)[:3]])) if known else float(np.mean(task.peaks))


def mean(task: Task, coming: Execution) -> float:
    return float(np.mean(task.peaks))


POOL: dict[str, Callable[[Task, Execution], float]] = {"linear": linear, "nearest": nearest, "mean": mean}


def sizey_in_parts(task: Task, coming: Execution) -> float:
    """The pool weighted by past accuracy, plus the median of past underestimates."""
    if not task.peaks:
        return coming.preset
    weights, values, under = [], [], []
    for name, predict in POOL.items():
        past = task.parts[name][-50:]
        accuracy = np.mean([1 - min(1, abs(p - y) / y) for p, y in past]) if past else 0.5
        weights.append(math.exp(4 * float(accuracy)))
        values.append(predict(task, coming))
        under.append([y - p for p, y in past if y > p])
    offset = sum(w * (statistics.median(u) if u else 0) for w, u in zip(weights, under, strict=True)) / sum(
        weights
    )
    return max(float(np.average(values, weights=weights)) + offset, MIB)


def tovar(task: Task, coming: Execution) -> float:
    """The least expected waste over past peaks, when a failure is followed by the largest."""
    if not task.peaks:
        return coming.preset
    peaks, hours = np.array(task.peaks[-500:]), np.array(task.hours[-500:])
    largest = peaks.max()
    choices = np.unique(peaks)
    if len(choices) > 60:
        choices = np.unique(np.quantile(peaks, np.linspace(0, 1, 60), method="higher"))
    held = choices[:, None] + np.where(peaks[None, :] > choices[:, None], largest, 0)
    return float(choices[int((held * hours).sum(axis=1).argmin())])


def largest(margin: float) -> Callable[[Task, Execution], float]:
    return lambda task, coming: max(task.peaks) * margin if task.peaks else coming.preset


RULES: dict[str, Callable[[Task, Execution], float]] = {
    "preset": lambda task, coming: coming.preset,
    "largest peak x 1": largest(1.0),
    "largest peak x 1.05": largest(1.05),
    FLOOR: largest(1.1),
    "largest peak x 1.2": largest(1.2),
    "Witt": witt,
    "Tovar": tovar,
    "Sizey, in parts": sizey_in_parts,
}
METHODS = (*RULES, "model", "ours")


def record(done: Execution, allocation: float, number: int, *, succeeded: bool | None) -> RecordedAttempt:
    """An execution as the product's history would have it."""
    return RecordedAttempt(
        AttemptId(done.workflow, str(number), done.process, -1, 1),
        done.submitted,
        {KEY: f"{int(done.preset)}b"},
        {KEY: f"{int(allocation)}b"},
        succeeded,
        done.hours * 3600 if succeeded is not None else None,
        peaks={KEY: done.peak} if succeeded is not None else {},
        input_bytes=done.input,
    )


class Model:
    """P(fail) for an allocation, by the best of the product's families on the later part of what it learned."""

    def __init__(self, past: list[Execution], seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows, failed, known = [], [], defaultdict(Memory)
        for number, done in enumerate(past):
            memory = known[done.process]
            if memory.largest_peak:
                for factor in np.exp(rng.normal(0.05, 0.35, 4)):
                    allocation = max(memory.largest_peak * factor, MIB)
                    rows.append(memory.row(record(done, allocation, number, succeeded=None)))
                    failed.append(allocation < done.peak)
            memory.add(record(done, done.peak * 1.1, number, succeeded=True))
        matrix, labels = np.array(rows), np.array(failed)
        cut = int(len(labels) * 0.75)
        self.usable = (
            cut >= 200 and 20 <= labels[:cut].sum() < cut and 0 < labels[cut:].sum() < len(labels) - cut
        )
        self.family = "none"
        if not self.usable:
            return
        train = _training_set(matrix[:cut], labels[:cut])
        scaling = Scaling.fit(train.rows)
        best: tuple[float, str, Head, float, float] | None = None
        for family, fit in FAMILIES:
            head = fit(train, scaling, seed, {}).fails
            if head is None:
                continue
            raw = head.rows(matrix[cut:])
            slope, offset = calibrate(raw, labels[cut:])
            brier = float(((sigmoid(slope * raw + offset) - labels[cut:]) ** 2).mean())
            if best is None or brier < best[0]:
                best = (brier, family, head, slope, offset)
        assert best is not None
        _, self.family, self.head, self.slope, self.offset = best

    def allocation(self, memory: Memory, coming: Execution) -> float | None:
        """The allocation with the least expected waste; ``None`` where nothing is known of the task."""
        if not self.usable or not memory.largest_peak:
            return None
        near = GRID[(memory.largest_peak * 0.4 <= GRID) & (memory.largest_peak * 20 >= GRID)]
        asked = record(coming, memory.largest_peak, -1, succeeded=None)
        row, along = memory.row(asked), memory.along(asked, (Axis(KEY, tuple(near)),))
        fails = sigmoid(self.slope * self.head.lattice(row, along) + self.offset)
        fails = np.maximum.accumulate(fails[::-1])[::-1]
        # What is held: the first allocation, and twice as much after each failure.
        held, factor, again = near.copy(), 2.0, fails
        for shift in (0, 8, 16, 24):
            later = np.concatenate([again[shift:], np.zeros(min(shift, len(again)))])[: len(near)]
            held = held + later * near * factor
            factor *= 2
        return float(near[: max(1, len(near) - 24)][int(held[: max(1, len(near) - 24)].argmin())])


def _training_set(rows: np.ndarray, failed: np.ndarray) -> TrainingSet:
    none = np.full(len(rows), np.nan)
    names = np.full(len(rows), "x")
    return TrainingSet(rows.astype(np.float32), failed, none, none, none, none, names, names, Counter())


def simulate(workflow: list[Execution], seed: int) -> dict[str, list[float]]:
    """Waste and failures of each method on one workflow."""
    rng = np.random.default_rng([seed, len(workflow)])
    kept = [each for each in workflow if rng.random() > 0.1]
    start = int(len(kept) * rng.uniform(0.3, 0.5))
    trainings = {int(start * 0.6), start, *(start + int((len(kept) - start) * q) for q in (0.25, 0.5, 0.75))}
    tasks: dict[str, Task] = defaultdict(Task)
    running: list[tuple[float, int, Execution, dict[str, float]]] = []
    completed: list[Execution] = []
    model: Model | None = None
    total = {method: [0.0, 0.0] for method in METHODS}
    acted = 0
    for number, coming in enumerate(kept):
        while running and running[0][0] <= coming.submitted:
            _, at, done, given = heapq.heappop(running)
            learn(tasks[done.process], done, given, at)
            completed.append(done)
        if number in trainings and completed:
            model = Model(sorted(completed, key=lambda each: each.completed), seed)
        task = tasks[coming.process]
        given = {name: rule(task, coming) for name, rule in RULES.items()}
        said = model.allocation(task.memory, coming) if model is not None else None
        given["model"] = given[FLOOR] if said is None else said
        chosen = choose(task)
        given["ours"] = given[chosen]
        if number >= start:
            acted += chosen != FLOOR
            for method in METHODS:
                wasted, failures = charge(given[method], coming)
                total[method][0] += wasted
                total[method][1] += failures
        if said is None:
            given.pop("model")
        given |= {f"part {name}": predict(task, coming) for name, predict in POOL.items() if task.peaks}
        heapq.heappush(running, (coming.completed, number, coming, given))
    total["acted"] = [acted, len(kept) - start]
    return total


def choose(task: Task) -> str:
    """The contender that beat the floor on this task's own past; the floor where none did."""
    best, found = BETTER_BY, FLOOR
    for name in CONTENDERS:
        past = task.tally[name][-200:]
        if len(past) < LEAST_PAST:
            continue
        mine, floors = sum(each for each, _ in past), sum(each for _, each in past)
        if floors > 0 and mine / floors <= best:
            best, found = mine / floors, name
    return found


def learn(task: Task, done: Execution, given: dict[str, float], number: int) -> None:
    floor = charge(given[FLOOR], done)[0]
    for name in CONTENDERS:
        if name in given and task.peaks:
            task.tally[name].append((charge(given[name], done)[0], floor))
    for name in POOL:
        if f"part {name}" in given:
            task.parts[name].append((given[f"part {name}"], done.peak))
    task.peaks.append(done.peak)
    task.hours.append(done.hours)
    task.inputs.append(done.input)
    task.memory.add(record(done, max(given[FLOOR], done.peak), number, succeeded=True))


def report(results: dict[str, list[dict[str, list[float]]]]) -> Iterator[str]:
    """The table: medians over the seeds."""
    workflows = sorted(results)
    yield "| method | " + " | ".join(workflows) + " | all |"
    yield "|---" * (len(workflows) + 2) + "|"
    for method in METHODS:
        cells, waste, failures = [], 0.0, 0.0
        for workflow in workflows:
            mine = statistics.median(seed[method][0] for seed in results[workflow])
            fails = statistics.median(seed[method][1] for seed in results[workflow])
            waste, failures = waste + mine, failures + fails
            cells.append(f"{mine:,.1f} / {fails:,.0f}")
        name = f"**{method}**" if method in ("ours", FLOOR) else method
        yield f"| {name} | " + " | ".join(cells) + f" | {waste:,.1f} / {failures:,.0f} |"
    yield ""
    for workflow in workflows:
        ratios = [seed["ours"][0] / seed[FLOOR][0] for seed in results[workflow]]
        acted = statistics.median(seed["acted"][0] / seed["acted"][1] for seed in results[workflow])
        median = statistics.median(ratios)
        verdict = "better" if median < 0.995 else "worse" if median > 1.005 else "as good"
        yield (
            f"- {workflow}: ours wastes {median:.3f} of the floor (seeds {min(ratios):.3f} to {max(ratios):.3f}), "
            f"{verdict}; it chose something else for {acted:.0%} of the executions"
        )


def draw(results: dict[str, list[dict[str, list[float]]]], path: Path) -> None:
    from matplotlib.figure import Figure

    shown = [method for method in METHODS if method not in ("preset", FLOOR)]
    figure = Figure(figsize=(11, 4), layout="constrained")
    axes = figure.subplots()
    for place, method in enumerate(shown):
        for number, workflow in enumerate(sorted(results)):
            ratio = statistics.median(seed[method][0] / seed[FLOOR][0] for seed in results[workflow])
            axes.bar(
                place + number * 0.12 - 0.3,
                ratio,
                0.11,
                color=f"C{number}",
                label=workflow if not place else None,
            )
    axes.axhline(1, color="0.3", linewidth=1)
    axes.set_xticks(range(len(shown)), [name.replace(" x", "\nx") for name in shown], fontsize="small")
    axes.set(ylabel="waste, relative to the floor", yscale="log")
    axes.legend(fontsize="small", ncols=6, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path, dpi=110)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=SEEDS)
    seeds = arguments.parse_args().seeds
    if not DATA.is_file():
        sys.exit(
            f"{DATA} is missing: the data set of github.com/dos-group/sizey is not part of this project; "
            "name the directory that holds sizey/tasks.csv.gz in BENCH_DATA"
        )
    began = time.perf_counter()
    workflows: dict[str, list[Execution]] = defaultdict(list)
    for each in read(DATA):
        workflows[each.workflow].append(each)
    results = {
        name: [simulate(executions, seed) for seed in range(seeds)] for name, executions in workflows.items()
    }
    lines = [
        "# Sizing memory: GB h wasted / failures, medians over the seeds",
        "",
        f"`python benchmarks/sizing.py`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, Python "
        f"{platform.python_version()}, {seeds} seeds, {time.perf_counter() - began:.0f} s. The protocol: "
        "docs/sizing-protocol.md.",
        "",
        *report(results),
    ]
    print("\n".join(lines))
    if seeds == SEEDS:
        import raw_data  # beside this script

        (RESULTS / "sizing.md").write_text("\n".join(lines) + "\n")
        raw_data.write(RESULTS / "sizing.json.gz", results)
        draw(results, RESULTS / "sizing.png")


if __name__ == "__main__":
    main()
