"""How right the rules are on the labelled failures: ``python benchmarks/classify_accuracy.py DATA_DIR``.

``DATA_DIR`` holds ``spark_failures_open.jsonl``, ``spark_noise_open.jsonl`` and ``spark_lab/manifest.json``. Prints
every case that is not right (id, expected, got, rule) and the figures of the issue. Texts are given as files are on
the command line: without saying what kind of log they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from airflow_autoremed.failures.matching.classify import classify_file, classify_texts
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.taxonomy import CATEGORIES


def open_set(catalogue: Catalogue, path: Path) -> None:
    """Category, unclassified share, and recall and precision of memory configuration."""
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    right = unclassified = named = 0
    tp = fp = fn = 0
    for case in cases:
        verdict = classify_texts(catalogue, [(None, case["excerpt"])])
        expected = case["category"]
        right += verdict.category == expected
        if expected != "unknown":
            named += 1
            unclassified += verdict.category == "unknown"
        memory = CATEGORIES[expected].memory_configuration
        tp += memory and verdict.memory_configuration
        fn += memory and not verdict.memory_configuration
        fp += not memory and verdict.memory_configuration
        if verdict.category != expected:
            others = [f"{match.rule}:{match.category}({match.rank})" for match in verdict.runners_up[:4]]
            print(
                f"{case['id']}: expected {expected}, got {verdict.category} by {verdict.rule}; also {others}"
            )
    print(f"category right {right}/{len(cases)} = {right / len(cases):.1%}")
    print(f"unclassified {unclassified}/{named} = {unclassified / named:.1%}")
    print(
        f"memory recall {tp}/{tp + fn} = {tp / (tp + fn):.1%}, precision {tp}/{tp + fp} = {tp / (tp + fp):.1%}"
    )


def noise_set(catalogue: Catalogue, path: Path) -> None:
    """Healthy excerpts: every verdict but unknown is a false alarm."""
    alarms = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        verdict = classify_texts(catalogue, [(None, case["excerpt"])])
        if verdict.category != "unknown":
            alarms += 1
            print(f"{case['id']}: false alarm {verdict.category} by {verdict.rule}")
    print(f"false alarms {alarms}")


def lab(catalogue: Catalogue, folder: Path) -> None:
    """Whole driver logs of real runs."""
    cases = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    right = 0
    for case in cases:
        verdict = classify_file(catalogue, folder / case["file"])
        ok = verdict.category in case["accepted_categories"]
        right += ok
        if not ok:
            others = [f"{match.rule}:{match.category}({match.rank})" for match in verdict.runners_up[:5]]
            print(
                f"{case['file']}: expected {case['accepted_categories']}, got {verdict.category} by {verdict.rule}"
            )
            print(f"    {verdict.lines[:1]}; also {others}; decisive {case['decisive_line'][:200]}")
    print(f"lab driver logs right {right}/{len(cases)} = {right / len(cases):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    catalogue = load_catalogue()
    print(f"{len(catalogue.rules)} rules")
    open_set(catalogue, arguments.data / "spark_failures_open.jsonl")
    noise_set(catalogue, arguments.data / "spark_noise_open.jsonl")
    lab(catalogue, arguments.data / "spark_lab")


if __name__ == "__main__":
    main()
