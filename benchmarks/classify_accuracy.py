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

_STAMP = "26/03/02 10:00:01"
_RAN_AGAIN = f"{_STAMP} INFO TaskSetManager: Finished task 1.1 in stage 4.0 (TID 44) in 4000 ms on 10.0.0.5 (executor 5) (8/8)"
_FINISHED = f"{_STAMP} INFO DAGScheduler: Job 7 finished: save at etl.py:30, took 200.1 s"
SURVIVED = (
    f"{_STAMP} WARN TaskSetManager: Lost task 1.0 in stage 4.0 (TID 40) (10.0.0.4 executor 3): "
    f"java.lang.OutOfMemoryError: Java heap space\n{_RAN_AGAIN}\n{_FINISHED}",
    f"{_STAMP} ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: Command exited with code 137\n"
    f"{_STAMP} WARN TaskSetManager: Lost task 1.0 in stage 4.0 (TID 9) (10.0.0.4 executor 1): ExecutorLostFailure "
    f"(executor 1 exited caused by one of the running tasks) Reason: Command exited with code 137\n{_RAN_AGAIN}",
    'SLF4J: Failed to load class "org.slf4j.impl.StaticLoggerBinder".',
    f"{_STAMP} WARN ObjectStore: Version information not found in metastore. hive.metastore.schema.verification is not "
    "enabled so recording the schema version 2.3.0",
    "# A fatal error has been detected by the Java Runtime Environment:\n"
    f"#  SIGSEGV (0xb) at pc=0x00007f, pid=4321, tid=4400\n{_RAN_AGAIN}",
    f"{_STAMP} INFO Executor: Executor is trying to kill task 9.1 in stage 4.0 (TID 41), reason: another attempt "
    f"succeeded\n{_STAMP} ERROR TaskMemoryManager: error while calling spill() on "
    "org.apache.spark.util.collection.unsafe.sort.UnsafeExternalSorter@1a2b\njava.io.InterruptedIOException\n"
    f"{_FINISHED}",
    f"{_STAMP} WARN BlockManager: Asked to remove block broadcast_3_piece0, which does not exist",
    f"{_STAMP} WARN DataSourceManager: Skipping the lookup of Python Data Sources due to the failure: "
    "java.lang.StackOverflowError",
    "+---+----+\n|id |message |\n|7  |[TABLE_OR_VIEW_NOT_FOUND] no table x SQLSTATE: 42P01|\n+---+----+",
    "processing ticket 77: java.lang.OutOfMemoryError: Java heap space",
)
"""Troubles that an application got over, as its log shows them."""


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


def after_noise(catalogue: Catalogue, data: Path) -> None:
    """Healthy noise, or an error that was survived, followed by the failure that ended the run: is that one named?"""
    failures = [
        json.loads(line) for line in (data / "spark_failures_open.jsonl").read_text("utf-8").splitlines()
    ]
    noise = [json.loads(line) for line in (data / "spark_noise_open.jsonl").read_text("utf-8").splitlines()]
    for name, texts in (
        ("healthy noise", [case["excerpt"] for case in noise]),
        ("a survived error", SURVIVED),
    ):
        right = 0
        for text in texts:
            for failure in failures:
                verdict = classify_texts(catalogue, [(None, f"{text}\n{failure['excerpt']}")])
                right += verdict.category == failure["category"]
        count = len(texts) * len(failures)
        print(f"{name}, then the failure: {right}/{count} = {right / count:.1%}")


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
    after_noise(catalogue, arguments.data)
    lab(catalogue, arguments.data / "spark_lab")


if __name__ == "__main__":
    main()
