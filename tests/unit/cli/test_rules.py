"""``autoremed rules``: what a person who writes rules sees."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app

GOOD = """
- id: my-team-quota
  category: resource_unavailable
  rank: 80
  pattern: 'quota of team \\w+ is used up'
  summary: The team's quota is used up.
  examples: ['ERROR quota of team sales is used up']
"""
BAD = """
- id: my-team-quota
  category: resource_unavailble
  rank: 80
  pattern: 'quota'
  summary: The team's quota is used up.
- id: hangs
  category: resource_unavailable
  rank: 80
  pattern: '(a+)+b'
  summary: Nothing.
- id: misses-its-example
  category: resource_unavailable
  rank: 80
  pattern: 'quota of team'
  summary: Nothing.
  examples: ['something else']
"""
SILENCE = "- id: memory-stack-overflow\n  silence: true\n"


@pytest.fixture
def run(airflow_home):
    return lambda *words: CliRunner().invoke(app, ["rules", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def file(tmp_path):
    def write(text, name="rules.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_rules_are_listed_by_category(run):
    rules = json.loads(run("list", "--category", "stack_overflow", "--format", "json").stdout)
    assert "memory-stack-overflow" in [rule["id"] for rule in rules]
    assert {rule["category"] for rule in rules} == {"stack_overflow"}
    assert "memory-stack-overflow" in run("list", "--category", "stack_overflow").stdout


def test_ones_own_rules_come_first_and_are_told_apart(run, file):
    rules = json.loads(run("list", "--rules", file(GOOD), "--format", "json").stdout)
    assert (rules[0]["id"], rules[0]["users"]) == ("my-team-quota", True)
    assert "1 rules, 1 of them your own" in run("list", "--users", "--rules", file(GOOD)).stdout


@pytest.mark.parametrize("option", ["--category", "--source"])
def test_an_unknown_filter_is_answered_with_the_known_ones(run, option):
    result = run("list", option, "nope")
    assert result.exit_code == 2
    assert "write one of: " in result.stderr


def test_a_rule_is_shown_with_where_it_stands_and_what_it_matches(run):
    shown = run("show", "memory-stack-overflow").stdout
    assert "memory.yaml:" in shown
    assert "StackOverflowError" in shown
    assert "a retry: with_changes" in shown


def test_a_mistyped_id_is_answered_with_the_nearest(run):
    result = run("show", "memory-stack-overflaw")
    assert result.exit_code == 1
    assert "did you mean 'memory-stack-overflow'?" in result.stderr


def test_a_good_file_passes_the_check(run, file):
    result = run("check", file(GOOD))
    assert (result.exit_code, result.stdout) == (0, "1 rule, 0 problems\n")


def test_each_problem_of_a_file_is_named_with_its_line_and_what_to_write(run, file):
    path = file(BAD)
    result = run("check", path)
    assert result.exit_code == 1
    assert f"{path}:2: rule 'my-team-quota'" in result.stdout
    assert "did you mean 'resource_unavailable'?" in result.stdout
    assert f"{path}:7: rule 'hangs'" in result.stdout
    assert "does not match its example 'something else'" in result.stdout


def test_the_check_says_which_of_our_rules_a_file_silences(run, file):
    assert "silences the rule of the package" in run("check", file(SILENCE)).stdout


def test_a_missing_file_is_refused(run, tmp_path):
    result = run("check", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_coverage_says_what_fired_and_what_nobody_named(run, tmp_path):
    named, unknown = tmp_path / "a.log", tmp_path / "b.log"
    named.write_text('Exception in thread "main" java.lang.StackOverflowError\n')
    unknown.write_text("24/05/01 10:00:00 INFO SparkContext: all is quiet\n")
    shown = run("coverage", named, unknown).stdout
    assert "memory-stack-overflow (1)" in shown
    assert "1 of 2 failures are classified; 1 (50.0%) are unclassified" in shown


def test_every_rule_of_the_package_holds_on_its_own_examples(run):
    """The package's own rules are tried by test_failures_rules; here the command says the same."""
    result = run("test")
    assert result.exit_code == 0, result.stdout
    assert ", 0 problems" in result.stdout
