"""Playing the year: every run of every task with every strategy, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.remediation import reasons
from airflow_autoremed.types import Brakes
from benchmarks.fleet.ours import Product, Weak, of_memory
from benchmarks.fleet.strategies import OURS, SIMPLE, STICKY, Simple, Tried, double_all
from benchmarks.fleet.world import TRIES, Fleet, Task, cost, make_task

MEASURES = (
    "runs",
    "attempts",
    "succeeded",
    "first_failures",
    "needy",
    "healed",
    "needy_memory",
    "healed_memory",
    "incurable_runs",
    "incurable_stopped_first",
    "retries_on_incurable",
    "wrong_stops",
    "cost",
    "failed_cost",
    "healed_cost",
)
"""Counted a day. *needy*: runs whose first try fails as declared, although something cures them: the same for every
strategy, so that a failure that a strategy prevents counts like one that it heals."""
_AT = {name: number for number, name in enumerate(MEASURES)}
_EXAMPLES = 6


@dataclass
class Tally:
    """What one strategy brought: measures x days."""

    counts: NDArray[np.float64]
    weak: list[Weak] = field(default_factory=list)
    """Examples, a few of each kind."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Wrong stops by why."""

    @classmethod
    def empty(cls, days: int) -> Tally:
        return cls(np.zeros((len(MEASURES), days)))

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.weak.extend(other.weak)
        self.wrong.update(other.wrong)

    def count(self, name: str, day: int, amount: float = 1.0) -> None:
        self.counts[_AT[name], day] += amount

    def example(self, weak: Weak) -> None:
        if sum(each.kind == weak.kind for each in self.weak) < _EXAMPLES:
            self.weak.append(weak)


@dataclass(frozen=True)
class Run:
    """A run that was played to its end."""

    succeeded: bool
    cost: float
    """GiB-hours."""
    failed_cost: float
    tries: int
    stopped: bool
    """Whether a try that was left was not made."""
    first: bool
    """Whether the first try succeeded."""


def play_simple(task: Task, day: int, strategy: Simple) -> Run:
    """One run with a strategy that remembers nothing."""
    conf = strategy.first(task, day)
    tried: list[Tried] = []
    spent = 0.0
    while True:
        ending = task.attempt(day, len(tried) + 1, conf)
        price = cost(conf, ending.duration_s)
        if ending.succeeded:
            return Run(True, spent + price, spent, len(tried) + 1, False, not tried)
        spent += price
        tried.append(Tried(conf, ending))
        following = strategy.next(task, day, tried) if len(tried) < TRIES else None
        if following is None:
            return Run(False, spent, spent, len(tried), len(tried) < TRIES, False)
        conf = following


class Sticky:
    """Doubles everything after each failure, and keeps what it came to, like a person who is tired of it."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[int, dict[str, str]]] = {}

    def strategy(self, task: Task, day: int) -> Simple:
        epoch, conf = self.kept.get(task.number, (-1, {}))
        same = epoch >= 0 and task.baselines[epoch] == task.baseline(day)
        return _Kept(double_all, conf=conf if same else task.baseline(day))

    def play(self, task: Task, day: int) -> Run:
        strategy = self.strategy(task, day)
        run = play_simple(task, day, strategy)
        if run.tries > 1:
            conf: Any = strategy.first(task, day)
            for number in range(1, run.tries):
                conf = double_all(task, day, [Tried(conf, task.attempt(day, number, conf))])
            # Only what helped is kept: nobody keeps memory for a run that failed all the same.
            if run.succeeded:
                self.kept[task.number] = (int(task.epoch[day]), dict(conf))
        return run


@dataclass(frozen=True)
class _Kept(Simple):
    conf: Any = None

    def first(self, task: Task, day: int) -> Any:
        return self.conf


def play_ours(task: Task, day: int, product: Product, tally: Tally) -> Run:
    """One run with the product."""
    running = product.first(task, day)
    spent, number = 0.0, 0
    while True:
        number += 1
        ending = task.attempt(day, number, running.effective)
        price = cost(running.effective, ending.duration_s)
        if ending.succeeded:
            product.succeeded(task, running, ending)
            return Run(True, spent + price, spent, number, False, number == 1)
        spent += price
        following = product.failed(task, running, ending)
        if following is None:
            _look(task, day, number, str(ending.cause), product, tally)
            return Run(False, spent, spent, number, number < TRIES, False)
        _look_at_retry(task, day, number, running, following, str(ending.cause), product, tally)
        running = following


def _look(task: Task, day: int, number: int, truth: str, product: Product, tally: Tally) -> None:
    """Keep a stop that was wrong, with why."""
    if number >= TRIES or not task.curable(day) or product.last is None:
        return
    verdict = product.last.classification.category
    shortage = product.last.reason.shortage
    if verdict != truth:
        why = f"read as {'an incurable cause' if product.last.decided_by == 'rules' else 'another cause'}"
    elif shortage is not None and shortage.limit == "max_growth":
        why = "growth ceiling"
    elif shortage is not None and shortage.limit == "max_container_memory":
        why = "near the largest container"
    elif product.last.decided_by == "rules":
        why = "rules"
    else:
        why = "model" if product.last.decided_by != "playbook" else "playbook"
    if product.last.decided_by not in ("rules", "playbook") and verdict != "unknown":
        why = f"{why} (model)" if why != "model" else why
    tally.wrong[why] += 1
    tally.example(_weak(f"wrong stop: {why}", task, day, truth, product))


def _look_at_retry(
    task: Task,
    day: int,
    number: int,
    running: Any,
    following: Any,
    truth: str,
    product: Product,
    tally: Tally,
) -> None:
    """Keep a remediation after which the next try fails of the same want."""
    if product.last is None or not of_memory(truth) or number >= TRIES:
        return
    again = task.attempt(day, number + 1, following.effective)
    if again.succeeded or again.cause != truth:
        return
    verdict = product.last.classification.category
    if verdict != truth:
        kind = "retry in vain: not recognised"
    elif product.last.reason.held_back is not None:
        kind = "retry in vain: remediation paused by a brake"
    elif dict(following.effective) == dict(running.effective):
        kind = "retry in vain: nothing changed"
    else:
        kind = "retry in vain: grown too little"
    tally.wrong[kind] += 1
    tally.example(_weak(kind, task, day, truth, product))


def _weak(kind: str, task: Task, day: int, truth: str, product: Product) -> Weak:
    decision = product.last
    assert decision is not None
    return Weak(
        kind,
        task.number,
        day,
        truth,
        decision.classification.category,
        decision.decided_by,
        reasons.text(decision)[:400],
        dict(task.baseline(day)),
    )


def settle(task: Task, day: int, run: Run, tally: Tally) -> None:
    """Count a run that was not calm, or that was not played as declared."""
    tally.count("runs", day)
    tally.count("attempts", day, run.tries)
    tally.count("succeeded", day, run.succeeded)
    tally.count("first_failures", day, not run.first)
    tally.count("cost", day, run.cost)
    tally.count("failed_cost", day, run.failed_cost)
    if task.calm[day]:
        return
    if not task.curable(day):
        tally.count("incurable_runs", day)
        tally.count("incurable_stopped_first", day, run.tries == 1 and not run.succeeded)
        tally.count("retries_on_incurable", day, run.tries - 1)
        return
    memory = of_memory(task.attempt(day, 1, task.baseline(day)).cause)
    tally.count("needy", day)
    tally.count("healed", day, run.succeeded)
    tally.count("needy_memory", day, memory)
    tally.count("healed_memory", day, memory and run.succeeded)
    tally.count("healed_cost", day, run.cost if run.succeeded else 0.0)
    tally.count("wrong_stops", day, run.stopped and not run.succeeded)


def settle_calm(task: Task, days: NDArray[np.int64], tally: Tally) -> None:
    """Count runs whose first try succeeds as declared, all at once."""
    for name in ("runs", "attempts", "succeeded"):
        tally.counts[_AT[name], days] += 1
    tally.counts[_AT["cost"], days] += task.calm_cost[days]


def task_simple(task: Task, strategy: Simple, tally: Tally) -> None:
    """A task's year with a strategy that remembers nothing."""
    settle_calm(task, np.flatnonzero(task.runs & task.calm), tally)
    for day in np.flatnonzero(task.runs & ~task.calm).tolist():
        settle(task, day, play_simple(task, day, strategy), tally)


def task_sticky(task: Task, tally: Tally) -> None:
    """A task's year with the doubling that is kept."""
    sticky = Sticky()
    for day in np.flatnonzero(task.runs).tolist():
        settle(task, day, sticky.play(task, day), tally)


def day_ours(task: Task, day: int, product: Product, tally: Tally) -> None:
    """A task's day with the product."""
    settle(task, day, play_ours(task, day, product, tally), tally)


def task_ours(task: Task, product: Product, tally: Tally) -> None:
    """A task's year with the product, by itself."""
    for day in np.flatnonzero(task.runs).tolist():
        day_ours(task, day, product, tally)


def alone(fleet: Fleet, number: int) -> dict[str, Tally]:
    """Everything but the model, for one task that shares nothing with others: what the Spark job maps. The product's
    brakes of a Dag and of a category, which look at other tasks, are off."""
    task = make_task(fleet, number)
    tallies = {name: Tally.empty(fleet.days) for name in (*SIMPLE, STICKY, OURS)}
    for name, strategy in SIMPLE.items():
        task_simple(task, strategy, tallies[name])
    task_sticky(task, tallies[STICKY])
    product = Product(brakes=Brakes(brake_dag=None, brake_category=None))
    task_ours(task, product, tallies[OURS])
    return tallies


def rule_strategies(fleet: Fleet, tasks: Sequence[Task], names: Iterable[str]) -> dict[str, Tally]:
    """The strategies without a model, on *tasks*; the product with the brakes of a whole deployment."""
    tallies = {}
    for name in names:
        tally = tallies[name] = Tally.empty(fleet.days)
        if name == OURS:
            play_fleet(fleet, tasks, Product(), tally)
            continue
        for task in tasks:
            if name == STICKY:
                task_sticky(task, tally)
            else:
                task_simple(task, SIMPLE[name], tally)
    return tallies


def play_fleet(fleet: Fleet, tasks: Sequence[Task], product: Product, tally: Tally) -> None:
    """A year of a deployment, day by day."""
    for day in range(fleet.days):
        for task in tasks:
            if task.runs[day]:
                day_ours(task, day, product, tally)


def play_model(
    fleet: Fleet, tasks: Sequence[Task], models: Path, *, every: int, window: int, most: int, say: Any = None
) -> tuple[Tally, Product, list[dict[str, Any]]]:
    """The same with a model that is trained anew every so many days."""
    product, tally = Product(record=True), Tally.empty(fleet.days)
    trainings = []
    for day in range(fleet.days):
        if day and day % every == 0:
            trainings.append(product.train(day, models, window=window, most=most, seed=fleet.seed))
            if say is not None:
                say(f"day {day}: {trainings[-1]}")
        for task in tasks:
            if task.runs[day]:
                day_ours(task, day, product, tally)
    return tally, product, trainings
