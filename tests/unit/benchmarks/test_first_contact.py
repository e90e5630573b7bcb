"""The first-contact benchmark and its labelled texts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Action, Advice, Classification, Decision, Reason, Restartable
from benchmarks import first_contact

DATA = Path(__file__).parents[2] / "data" / "first_contact"
BATCHES = sorted(DATA.glob("batch_*.jsonl"))
MOST_LINES = 60


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def case(**labels: object) -> first_contact.Case:
    plain = first_contact.Case(
        id="x",
        text="java.lang.OutOfMemoryError: Metaspace",
        accepted_categories=frozenset({"metaspace_oom"}),
        memory=True,
        side="either",
        pool="metaspace",
        accepted_restartable=frozenset({"with_changes"}),
        accepted_fix_keys=frozenset(),
        healthy=False,
        declared={},
    )
    return replace(plain, **labels)


def decision(action: Action) -> Decision:
    cause = Classification("disk_full", "rule", Restartable.NO, False)
    return Decision(action, Reason("x", Advice.INCURABLE), cause, conf={})


@pytest.mark.parametrize("path", BATCHES, ids=lambda path: path.stem)
def test_a_batch_has_enough_texts_with_complete_labels_from_the_taxonomy(path):
    found = rows(path)
    failures = [row for row in found if not row["healthy"]]
    assert len(failures) >= 60
    for row in found:
        assert row["text"].strip()
        assert row["text"].count("\n") < MOST_LINES
        assert row["source"].startswith("https://")
        assert row["retrieved"]
        assert row["category"] in row["accepted_categories"]
        assert set(row["accepted_categories"]) <= set(CATEGORIES)
        assert set(row["accepted_restartable"]) <= {kind.value for kind in Restartable}
        assert row["side"] in (None, "driver", "executor", "either")
        assert row["pool"] is None or row["pool"] in first_contact.POOL_KEYS
        if row["memory"]:
            assert row["side"]


def test_no_text_is_in_two_batches():
    texts = Counter(row["text"] for path in BATCHES for row in rows(path))
    ids = Counter(row["id"] for path in BATCHES for row in rows(path))
    assert not [text for text, times in {**texts, **ids}.items() if times > 1]


def test_a_known_failure_is_right_in_every_figure():
    figures, misses = first_contact.grade([case()], load_catalogue())
    assert misses == []
    assert (figures.category.right, figures.memory_recall.right, figures.setting.right) == (1, 1, 1)
    assert (figures.unclassified.right, figures.hurtful.right) == (0, 0)


def test_an_unknown_text_counts_as_unclassified_and_as_a_missed_memory_failure():
    figures, misses = first_contact.grade([case(text="nothing that anybody knows")], load_catalogue())
    assert (figures.unclassified.right, figures.category.right, figures.memory_recall.right) == (1, 0, 0)
    assert "unclassified" in misses[0]


def test_a_failure_that_can_be_read_both_ways_counts_neither_for_recall_nor_for_precision():
    figures, _ = first_contact.grade([case(memory=None)], load_catalogue())
    assert (figures.memory_recall.of, figures.memory_precision.of) == (0, 0)


@pytest.mark.parametrize(
    ("accepted", "action", "hurts"),
    [
        ({"as_is"}, Action.STOP, True),
        ({"as_is", "no"}, Action.STOP, False),
        ({"no"}, Action.REMEDIATE, True),
        ({"no"}, Action.STOP, False),
        ({"with_changes"}, Action.LEAVE_ALONE, False),
    ],
)
def test_stopping_the_curable_and_growing_the_incurable_hurts(accepted, action, hurts):
    assert first_contact.hurts(case(accepted_restartable=frozenset(accepted)), decision(action)) is hurts


def test_healthy_lines_that_are_taken_for_a_failure_are_false_alarms():
    calm = case(healthy=True, accepted_categories=frozenset({"unknown"}))
    figures, _ = first_contact.grade([calm, replace(calm, text="all is well")], load_catalogue())
    assert (figures.false_alarms.right, figures.false_alarms.of) == (1, 2)


def test_a_row_is_added_below_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n| a |\n|---|\n| 1 |\n\nafter\n")
    first_contact.append("| 2 |", page)
    assert page.read_text() == "# Title\n\n| a |\n|---|\n| 1 |\n| 2 |\n\nafter\n"
