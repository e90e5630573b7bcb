"""How good the text model is where no rule speaks: ``python benchmarks/text_model.py DATA.jsonl [--seeds N]``.

``DATA.jsonl`` holds labelled failures (``excerpt``, ``category``, ``platform``). Prints two ways of learning, each
judged on texts that were held out, over several seeds: from the labelled failures alone, split by source (their
``platform``), and from the examples of the rules alone, judged on all labelled failures. Rules were written with
sight of public failures, so the second is a claim about the rules' words as much as about the model.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold

from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.learning.text_model import counts
from airflow_autoremed.learning.text_training import Example, _fit, train_text_model
from airflow_autoremed.taxonomy import CATEGORIES


def figures(labels: np.ndarray, guesses: np.ndarray, confidences: np.ndarray) -> dict[str, float]:
    """Accuracy, that of the surest 30%, memory configuration yes or no, and what guessing the commonest gives."""
    right = labels == guesses
    surest = np.argsort(-confidences, kind="stable")[: max(1, round(0.3 * len(labels)))]
    truth = np.array([CATEGORIES[label].memory_configuration for label in labels])
    memory = np.array([CATEGORIES[guess].memory_configuration if guess else False for guess in guesses])
    return {
        "accuracy": float(right.mean()),
        "surest 30%": float(right[surest].mean()),
        "memory yes/no": float((truth == memory).mean()),
        "majority": float(max((labels == each).mean() for each in set(labels))),
        "majority of memory": float(max(truth.mean(), 1 - truth.mean())),
    }


def by_source(cases: list[Example], seed: int, more: list[Example]) -> dict[str, float]:
    """Learn from the other sources (and ``more``), judge this one."""
    labels = np.array([case.category for case in cases])
    groups = np.array([case.group for case in cases])
    guesses, confidences = np.full(len(cases), "", dtype=object), np.zeros(len(cases))
    found = [counts([case.text]) for case in cases]
    extra = [counts([case.text]) for case in more]
    folds = GroupKFold(5, shuffle=True, random_state=seed)
    for learn, judge in folds.split(labels, labels, groups):
        known = np.concatenate([labels[learn], [case.category for case in more]])
        model, _ = _fit([*(found[i] for i in learn), *extra], known, seed)
        for i in judge:
            opinion = model.predict(cases[i].text)
            guesses[i], confidences[i] = opinion.category, opinion.confidence
    return figures(labels, guesses, confidences)


def show(title: str, runs: list[dict[str, float]]) -> None:
    """Means over seeds, with the range."""
    print(title)
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"  {name:<20} {statistics.mean(values):.3f}  ({min(values):.3f} to {max(values):.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    lines = arguments.data.read_text(encoding="utf-8").splitlines()
    cases = [
        Example(case["excerpt"], case["category"], case["platform"])
        for case in map(json.loads, lines)
        if case["category"] != "unknown"
    ]
    rules = [
        Example(example, rule.category, rule.id)
        for rule in load_catalogue().rules
        for example in rule.examples
        if rule.category != "unknown"
    ]
    print(f"{len(cases)} labelled failures of {len({case.group for case in cases})} sources")
    print(f"{len(rules)} examples of rules")
    seeds = range(arguments.seeds)
    show("learnt from the other sources", [by_source(cases, seed, []) for seed in seeds])
    show(
        "learnt from the other sources and the rules' examples",
        [by_source(cases, seed, rules) for seed in seeds[:1]],
    )
    model = train_text_model(rules).model
    opinions = [model.predict(case.text) for case in cases]
    labels = np.array([case.category for case in cases])
    guesses = np.array([opinion.category for opinion in opinions], dtype=object)
    show(
        "learnt from the rules' examples alone",
        [figures(labels, guesses, np.array([opinion.confidence for opinion in opinions]))],
    )
    above = np.array([opinion.above_bar for opinion in opinions])
    share = float((labels == guesses)[above].mean()) if above.any() else float("nan")
    print(f"  above its bar {model.bar}: {above.mean():.1%} of them, right in {share:.1%}")
    print(f"  held-out rules: {json.dumps(dict(model.metrics))}")


if __name__ == "__main__":
    main()
