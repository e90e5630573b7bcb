"""How right the whole way to a decision is on texts that nobody had seen: ``python benchmarks/first_contact.py BATCH.jsonl``.

``BATCH.jsonl`` is a batch of ``tests/data/first_contact`` (the labelling rules are in its README). Each failure is
classified and decided about as a first failure of a task that has retries left and declares :data:`DECLARED`, or what
the text itself says that it ran with. Prints
every miss, and one row of the table in ``docs/first-contact.md``; ``--append`` adds the row there. ``--open`` reads
``spark_failures_open.jsonl`` instead, which the rules were written against: for testing this script.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.remediation import pipeline
from airflow_autoremed.remediation.gates import Passage
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import UNKNOWN, Action, AttemptId, Conf, Decision, FailedAttempt, Limits

PAGE = Path(__file__).parent.parent / "docs" / "first-contact.md"
DECLARED = {
    "spark.driver.memory": "2g",
    "spark.executor.memory": "4g",
    "spark.executor.cores": "2",
    "spark.executor.instances": "4",
}
"""What the task declares: small enough that a larger setting is within the default limits."""
POOL_KEYS = {
    "heap": ("spark.{side}.memory",),
    "overhead": ("spark.{side}.memoryOverhead", "spark.{side}.memoryOverheadFactor", "spark.yarn.{side}.memoryOverhead"),
    "python": ("spark.{side}.pyspark.memory", "spark.{side}.memoryOverhead", "spark.{side}.memoryOverheadFactor"),
    "off-heap": ("spark.memory.offHeap.size",),
    "direct": ("spark.{side}.memoryOverhead", "spark.{side}.memory", "spark.{side}.extraJavaOptions"),
    "metaspace": ("spark.{side}.extraJavaOptions",),
    "stack": ("spark.{side}.extraJavaOptions",),
    "device": ("spark.rapids.memory.gpu.allocFraction", "spark.rapids.sql.concurrentGpuTasks", "spark.executor.cores"),
}  # fmt: skip
"""Which settings give a pool of one side more room."""
_SIDES = ("driver", "executor")


@dataclass(frozen=True)
class Case:
    """One labelled text; the fields are explained in ``tests/data/first_contact/README.md``."""

    id: str
    text: str
    accepted_categories: frozenset[str]
    memory: bool | None
    side: str | None
    pool: str | None
    accepted_restartable: frozenset[str]
    accepted_fix_keys: frozenset[str]
    healthy: bool
    declared: Conf

    @classmethod
    def of(cls, row: dict[str, Any]) -> Case:
        """A row of a batch."""
        sets = ("accepted_categories", "accepted_restartable", "accepted_fix_keys")
        plain = ("id", "text", "memory", "side", "pool", "healthy", "declared")
        return cls(**{name: row[name] for name in plain}, **{name: frozenset(row[name]) for name in sets})

    @classmethod
    def of_open_set(cls, row: dict[str, Any]) -> Case:
        """A row of ``spark_failures_open.jsonl``, which names neither side nor pool."""
        category = row["category"]
        side = category.split("_", 1)[0]
        usual = {"yes": {"as_is"}, "no": {"no", "with_changes"}, "maybe": {"as_is", "with_changes"}}
        return cls(
            id=row["id"],
            text=row["excerpt"],
            accepted_categories=frozenset({category}),
            memory=CATEGORIES[category].memory_configuration,
            side=side if side in _SIDES else None,
            pool=None,
            accepted_restartable=frozenset(usual[row["restartable_as_is"]]),
            accepted_fix_keys=frozenset(row["fix_params"]),
            healthy=False,
            declared={},
        )

    @property
    def right_settings(self) -> frozenset[str]:
        """Settings of which a right recommendation changes at least one; empty where the labels do not say."""
        sides = (self.side,) if self.side in _SIDES else _SIDES
        keys = {key.format(side=side) for key in POOL_KEYS.get(self.pool or "", ()) for side in sides}
        return self.accepted_fix_keys | keys


@dataclass
class Share:
    """A count of right ones among those that can be judged."""

    right: int = 0
    of: int = 0

    def add(self, right: bool) -> None:
        self.right += right
        self.of += 1

    def __str__(self) -> str:
        return f"{self.right}/{self.of} ({self.right / self.of:.0%})" if self.of else "-"


@dataclass
class Figures:
    """What a batch shows."""

    unclassified: Share = field(default_factory=Share)
    category: Share = field(default_factory=Share)
    memory_recall: Share = field(default_factory=Share)
    memory_precision: Share = field(default_factory=Share)
    restartable: Share = field(default_factory=Share)
    side: Share = field(default_factory=Share)
    setting: Share = field(default_factory=Share)
    hurtful: Share = field(default_factory=Share)
    false_alarms: Share = field(default_factory=Share)

    def row(self, batch: str, commit: str, day: str) -> str:
        """A row of the table in ``docs/first-contact.md``."""
        shares = (getattr(self, name) for name in self.__dataclass_fields__)
        return f"| {' | '.join((batch, day, commit, *map(str, shares)))} |"


HEADER = (
    "| batch | date | commit | unclassified | category accepted | memory recall | memory precision "
    "| restartable right | side right | right setting | hurtful decisions | healthy taken for a failure |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def decide(catalogue: Catalogue, case: Case) -> Decision:
    """What would be decided about a first failure of which nothing but the text is known."""
    conf = {**DECLARED, **case.declared}
    failed = FailedAttempt(AttemptId("first_contact", "run", "task", -1, 1), conf, conf, retries_left=1)
    return pipeline.decide(failed, classify_texts(catalogue, [(None, case.text)]), Limits(), Passage())


def side_of(decision: Decision) -> str | None:
    """The side that a decision takes for the cause: what the verdict says, else the settings that it changes."""
    found = decision.classification
    by_category = found.category.split("_", 1)[0]
    if found.side is not None:
        return found.side.value
    if by_category in _SIDES:
        return by_category
    changed = {side for side in _SIDES for key in decision.changes if f".{side}." in key}
    return changed.pop() if len(changed) == 1 else None


def hurts(case: Case, decision: Decision) -> bool:
    """A curable failure is stopped, or one that nothing cures is given more."""
    curable = "no" not in case.accepted_restartable
    incurable = case.accepted_restartable == {"no"}
    return (curable and decision.action is Action.STOP) or (incurable and decision.action is Action.REMEDIATE)


def grade(cases: Iterable[Case], catalogue: Catalogue) -> tuple[Figures, list[str]]:
    """The figures, and a line for each case with something wrong."""
    figures, misses = Figures(), []
    for case in cases:
        decision = decide(catalogue, case)
        wrong = _grade_healthy(case, decision, figures) if case.healthy else _grade(case, decision, figures)
        if wrong:
            found = decision.classification
            misses.append(
                f"{case.id}: {', '.join(wrong)}; accepted {sorted(case.accepted_categories)}, got {found.category} "
                f"by {found.rule}, {decision.action.value} {dict(decision.changes)}"
            )
    return figures, misses


def _grade_healthy(case: Case, decision: Decision, figures: Figures) -> list[str]:
    alarm = decision.classification.category not in case.accepted_categories
    figures.false_alarms.add(alarm)
    return ["false alarm"] if alarm else []


def _grade(case: Case, decision: Decision, figures: Figures) -> list[str]:
    found, wrong = decision.classification, []

    def judge(share: Share, right: bool, complaint: str) -> None:
        share.add(right)
        if not right:
            wrong.append(complaint)

    if UNKNOWN not in case.accepted_categories:
        figures.unclassified.add(found.category == UNKNOWN)
    judge(
        figures.category,
        found.category in case.accepted_categories,
        "unclassified" if found.category == UNKNOWN else "category",
    )
    if case.memory:
        judge(figures.memory_recall, found.memory_configuration, "memory failure not seen")
    if case.memory is not None and found.memory_configuration:
        judge(figures.memory_precision, case.memory, "not a memory failure")
    judge(figures.restartable, found.restartable.value in case.accepted_restartable, "restartable")
    if case.memory and case.side in _SIDES:
        judge(figures.side, side_of(decision) == case.side, "side")
    if case.memory and case.right_settings:
        judge(figures.setting, any(key in case.right_settings for key in decision.changes), "setting")
    hurtful = hurts(case, decision)
    figures.hurtful.add(hurtful)
    if hurtful:
        wrong.append("HURTS")
    return wrong


def read(path: Path, open_set: bool = False) -> list[Case]:
    """The cases of a file."""
    make = Case.of_open_set if open_set else Case.of
    return [make(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def append(row: str, page: Path) -> None:
    """Add *row* below the last row of the first table of *page*."""
    text = page.read_text(encoding="utf-8")
    table = re.search(r"(?m)(?:^\|.*\|\n)+", text)
    if table is None:
        raise SystemExit(f"{page} has no table to append to")
    page.write_text(f"{text[: table.end()]}{row}\n{text[table.end() :]}", encoding="utf-8")


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=PAGE.parent).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batch", type=Path)
    parser.add_argument("--open", action="store_true", help="BATCH is spark_failures_open.jsonl")
    parser.add_argument("--append", action="store_true", help=f"add the row to {PAGE.name}")
    arguments = parser.parse_args()
    figures, misses = grade(read(arguments.batch, arguments.open), load_catalogue())
    row = figures.row(arguments.batch.stem, _commit(), f"{date.today():%Y-%m-%d}")
    print(*misses, "", HEADER, row, sep="\n")
    if arguments.append:
        append(row, PAGE)


if __name__ == "__main__":
    main()
