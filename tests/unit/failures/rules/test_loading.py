"""The catalogue loads whatever state the user's rules and the cache are in, and says what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_autoremed.errors import InvalidRuleError, PatternError
from airflow_autoremed.failures.authoring.check import check_files, main
from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.rules import compiled_cache, loading
from airflow_autoremed.failures.rules.loading import compiled_package, load_catalogue
from airflow_autoremed.failures.rules.pattern_literals import analyse
from airflow_autoremed.failures.rules.quantities import parse_quantity
from airflow_autoremed.failures.rules.rule import make_rule
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable

MISSING = "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table `a`.`b` cannot be found."

RULE = """
- id: our-quota
  category: license_or_quota
  rank: 50
  pattern: 'ACME-QUOTA: team \\w+ is over'
  summary: The team is over its quota.
"""


def forget():
    """As a new process begins."""
    loading._package.cache_clear()
    loading._load.cache_clear()


@pytest.fixture(autouse=True)
def _shared_cache(tmp_path_factory, monkeypatch):
    """Not the user's own: one for all tests, so that the catalogue is compiled once."""
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "shared-cache"))
    forget()
    yield
    forget()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A directory of the test's own, with nothing in it."""
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


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
    ("rank: 50", "rank: 50\n  side: drivers", "did you mean 'driver'?"),
    ("rank: 50", "rank: 50\n  pool: metaspce", "did you mean 'metaspace'?"),
    ("rank: 50", "rank: 50\n  setting: executor.memory", "write the name of a Spark setting"),
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

METASPACE = "java.lang.OutOfMemoryError: Metaspace"


def kept(folder):
    return sorted(folder.glob("catalogue-*.json"))


@pytest.fixture
def full_cache(tmp_path, monkeypatch):
    """The file that a process before left there."""
    load_catalogue()
    files, key = loading._package_files()
    shared = compiled_cache.cache_dir() / f"catalogue-{key}.json"
    if not shared.exists():  # somebody is editing the rules
        compiled_cache.write(key, loading._as_json(*loading._compile(files)))
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    file = folder / shared.name
    file.write_bytes(shared.read_bytes())
    file.chmod(0o600)
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(folder))
    forget()
    return file


def give_away(path, monkeypatch):
    """Make it another user's: by its owner where we are root, by who we are otherwise."""
    if os.getuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)


def test_the_cache_holds_the_same_catalogue(full_cache):
    again = load_catalogue()
    rules, signs = loading._compile(sorted(loading.CATALOGUE_DIR.glob("*.yaml")))
    assert again.rules == rules
    assert again.signs == signs
    assert kept(full_cache.parent) == [full_cache]


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other checksum", "other key", "strange json"])
def test_a_damaged_cache_is_ignored_and_made_anew(full_cache, damage):
    content = full_cache.read_bytes()
    key = full_cache.stem.removeprefix("catalogue-")
    if damage == "cut":
        full_cache.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        full_cache.write_bytes(os.urandom(1000))
    elif damage == "empty":
        full_cache.write_bytes(b"")
    elif damage == "other checksum":
        full_cache.write_bytes(content.replace(b"executor_oom_heap", b"missing_data_____", 1))
    elif damage == "other key":  # a sound file of another version, under this version's name
        full_cache.write_bytes(compiled_cache.seal("f" * 32, {"rules": [], "signs": []}))
    else:
        compiled_cache.write(key, {"rules": [{"id": "x"}], "signs": 3})
    assert category(METASPACE) == "metaspace_oom"
    assert full_cache.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
@pytest.mark.parametrize("planted", ["file", "directory", "open file", "open directory", "link", "pipe"])
def test_a_catalogue_that_somebody_else_may_have_planted_is_not_believed(
    full_cache, monkeypatch, planted, tmp_path
):
    key = full_cache.stem.removeprefix("catalogue-")
    full_cache.write_bytes(compiled_cache.seal(key, {"rules": [], "signs": []}))  # would silence every rule
    assert load_catalogue().rules == ()
    forget()
    folder = full_cache.parent
    if planted == "open file":
        full_cache.chmod(0o660)
    elif planted == "open directory":
        folder.chmod(0o777)
    elif planted == "link":
        full_cache.replace(tmp_path / "elsewhere")
        full_cache.symlink_to(tmp_path / "elsewhere")
    elif planted == "pipe":  # opening it must not wait for a writer either
        full_cache.unlink()
        os.mkfifo(full_cache)
    else:
        give_away({"file": full_cache, "directory": folder}[planted], monkeypatch)
    assert category(METASPACE) == "metaspace_oom"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
def test_a_directory_that_others_may_write_to_is_not_written_to(empty_cache):
    empty_cache.mkdir()
    empty_cache.chmod(0o777)
    compiled_cache.write("k" * 32, {})
    assert list(empty_cache.iterdir()) == []


def test_the_cache_is_for_the_user_alone(empty_cache):
    compiled_cache.write("k" * 32, {})
    (file,) = empty_cache.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert empty_cache.stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_costs_no_verdict(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert category(METASPACE) == "metaspace_oom"


def test_a_user_without_a_home_gets_a_verdict(monkeypatch):
    monkeypatch.delenv("AUTOREMED_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert compiled_cache.cache_dir() is None
    compiled_cache.write("k" * 32, {})
    assert compiled_cache.read("k" * 32) is None


def test_processes_that_write_and_read_at_once_see_all_or_nothing(empty_cache):
    value = {"rules": ["x" * 100_000], "signs": []}

    def work(_):
        compiled_cache.write("k" * 32, value)
        return compiled_cache.read("k" * 32)

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(200)))
    assert seen == [value] * 200
    assert [file.name for file in empty_cache.iterdir()] == [f"catalogue-{'k' * 32}.json"]


def test_old_catalogues_do_not_pile_up(empty_cache):
    for number in range(9):
        compiled_cache.write(f"{number:032}", {})
        os.utime(empty_cache / f"catalogue-{number:032}.json", (number, number))
    assert compiled_cache.read(f"{8:032}") == {}
    assert len(kept(empty_cache)) == 4


def test_what_a_killed_process_left_behind_goes_with_the_next_catalogue(empty_cache):
    compiled_cache.write("1" * 32, {})
    left = write(empty_cache / ".new-abc", "half a catalo")
    compiled_cache.write("2" * 32, {})
    assert left.exists()  # it may still be written to
    os.utime(left, (1, 1))
    compiled_cache.write("3" * 32, {})
    assert not left.exists()


def test_a_changed_rule_file_of_the_package_is_never_missed(tmp_path):
    files = [write(tmp_path / "a.yaml", RULE)]
    before = compiled_cache.fingerprint(files)
    write(files[0], RULE.replace("rank: 50", "rank: 51"))
    assert compiled_cache.fingerprint(files) != before


FRESH = (
    "import sys; from airflow_autoremed.failures.rules import compiled_cache; from airflow_autoremed.failures.rules.loading import load_catalogue; catalogue = load_catalogue(); "
    "print(len(catalogue.rules), catalogue.rules[0].path, 'yaml' in sys.modules)"
)


def fresh_process(code=FRESH, **environment):
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ".", **environment},
    )
    return answer.stdout.split()


def test_with_a_warm_cache_yaml_is_not_imported(full_cache):
    rules = load_catalogue().rules
    assert fresh_process() == [str(len(rules)), rules[0].path, "False"]


def test_a_catalogue_that_was_shipped_compiled_needs_neither_yaml_nor_a_cache(tmp_path, monkeypatch):
    rules = load_catalogue().rules
    shipped = tmp_path / "compiled.json"
    shipped.write_bytes(compiled_package())
    code = FRESH.replace(
        "catalogue =",
        f"compiled_cache.SHIPPED = __import__('pathlib').Path({str(shipped)!r}); catalogue =",
        1,
    )
    nowhere = str(tmp_path / "compiled.json" / "nowhere")
    assert fresh_process(code, AUTOREMED_CACHE_DIR=nowhere) == [str(len(rules)), rules[0].path, "False"]
    shipped.write_bytes(compiled_cache.seal("0" * 32, {"rules": [], "signs": []}))  # of another version
    assert fresh_process(code, AUTOREMED_CACHE_DIR=nowhere) == [str(len(rules)), rules[0].path, "True"]


# ------------------------------------------------------------------------------------------- literals and sizes


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("(not|never) in the lexicon", (" in the lexicon",)),
        ("(a|b|c|d|e|f|g|h|i) code:? ?137", (" code 137", " code137", " code: 137", " code:137")),
        ("[Bb]roadcast .* OutOfMemorySparkException: ", (" OutOfMemorySpark",)),
        ("Lost task .*: java.", ("Lost task ",)),
        ("abc|defg", ("abc", "defg")),
        ("[Jj]ava heap", ("ava heap",)),
        ("https?://host", ("http://host", "https://host")),
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


def test_a_file_of_the_code_that_is_gone_is_never_taken_for_an_unchanged_one(monkeypatch):
    monkeypatch.setattr(compiled_cache, "_CODE", (*compiled_cache._CODE, "gone.py"))
    with pytest.raises(FileNotFoundError, match=r"gone\.py"):
        compiled_cache.fingerprint([])


def test_all_that_is_wrong_with_a_rule_is_said_at_once() -> None:
    plain = {
        "id": "team-quota",
        "category": "nonsense",
        "rank": 0,
        "pattern": "Quota exceeded",
        "pool": "hep",
    }
    with pytest.raises(InvalidRuleError) as wrong:
        make_rule(plain)
    said = str(wrong.value)
    for part in ("lacks summary", "category 'nonsense'", "rank 0", "pool: 'hep'"):
        assert part in said
    assert said.count(". It also has") == 3
