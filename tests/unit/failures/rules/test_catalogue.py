"""Every rule of the catalogue keeps its word: the tests are generated from the rules' own examples."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_autoremed.failures.authoring.check import check_files, faults_of, judge
from airflow_autoremed.failures.rules.loading import CATALOGUE_DIR, load_catalogue
from airflow_autoremed.failures.rules.pattern_literals import SHORTEST_LITERAL, analyse

FILES = sorted(CATALOGUE_DIR.glob("*.yaml"))
CATALOGUE = load_catalogue()
RULES = CATALOGUE.rules
EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.id}-{number}")
    for rule in RULES
    for number, example in enumerate(rule.examples)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_rule_file_has_nothing_to_complain_about(path):
    """Form, lint of the patterns, examples and counter-examples."""
    assert [str(error) for error in check_files([path])] == []


def test_no_id_is_used_twice_in_any_file():
    errors = [str(error) for error in check_files(FILES) if "taken by" in error.reason]
    assert errors == []


def test_the_package_loads_without_a_warning():
    assert CATALOGUE.warnings == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_matches_its_examples_and_none_of_its_counter_examples(rule):
    assert faults_of(rule) == []


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_the_whole_catalogue_gives_an_example_its_rules_category(rule, example):
    verdict = judge(CATALOGUE, rule, example, assume_failed=True)
    assert (verdict.category, verdict.rule) == (rule.category, verdict.rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_literals_and_says_what_a_person_needs(rule):
    assert rule.literals
    assert min(map(len, rule.literals)) >= SHORTEST_LITERAL
    assert rule.summary.endswith(".")
    assert rule.hint
    assert rule.reference
    assert rule.examples
    assert analyse(rule.pattern).window == rule.window


def test_no_pattern_stands_twice():
    """Two rules with one pattern: one of them can never win."""
    key = Counter(
        (rule.pattern, rule.unless, rule.preceded_by, rule.not_preceded_by, rule.followed_by, rule.source)
        for rule in RULES
    )
    assert [pattern for pattern, count in key.items() if count > 1] == []
