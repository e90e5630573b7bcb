"""The exact lattice beside Optuna and Ax: the same surrogate, the same objective, the same candidates.

    make bench-optimiser              # in an environment of its own with both; writes results/optimiser.{json.gz,md}
    python benchmarks/optimiser.py    # without what is not installed; then nothing is kept

For each of 20 seeds a failed attempt is drawn and asked about: 100,800 candidates over executor memory, overhead,
cores and shuffle partitions. *Regret* is how much larger the objective of a method's answer is than the smallest
one there is on the lattice. *Wall* is the time from the question to the answer, of a model that is loaded already.
The cold start (a fresh process: load the model, evaluate, choose) is measured on top of importing numpy.

The surrogate is the best family of a training on a made-up history (``benchmarks/training.py``): what is compared is
searches, not models.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import raw_data
from training import history

from airflow_autoremed.learning.examples import TrainingSet, examples
from airflow_autoremed.learning.features import TaskMemory
from airflow_autoremed.learning.model import Model, write
from airflow_autoremed.learning.training import FAMILIES, _spread, train
from airflow_autoremed.types import Axis, Objective, Question, RecordedAttempt

RESULTS = Path(__file__).parent / "results"
SEEDS = 20
OPTUNA_TRIALS = 100
AX_TRIALS = (30,)
GIB = 1024**3
AXES = (
    Axis("spark.executor.memory", tuple(float(x) for x in np.geomspace(1 * GIB, 64 * GIB, 60))),
    Axis("spark.executor.memoryOverhead", tuple(float(x) for x in np.geomspace(GIB / 4, 16 * GIB, 42))),
    Axis("spark.executor.cores", (1.0, 2.0, 4.0, 8.0)),
    Axis("spark.sql.shuffle.partitions", tuple(float(x) for x in np.geomspace(100, 4000, 10).round())),
)
SHAPE = tuple(len(axis.values) for axis in AXES)
W = Objective().weight_of_failure

Search = Callable[[Model, Question, int], tuple[int, ...]]


def relative_cost() -> Any:
    """Of every candidate, relative to the smallest: memory and cores at list prices, four executors."""
    heap, overhead, cores, _ = np.ix_(*(np.array(axis.values) for axis in AXES))
    rate = 0.004445 * (heap + overhead) / GIB + 0.04048 * cores
    rate = np.broadcast_to(rate, SHAPE)
    return rate / np.median(rate)


COST = relative_cost()


def objective(model: Model, question: Question) -> Any:
    """The whole lattice, exactly."""
    answer = model.predict(question)
    return W * answer.fails + (1 - W) * COST * answer.duration_s / model.usual_duration_s


def exact(model: Model, question: Question, seed: int) -> tuple[int, ...]:
    return tuple(int(each) for each in np.unravel_index(int(objective(model, question).argmin()), SHAPE))


class OneByOne:
    """The objective at a single candidate, as a search that knows no lattice asks for it."""

    def __init__(self, model: Model, question: Question) -> None:
        self.model, self.question = model, question
        memory = TaskMemory.of(question.past)
        self.row = memory.row(question.coming)
        self.along = memory.along(question.coming, question.axes)
        usual = memory.usual_duration_s
        self.usual = (usual if usual > 0 else model.usual_duration_s) / model.usual_duration_s

    def __call__(self, at: tuple[int, ...]) -> float:
        row = self.row.copy()
        for (columns, values), position in zip(self.along, at, strict=True):
            row[columns] = values[position]
        fails = float(self.model.probabilities(row[None, :])[0])
        seconds = self.usual * float(np.exp(np.clip(self.model.duration.rows(row[None, :])[0], -7, 7)))
        return W * fails + (1 - W) * float(COST[at]) * seconds


def with_optuna(model: Model, question: Question, seed: int) -> tuple[int, ...]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = OneByOne(model, question)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(
        lambda trial: asked(tuple(trial.suggest_int(axis.key, 0, len(axis.values) - 1) for axis in AXES)),
        n_trials=OPTUNA_TRIALS,
    )
    return tuple(int(study.best_params[axis.key]) for axis in AXES)


def with_ax(trials: int) -> Search:
    def search(model: Model, question: Question, seed: int) -> tuple[int, ...]:
        import logging

        from ax.api.client import Client
        from ax.api.configs import RangeParameterConfig

        logging.disable(logging.WARNING)
        asked = OneByOne(model, question)
        client = Client(random_seed=seed)
        client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=f"x{n}", bounds=(0, len(axis.values) - 1), parameter_type="int")
                for n, axis in enumerate(AXES)
            ]
        )
        client.configure_optimization(objective="-score")
        best: tuple[float, tuple[int, ...]] = (np.inf, (0,) * len(AXES))
        for _ in range(trials):
            for index, parameters in client.get_next_trials(max_trials=1).items():
                at = tuple(int(parameters[f"x{n}"]) for n in range(len(AXES)))
                score = asked(at)
                best = min(best, (score, at))
                client.complete_trial(trial_index=index, raw_data={"score": score})
        logging.disable(logging.NOTSET)
        return best[1]

    return search


def estimators_own_predict(
    model: Model, question: Question, estimators: dict[str, Any], telling: Any
) -> float:
    """Seconds that scikit-learn's own predict takes for P(fail) of all candidates, building the rows included."""
    asked = OneByOne(model, question)
    began = time.perf_counter()
    rows = np.repeat(asked.row[None, :], int(np.prod(SHAPE)), axis=0).reshape(*SHAPE, -1)
    for number, (columns, values) in enumerate(asked.along):
        for position, column in enumerate(columns):
            rows[..., column] = values[:, position].reshape(
                [-1 if n == number else 1 for n in range(len(SHAPE))]
            )
    estimators["boosting.fails"].predict_proba(rows.reshape(-1, rows.shape[-1])[:, telling])
    return time.perf_counter() - began


COLD = """
import time, numpy, sys
began = time.perf_counter()
from airflow_autoremed.learning.model import read
from airflow_autoremed.types import *
import json
sys.path.insert(0, {here!r})
model = read({folder!r})
GIB = 1024**3
axes = tuple(Axis(key, tuple(values)) for key, values in json.load(open({axes!r})))
conf = {{"spark.executor.memory": "4g"}}
failed = RecordedAttempt(AttemptId("d", "r", "t", -1, 1), 1.7e9, conf, conf, False, 60.0, "executor_oom_heap")
coming = RecordedAttempt(AttemptId("d", "r", "t", -1, 2), 1.7e9, conf, conf)
answer = model.predict(Question(coming, (failed,), axes))
(0.9 * answer.fails + answer.duration_s).argmin()
print(time.perf_counter() - began)
"""


def cold_start(model: Model) -> list[float]:
    with tempfile.TemporaryDirectory() as place:
        write(replace(model, name="cold"), Path(place) / "cold")
        axes = Path(place) / "axes.json"
        axes.write_text(json.dumps([(axis.key, axis.values) for axis in AXES]))
        script = COLD.format(
            here=str(Path(__file__).parent), folder=str(Path(place) / "cold"), axes=str(axes)
        )
        found = []
        for _ in range(12):
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            found.append(float(done.stdout))
        return found[2:]


def measure() -> dict[str, Any]:
    """All figures; searches that are not installed are left out and named."""
    records = list(history(20_000))
    trained = train(TrainingSet.of(examples(records)), name="bench")
    failed = [each for each in records if each.category == "executor_oom_heap"]
    by_task: dict[str, list[RecordedAttempt]] = {}
    for each in records:
        by_task.setdefault(each.attempt.task_id, []).append(each)
    questions = []
    for seed in range(SEEDS):
        one = failed[int(np.random.default_rng(seed).integers(len(failed)))]
        past = tuple(each for each in by_task[one.attempt.task_id] if each.started_at <= one.started_at)[-40:]
        coming = replace(
            one, attempt=replace(one.attempt, try_number=one.attempt.try_number + 1), succeeded=None
        )
        questions.append(Question(coming, past, AXES))

    searches: list[tuple[str, Search]] = [("exact lattice", exact)]
    missing = []
    for name, needed, made in (
        (f"Optuna TPE, {OPTUNA_TRIALS} trials", "optuna", with_optuna),
        *((f"Ax, {count} trials", "ax", with_ax(count)) for count in AX_TRIALS),
    ):
        if importlib.util.find_spec(needed) is None:
            missing.append(name)
        else:
            searches.append((name, made))
    rows = []
    for name, search in searches:
        walls, regrets = [], []
        for seed, question in enumerate(questions):
            truth = objective(trained.model, question)
            began = time.perf_counter()
            at = search(trained.model, question, seed)
            walls.append((time.perf_counter() - began) * 1000)
            regrets.append(float(truth[at] - truth.min()))
        print(f"{name}: {statistics.median(walls):.1f} ms", flush=True)
        rows.append({"search": name, "wall_ms": walls, "regret": regrets})
    oldest = TrainingSet.of(examples(records)).part(slice(0, int(len(records) * 0.6)))
    telling = np.flatnonzero(_spread(oldest.rows) > 0)
    own = [estimators_own_predict(trained.model, each, trained.estimators, telling) for each in questions[:7]]
    families = {}
    for family, _ in FAMILIES[:3]:
        walls = []
        kept: dict[str, Any] = {}
        from airflow_autoremed.learning.families import Scaling

        heads = dict(FAMILIES)[family](oldest, Scaling.fit(oldest.rows), 0, kept)
        model = replace(trained.model, fails=heads.fails, duration=heads.duration or trained.model.duration)
        for question in itertools.chain(questions, questions):
            began = time.perf_counter()
            exact(model, question, 0)
            walls.append((time.perf_counter() - began) * 1000)
        families[family] = walls
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("optuna", "ax-platform", "torch") if _has(name)},
        "candidates": int(np.prod(SHAPE)),
        "seeds": SEEDS,
        "family": trained.model.manifest["families"]["fails"],
        "searches": rows,
        "missing": missing,
        "own_predict_ms": [each * 1000 for each in own],
        "cold_ms": [each * 1000 for each in cold_start(trained.model)],
        "families_ms": families,
    }


def _has(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def table(results: dict[str, Any]) -> list[str]:
    """The searches beside each other, as Markdown."""
    lines = [
        "| search | median wall | p95 | median regret | worst | exact hits |",
        "|---|---|---|---|---|---|",
    ]
    for each in results["searches"]:
        hits = sum(regret < 1e-9 for regret in each["regret"])
        lines.append(
            f"| {each['search']} | {statistics.median(each['wall_ms']):,.1f} ms "
            f"| {np.percentile(each['wall_ms'], 95):,.1f} ms | {statistics.median(each['regret']):.4f} "
            f"| {max(each['regret']):.4f} | {hits}/{results['seeds']} |"
        )
    own = statistics.median(results["own_predict_ms"])
    return [*lines, f"| scikit-learn's own predict, P(fail) alone | {own:,.1f} ms | | | | |"]


def page(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    cold = results["cold_ms"]
    return "\n".join(
        [
            "# The optimiser beside Optuna and Ax",
            "",
            f"`python benchmarks/optimiser.py`, {results['date']}, {results['machine']}, load {results['load']}"
            f"{', ' + versions if versions else ''}.",
            "",
            f"The same surrogate (P(fail) by {results['family']}), the same objective, the same "
            f"{results['candidates']:,} candidates, {results['seeds']} failed attempts. *Regret*: how much larger the "
            "objective of the answer is than the smallest on the lattice.",
            "",
            *table(results),
            "",
            *(
                [f"Not installed, so not run: {', '.join(results['missing'])}.", ""]
                if results["missing"]
                else []
            ),
            f"Cold, on top of importing numpy (load the model, evaluate all, choose): median "
            f"{statistics.median(cold):.0f} ms, largest of {len(cold)} {max(cold):.0f} ms. Both heads of one family: "
            + ", ".join(
                f"{name} {statistics.median(ms):.1f} ms" for name, ms in results["families_ms"].items()
            )
            + ".",
            "",
        ]
    )


def main() -> None:
    warnings.simplefilter("ignore")
    results = measure()
    print(page(results))
    if results["missing"]:
        print("Nothing is kept without them: pip install optuna ax-platform", file=sys.stderr)
        return
    raw_data.write(RESULTS / "optimiser.json.gz", results)
    (RESULTS / "optimiser.md").write_text(page(results))


if __name__ == "__main__":
    main()
