"""A rule file with anything in it: one bad entry costs one entry, and no file hangs a worker or eats its memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_autoremed.failures.rules import loading
from airflow_autoremed.failures.rules.loading import load_catalogue, read_rules

GOOD = (
    "- id: good-one\n  category: executor_oom_heap\n  rank: 50\n"
    "  pattern: 'Giraffe [0-9]+ failed'\n  summary: x\n"
)
RULE = "- id: a-b\n  category: executor_oom_heap\n  rank: 50\n  pattern: 'Zebra fail'\n  summary: x\n"


def laughing(begin: str, item: str, end: str = "]") -> str:
    """Aliases of aliases: each entry is ten of the one before."""
    text = f"- id: &a {begin}x{end}\n" if begin == "[" else "- &a {x: 1}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        text += item.format(name=name, ten=",".join([f"*{before}"] * 10))
    return text


BAD = {
    "a date that no calendar has": RULE.replace("x\n", "2024-99-99\n"),
    "a number that is none": "- id: a-b\n  rank: !!int abc\n",
    "a number of 6,000 digits": f"- id: a-b\n  rank: {'9' * 6000}\n",
    "bytes that are none": "- id: !!binary '\u00e9'\n",
    "code": "- !!python/object/apply:os.system ['echo']\n",
    "a list that never ends": "- id: " + "[" * 100_000 + "\n",
    "deep lists": "- id: " + "[" * 3000 + "]" * 3000 + "\n",
    "deep blocks": "- " * 20_000 + "x\n",
    "deep indentation": "".join(" " * depth + "- \n" for depth in range(1500)),
    "a NUL": "- id: a\x00b\n",
    "aliases of aliases": laughing("[", "- id: &{name} [{ten}]\n"),
    "merges of merges": laughing("{", "- &{name} {{<<: [{ten}]}}\n"),
    "itself": "- &a [*a]\n- id: &q [*q]\n",
    "a list for a key": "- ? [a]\n  : b\n",
    "nothing for a key": "- ~: b\n  id: x\n",
    "a list for a word": RULE + "  restartable: [no]\n",
    "a list for a unit": RULE + "  sizes: {needed: [2]}\n",
    "a list for a source": RULE + "  source: [[x]]\n",
    "a list for a pool": RULE + "  pool: [x]\n",
    "a list for a category": RULE.replace("executor_oom_heap", "[x]"),
    "half a character": RULE.replace("'Zebra fail'", '"Zebra \\ud800 fail"'),
    "a pattern of brackets": RULE.replace("Zebra fail", "Zebra " + "(" * 5000 + "a" + ")" * 5000),
    "a repeated repetition": RULE.replace("Zebra fail", "Zebra (?:a{0,200}){0,200}"),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_entry_costs_itself(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD + text + GOOD.replace("good-one", "good-two"), encoding="utf-8")
    rules, problems = read_rules(file)
    assert [rule.id for rule in rules] == ["good-one", "good-two"]
    assert problems
    assert all(len(str(problem)) < 2000 for problem in problems)


def test_a_text_may_still_be_named_and_used_again(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    named = RULE.replace("executor_oom_heap", "&c executor_oom_heap")
    file.write_text(named + RULE.replace("a-b", "c-d").replace("executor_oom_heap", "*c"))
    rules, problems = read_rules(file)
    assert ([rule.category for rule in rules], problems) == (["executor_oom_heap"] * 2, [])


def test_a_pipe_among_the_rule_files_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text(GOOD)
    catalogue = load_catalogue([tmp_path])
    assert "good-one" in {rule.id for rule in catalogue.rules}
    (warning,) = catalogue.warnings
    assert "is not a regular file" in str(warning)


def test_a_file_larger_than_any_rule_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_FILE", 100)
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD * 3)
    rules, (problem,) = read_rules(file)
    assert not rules
    assert "larger than 100 bytes" in str(problem)
