"""The catalogue loads whatever state the user's rules and the cache are in, and says what is wrong with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_autoremed.failures import caching, classify_texts, load_catalogue, loading
from airflow_autoremed.failures.check import check_files, main
from airflow_autoremed.failures.patterns import PatternError, analyse
from airflow_autoremed.failures.quantities import parse_quantity
from airflow_autoremed.failures.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable

MISSING = "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table `a`.`b` cannot be found."

RULE = """
- id: our-quota
  category: license_or_quota
  rank: 50
  pattern: 'ACME-QUOTA: team \\w+ is over'
  summary: The team is over its quota.
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path / "cache"))
    loading._package.cache_clear()
    loading._load.cache_clear()
    yield
    loading._package.cache_clear()
    loading._load.cache_clear()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def category(text, *paths):
    return classify_texts(load_catalogue(paths), [(None, text)]).category


# ----------------------------------------------------------------------------------------------------- user rules


def test_a_rule_of_the_users_is_tried_before_ours(tmp_path):
    rules = write(
        tmp_path / "rules.yaml",
        """
- id: sibling-writes-this-table
  category: missing_data
  rank: 40
  restartable: as_is
  pattern: 'TABLE_OR_VIEW_NOT_FOUND.{0,80}`a`'
  summary: A sibling task writes this table; it will be there on the next try.
""",
    )
    ours = classify_texts(load_catalogue(), [(None, MISSING)])
    theirs = classify_texts(load_catalogue([rules]), [(None, MISSING)])
    assert ours.restartable is Restartable.NO
    assert (theirs.rule, theirs.restartable) == ("sibling-writes-this-table", Restartable.AS_IS)
    assert "of your own comes first" in {match.rule: match.why_not for match in theirs.runners_up}[ours.rule]


def test_a_last_resort_of_the_users_does_not_hide_a_cause_that_we_know(tmp_path):
    rules = write(tmp_path / "r.yaml", RULE.replace("rank: 50", "rank: 12"))
    assert category("ACME-QUOTA: team red is over", rules) == "license_or_quota"
    assert category(f"ACME-QUOTA: team red is over\n{MISSING}", rules) == "missing_data"


def test_a_rule_with_the_id_of_ours_replaces_it(tmp_path):
    rules = write(tmp_path / "r.yaml", RULE.replace("our-quota", "memory-metaspace"))
    catalogue = load_catalogue([rules])
    assert catalogue.get("memory-metaspace").category == "license_or_quota"
    assert [rule.id for rule in catalogue.rules].count("memory-metaspace") == 1
    assert catalogue.warnings == ()


def test_a_rule_of_ours_can_be_silenced(tmp_path):
    text = "java.lang.OutOfMemoryError: Metaspace"
    assert category(text) == "metaspace_oom"
    rules = write(tmp_path / "r.yaml", "- id: memory-metaspace\n  silence: true\n")
    assert category(text, rules) == "unknown"
    assert load_catalogue([rules]).warnings == ()


def test_silencing_a_rule_that_does_not_exist_names_the_one_that_was_meant(tmp_path):
    rules = write(tmp_path / "r.yaml", "- id: memory-metaspaces\n  silence: true\n")
    (warning,) = load_catalogue([rules]).warnings
    assert "did you mean 'memory-metaspace'?" in str(warning)


def test_a_directory_of_rules_is_read_in_the_order_of_its_names(tmp_path):
    write(tmp_path / "b.yml", RULE)
    write(tmp_path / "a.yaml", RULE.replace("our-quota", "first-quota"))
    write(tmp_path / "notes.txt", "not a rule")
    assert [rule.id for rule in load_catalogue([tmp_path]).rules[:2]] == ["first-quota", "our-quota"]


def test_a_changed_rule_file_is_seen_without_a_restart(tmp_path):
    rules = write(tmp_path / "r.yaml", RULE)
    assert category("ACME-QUOTA: team red is over", rules) == "license_or_quota"
    write(
        rules, RULE.replace("license_or_quota", "resource_unavailable").replace("our-quota", "our-new-quota")
    )
    assert category("ACME-QUOTA: team red is over", rules) == "resource_unavailable"


def test_the_same_rules_are_not_loaded_twice(tmp_path):
    rules = write(tmp_path / "r.yaml", RULE)
    assert load_catalogue([rules]) is load_catalogue([rules])
    assert load_catalogue() is load_catalogue()


BROKEN = [
    ("category: license_or_quota", "category: licence_or_quota", "did you mean 'license_or_quota'?"),
    ("rank: 50", "rank: high", "write a number from 1 to 99"),
    ("rank: 50", "rank: 150", "write a number from 1 to 99"),
    ("  rank: 50\n", "", "write a number from 1 to 99"),
    ("  summary: The team is over its quota.\n", "", "lacks summary; add it"),
    ("id: our-quota", "id: Our Quota", "kebab-case"),
    ("rank: 50", "rank: 50\n  restartable: maybe", "write as_is, with_changes or no"),
    ("rank: 50", "rank: 50\n  source: [driver]", "did you mean 'driver_log'?"),
    ("rank: 50", "rank: 50\n  patern: x", "did you mean 'pattern'?"),
    ("rank: 50", "rank: 50\n  only_if_failed: 'yes'", "write true or false"),
    ("rank: 50", "rank: 50\n  sizes: {needed: bytes}", "no group of that name; write (?P<needed>...)"),
    ("rank: 50", "rank: 50\n  examples: a line", "write them as '- ...' lines"),
    ("rank: 50", "rank: 50\n  preceded_by: '(a+)+'", "has a preceded_by that repeats a repetition"),
    ("'ACME-QUOTA: team \\w+ is over'", "'(a+)+'", "repeats a repetition"),
    ("'ACME-QUOTA: team \\w+ is over'", "'(abc)d\\1'", "back-reference"),
    ("'ACME-QUOTA: team \\w+ is over'", "'(?<=abc)def'", "look-behind"),
    ("'ACME-QUOTA: team \\w+ is over'", "'abc('", "is not a regular expression"),
    ("'ACME-QUOTA: team \\w+ is over'", "'.*.*.*a.*b.*'", "fewer and shorter gaps"),
    ("'ACME-QUOTA: team \\w+ is over'", "'\\d+ \\w+'", "add literals"),
    ("'ACME-QUOTA: team \\w+ is over'", "'(?i)acme'", "add literals"),
    ("'ACME-QUOTA: team \\w+ is over'", "[not, a, text]", "write a text"),
]


@pytest.mark.parametrize(("good", "bad", "advice"), BROKEN, ids=[advice for _, _, advice in BROKEN])
def test_a_broken_rule_is_reported_with_file_line_and_advice_and_takes_no_other_down(
    tmp_path, good, bad, advice
):
    assert good in RULE
    rules = write(tmp_path / "r.yaml", RULE.replace(good, bad) + RULE.replace("our-quota", "good-quota"))
    catalogue = load_catalogue([rules])
    (warning,) = catalogue.warnings
    assert advice in str(warning)
    assert str(warning).startswith(f"{rules}:2:")
    assert [rule.id for rule in catalogue.rules if rule.users] == ["good-quota"]
    assert len(catalogue.rules) == len(load_catalogue().rules) + 1


def test_a_yaml_error_in_one_entry_leaves_the_others(tmp_path):
    bad = "\n- id: bad\n  summary: says: something: else\n"
    rules = write(tmp_path / "r.yaml", RULE + bad + RULE.replace("our-quota", "last-quota"))
    catalogue = load_catalogue([rules])
    assert [rule.id for rule in catalogue.rules if rule.users] == ["our-quota", "last-quota"]
    (warning,) = catalogue.warnings
    assert warning.line == 9
    assert "is not YAML" in str(warning)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"rules: {}", "write a list: every rule begins with '- id: ...'"),
        (b"\xff\xfe\x00broken", "cannot be read"),
        (b"- just a text", "write a mapping"),
        (b"{unclosed", "is not YAML"),
    ],
)
def test_a_file_that_is_no_rule_file_is_reported(tmp_path, content, advice):
    (tmp_path / "r.yaml").write_bytes(content)
    (warning,) = load_catalogue([tmp_path / "r.yaml"]).warnings
    assert advice in str(warning)


def test_an_empty_file_is_fine_and_a_missing_one_is_reported(tmp_path):
    write(tmp_path / "r.yaml", "")
    assert load_catalogue([tmp_path / "r.yaml"]).warnings == ()
    (warning,) = load_catalogue([tmp_path / "nothere.yaml"]).warnings
    assert "does not exist; write a YAML file or a directory" in str(warning)


def test_an_id_that_the_user_gives_twice_is_reported(tmp_path):
    write(tmp_path / "r.yaml", RULE + RULE)
    (warning,) = load_catalogue([tmp_path]).warnings
    assert (warning.line, warning.rule) == (8, "our-quota")


def test_a_yaml_no_means_no(tmp_path):
    write(tmp_path / "r.yaml", RULE + "  restartable: no\n")
    assert load_catalogue([tmp_path]).get("our-quota").restartable is Restartable.NO


def test_asking_for_an_unknown_rule_names_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'memory-metaspace'"):
        load_catalogue().get("memory-metaspac")


# -------------------------------------------------------------------------------------------------------- check


def test_the_check_command_prints_what_is_wrong_and_fails(tmp_path, capsys):
    bad = RULE + "  examples: ['nothing of the kind']\n  counter_examples: ['ACME-QUOTA: team red is over']\n"
    rules = write(tmp_path / "r.yaml", bad)
    reasons = [error.reason for error in check_files([rules])]
    assert reasons[0].startswith("does not match its example 'nothing of the kind'")
    assert reasons[1].startswith("matches its counter-example")
    assert main([str(rules)]) == 1
    assert f"{rules}:2: rule 'our-quota'" in capsys.readouterr().out


def test_the_check_command_is_content_with_a_good_file(tmp_path, capsys):
    rules = write(tmp_path / "r.yaml", RULE + "  examples: ['ACME-QUOTA: team red is over']\n")
    assert main([str(rules)]) == 0
    assert "1 rules, 0 errors" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------------- cache


def kept(tmp_path):
    return sorted((tmp_path / "cache").glob("catalogue-*.json"))


def test_the_cache_holds_the_same_catalogue(tmp_path):
    fresh = load_catalogue()
    (file,) = kept(tmp_path)
    loading._package.cache_clear()
    loading._load.cache_clear()
    again = load_catalogue()
    assert again is not fresh
    assert again.rules == fresh.rules
    assert again.signs == fresh.signs
    assert kept(tmp_path) == [file]


@pytest.mark.parametrize(
    "damage", ["cut", "garbage", "empty", "other checksum", "strange json", "world-writable"]
)
def test_a_damaged_cache_is_ignored_and_made_anew(tmp_path, damage):
    whole = load_catalogue()
    (file,) = kept(tmp_path)
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        file.write_bytes(os.urandom(1000))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other checksum":
        file.write_bytes(content.replace(b"executor_oom_heap", b"missing_data_____", 1))
    elif damage == "strange json":
        caching.write(file.stem.removeprefix("catalogue-"), {"rules": [{"id": "x"}], "signs": 3})
    else:
        file.chmod(0o666)
    loading._package.cache_clear()
    loading._load.cache_clear()
    assert load_catalogue().rules == whole.rules
    (again,) = kept(tmp_path)
    _checksum, _, body = again.read_bytes().partition(b"\n")
    assert json.loads(body)["rules"][0]["id"] == whole.rules[0].id


def test_a_cache_that_cannot_be_written_costs_no_verdict(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert category("java.lang.OutOfMemoryError: Metaspace") == "metaspace_oom"


def test_a_changed_rule_file_of_the_package_is_never_missed(tmp_path):
    files = [write(tmp_path / "a.yaml", RULE)]
    before = caching.fingerprint(files)
    write(files[0], RULE.replace("rank: 50", "rank: 51"))
    assert caching.fingerprint(files) != before


def test_with_a_warm_cache_yaml_is_not_imported(tmp_path):
    load_catalogue()
    code = (
        "import sys; from airflow_autoremed.failures import load_catalogue; catalogue = load_catalogue(); "
        "print(len(catalogue.rules), 'yaml' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert answer.stdout.split() == [str(len(load_catalogue().rules)), "False"]


# ------------------------------------------------------------------------------------------- literals and sizes


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("(not|never) found", ("never found", "not found")),
        ("(a|b|c|d|e|f|g|h|i) code:? ?137", (" code 137", " code137", " code: 137", " code:137")),
        ("[Bb]roadcast .* OutOfMemorySparkException: ", (" OutOfMemorySparkException: ",)),
        ("Lost task .*: java.", ("Lost task ",)),
        ("abc|defg", ("abc", "defg")),
        ("[Jj]ava heap", ("ava heap",)),
        ("https?://host", ("://host",)),
        ("^(foo|bar) baz$", ("bar baz", "foo baz")),
        (r"\bword\b", ("word",)),
        (r"a\.b\(c\)", ("a.b(c)",)),
        ("abc(?!def)", ("abc",)),
        ("(abc){2,3}", ("abc",)),
        ("abc|..", ()),
        ("a.c.e", ()),
        ("(?i)abcdef", ()),
        ("(abc)?", ()),
    ],
)
def test_literals_are_derived_from_a_pattern(pattern, literals):
    assert analyse(pattern).literals == literals


def test_a_pattern_with_more_gaps_sees_a_shorter_piece_of_a_line():
    none, one, two = (analyse(pattern).window for pattern in ("abc", "abc.*def", "abc.{0,300}def.{0,300}ghi"))
    assert none >= one >= two >= 512


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a*)*", "(?:a|b+)*c", "([a-z]+ )*x"])
def test_a_nested_repetition_is_refused(pattern):
    with pytest.raises(PatternError, match="repeats a repetition"):
        analyse("abc" + pattern)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1029.0 MiB", "bytes", 1029 * 1024**2),
        ("4g", "bytes", 4 * 1024**3),
        ("(1048576 bytes)", "bytes", 1048576),
        ("8 GB", "bytes", 8 * 1024**3),
        ("33554432KB", "bytes", 32 * 1024**3),
        ("1,024 KiB", "bytes", 1024**2),
        ("384", "mebibytes", 384 * 1024**2),
        ("384 MB", "mebibytes", 384 * 1024**2),
        ("300 secs", "seconds", 300),
        ("5 min", "seconds", 300),
        ("17", "count", 17),
        ("many", "bytes", None),
        ("3 parsecs", "seconds", None),
    ],
)
def test_a_quantity_is_read_with_its_unit(text, unit, value):
    assert parse_quantity(text, unit) == value


def test_the_taxonomy_says_of_every_category_what_a_retry_brings():
    assert len(CATEGORIES) == 35
    memory = {category.id for category in CATEGORIES.values() if category.memory_configuration}
    assert "executor_oom_heap" in memory
    assert "shuffle_fetch_failure" not in memory
    assert CATEGORIES["unknown"].usual_restartable is Restartable.AS_IS
