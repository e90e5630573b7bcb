"""Unclassified failures reduced to templates, counted, and drafted into rules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_autoremed.failures.authoring.check import lost_examples
from airflow_autoremed.failures.authoring.drafting import HEALTHY_LINES, HealthyText, draft, pattern_of
from airflow_autoremed.failures.error_templates import FailedTry, Template, costliest, error_template
from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.loading import load_catalogue, read_rules
from airflow_autoremed.log_text import PLACEHOLDERS, mask, split_head, telling_lines

_RUN = {
    "time": ("26/11/24 10:00:05", "26/11/25 23:14:59"),
    "host": ("10.0.0.7:4040", "192.168.13.240:51022"),
    "path": (
        "/data/ledger/2026-11-24/part-00017-a1.parquet",
        "/data/ledger/2026-11-25/part-00003-f9.parquet",
    ),
    "app": ("application_1740000000000_0042", "application_1741111111111_12345"),
    "num": ("17", "90210"),
    "uuid": ("0b7c2b0e-5d8e-4a43-9f0a-2f2d5c9a3d11", "7e1f6d52-11aa-4c0d-8b1e-90ab12cd34ef"),
    "name": ("orders", "line_items"),
    "url": ("s3a://bucket-a/in/2026", "s3a://bucket-b/in/x/y"),
    "obj": ("Task@5fc1ab", "Task@52fa7e19"),
}

_LOG = """\
{time} INFO SparkContext: Running Spark version 4.1.4
{time} WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID {num}) ({host} executor 3): java.lang.IllegalStateException: retried
{time} INFO Client: Application report for {app} (state: RUNNING)
{message}
{time} INFO ShutdownHookManager: Deleting directory {path}
"""


def _of_run(run: int, message: str) -> str:
    values = {name: pair[run] for name, pair in _RUN.items()}
    return _LOG.format(message=message.format(**values), **values)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'Exception in thread "main" com.acme.Guard: no\n'
            "com.acme.GuardException: Shop {num} of '{name}' is sealed: {path}\n\tat com.acme.Guard.check(Guard.scala:41)",
            "com.acme.GuardException: Shop <num> of '<name>' is sealed: <path>",
        ),
        (
            "{time} ERROR Main: it broke\norg.apache.spark.SparkException: Job aborted.\n\tat a.B.c(D.scala:1)\n"
            "Caused by: com.acme.FeedException: {url} has no header\n\tat a.B.c(D.scala:1)\n\t... 3 more",
            "com.acme.FeedException: <url> has no header",
        ),
        (
            'Traceback (most recent call last):\n  File "/jobs/a.py", line 7, in <module>\n    run()\n'
            "acme.errors.QuotaGone: worker {uuid} at {host} left after {num} rows",
            "acme.errors.QuotaGone: worker <uuid> at <host> left after <num> rows",
        ),
        (
            "py4j.protocol.Py4JJavaError: An error occurred while calling o{num}.save.\n"
            ": org.apache.spark.SparkException: Job aborted due to stage failure: Task {num} in stage 3.0 failed 4 times, "
            "most recent failure: Lost task 0.3 in stage 3.0 (TID {num}) ({host} executor 2): "
            "com.acme.RowException: Row {num} of {obj} is odd",
            "com.acme.RowException: Row <num> of Task@<hex> is odd",
        ),
        (
            "{time} ERROR acme.Feed: Feed {app} stopped at {num} MiB",
            "Feed: Feed application_<num> stopped at <num>",
        ),
        ("Error: Failed to stage {path} for {app}", "Error: Failed to stage <path> for application_<num>"),
        (
            '{{"ts":"2026-11-24T10:00:00.123Z","level":"ERROR","msg":"Task failed","logger":"Main","exception":'
            '{{"class":"com.acme.JsonException","msg":"Key {num} twice","stacktrace":[]}}}}',
            "com.acme.JsonException: Key <num> twice",
        ),
    ],
)
def test_the_same_failure_of_two_runs_has_one_template(message: str, expected: str) -> None:
    first, second = (error_template([_of_run(run, message)]) for run in (0, 1))
    assert first is not None
    assert second is not None
    assert (first.text, first.id) == (second.text, second.id)
    assert first.text == expected


def test_another_failure_has_another_template() -> None:
    one = error_template(["java.io.IOException: Stream 7 is closed"])
    other = error_template(["java.io.IOException: Stream 7 was reset"])
    assert one is not None
    assert other is not None
    assert one.id != other.id


def test_a_healthy_log_without_alarming_lines_has_no_template() -> None:
    assert error_template(["26/11/24 10:00:00 INFO SparkContext: Successfully stopped SparkContext"]) is None
    assert error_template(["", "\n\n"]) is None


def test_what_shutting_down_drags_along_does_not_speak_for_the_failure() -> None:
    found = error_template(
        [
            "26/11/24 10:00:00 ERROR Feed: com.acme.FeedException: feed is empty\n"
            "26/11/24 10:00:01 ERROR Utils: Uncaught exception in thread x\njava.lang.InterruptedException\n"
            "26/11/24 10:00:02 ERROR AsyncEventQueue: java.util.concurrent.RejectedExecutionException: no\n"
        ]
    )
    assert found is not None
    assert found.text == "com.acme.FeedException: feed is empty"


def test_a_secret_in_the_line_is_not_kept() -> None:
    found = error_template(["com.acme.LoginException: cannot log in with password=hunter2 today"])
    assert found is not None
    assert "hunter2" not in found.line


def test_the_template_is_the_same_in_another_process() -> None:
    text = _of_run(0, "com.acme.FeedException: {url} has no header")
    program = f"from airflow_autoremed.failures.error_templates import error_template\nprint(error_template([{text!r}]).id)"
    ids = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(ids) == 1


_pieces = st.sampled_from(
    [
        *(value for pair in _RUN.values() for value in pair),
        *PLACEHOLDERS,
        *"'\"`[]{}()<>:;,./\\-_@=%+*#$ ",
        *(
            "ERROR",
            "s3a",
            "py4j",
            "java.io.IOException",
            "don't",
            "1.5e-7",
            "0x1f",
            "42P01",
            "rdd_7_1",
            "e2",
            "3 MiB",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_pieces | st.text(max_size=8), max_size=14).map("".join))
def test_masking_what_is_masked_changes_nothing(line: str) -> None:
    once = mask(line)
    assert mask(once) == once


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_pieces | st.text(max_size=8), max_size=8).map("".join), max_size=8).map("\n".join))
def test_any_text_has_a_template_or_none_and_its_rule_is_sound(text: str) -> None:
    found = error_template([text])
    if found is None:
        return
    assert error_template([text]) == found
    assert len(found.text) <= 500
    made = draft(found, Catalogue(()), [])
    assert made.rule is not None or made.not_ready


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.uuids(), st.ip_addresses(v=4), st.floats(0, 1e9, allow_nan=False))
def test_numbers_ids_and_addresses_never_reach_a_template(
    number: int, key: object, host: object, size: float
) -> None:
    found = error_template(
        [f"com.acme.FeedException: row {number} of {key} on {host}:7077 took {size:.3f} ms in all"]
    )
    assert found is not None
    assert found.text == "com.acme.FeedException: row <num> of <uuid> on <host> took <num> in all"


@pytest.mark.parametrize(
    "unit",
    [
        "_1",
        "a1",
        "1a",
        "1",
        ".1",
        "a.",
        "a/",
        "/",
        "'",
        '"',
        "`",
        "[",
        "<time>",
        "[<time>]",
        "{",
        "a.b@",
        "1-",
        "A.",
        "a:1 ",
    ],
)
def test_a_hostile_line_costs_milliseconds(unit: str) -> None:
    line = (unit * 100_000)[:100_000]
    began = time.process_time()
    for each in (line, "a" + line, line + "!", "ERROR " + line + ":", "Caused by: " + line):
        mask(each)
        split_head(each)
        telling_lines([each])
        error_template([each])
    assert time.process_time() - began < 3.0


def test_names_that_hold_digits_stay() -> None:
    assert mask("py4j over s3a with log4j") == "py4j over s3a with log4j"


def test_telling_lines_keeps_the_last_trouble_once() -> None:
    text = "\n".join(
        ["INFO Foo: fine", *["WARN Foo: slow 7"] * 500, "java.io.IOException: gone", "INFO Foo: fine"]
    )
    assert telling_lines([text]) == "WARN Foo slow <num>\njava.io.IOException: gone"


# ----------------------------------------------------------------------------------------------------- counting


def _template(name: str) -> Template:
    return Template(name, name, name)


def test_the_costliest_template_comes_first_with_what_retries_brought() -> None:
    cheap, dear = _template("cheap"), _template("dear")
    counts = costliest(
        [
            FailedTry(cheap, "shop.load", 5.0, plain_retry_succeeded=True),
            FailedTry(cheap, "shop.load", None),
            FailedTry(cheap, "shop.sell", 5.0, plain_retry_succeeded=False),
            FailedTry(dear, "shop.sell", 500.0),
        ]
    )
    assert [count.template.id for count in counts] == ["dear", "cheap"]
    assert (counts[1].count, counts[1].gib_seconds) == (3, 10.0)
    assert (counts[1].retries, counts[1].retries_succeeded) == (2, 1)
    assert counts[1].tasks == (("shop.load", 2), ("shop.sell", 1))


# ----------------------------------------------------------------------------------------------------- drafting


def _healthy(text: str) -> HealthyText:
    return HealthyText("nightly.log", lambda catalogue: classify_texts(catalogue, [(None, text)]))


def test_a_drafted_rule_names_the_failure_and_another_run_of_it(tmp_path: Path) -> None:
    message = "com.acme.GuardException: Shop {num} of '{name}' is sealed: {path}, see {url}"
    found = error_template([_of_run(0, message)])
    assert found is not None
    made = draft(found, load_catalogue(), [])
    assert made.not_ready == ""
    file = tmp_path / "mine.yaml"
    file.write_text(made.yaml)
    rules, errors = read_rules(file)
    assert errors == []
    for run in (0, 1):
        verdict = classify_texts(Catalogue(tuple(rules)), [(None, _of_run(run, message))])
        assert verdict.rule == rules[0].id
        assert verdict.restartable.value == "as_is"


def test_a_pattern_needs_text_to_go_by() -> None:
    assert pattern_of("<name>: <num>") is None
    assert pattern_of("Error <num>") is None


def test_a_rule_that_a_healthy_log_matches_asks_for_a_failure_or_is_not_ready() -> None:
    found = error_template(["ERROR Feed: feed of 7 shops is stale"])
    assert found is not None
    went_well = (
        "26/11/24 10:00:00 ERROR Feed: feed of 9 shops is stale\n26/11/24 10:00:01 INFO Feed: rows written\n"
    )
    made = draft(found, Catalogue(()), [_healthy(went_well)])
    assert made.rule is not None
    assert made.rule.only_if_failed
    assert made.not_ready == ""
    assert "nightly.log" in made.notes[0]
    bare = draft(found, Catalogue(()), [_healthy("Feed: feed of 9 shops is stale\n")])
    assert "nightly.log" in bare.not_ready


def test_the_shipped_healthy_lines_with_a_good_end_are_no_failure_to_any_rule() -> None:
    text = HEALTHY_LINES.read_text(encoding="utf-8") + "\t final status: SUCCEEDED\n"
    assert classify_texts(load_catalogue(), [(None, text)]).rule is None


def test_a_rule_for_what_healthy_applications_print_too_counts_only_where_something_failed() -> None:
    found = error_template(["java.io.IOException: Connection reset by peer"])
    assert found is not None
    healthy = _healthy(HEALTHY_LINES.read_text(encoding="utf-8"))
    made = draft(found, Catalogue(()), [healthy])
    assert made.rule is not None
    assert made.rule.only_if_failed
    assert "nightly.log" in made.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "acme.RowError: shop 7 is odd and stays so",
        "ValueError: shop 7 of region 3 is odd and stays so",
        'Exception in thread "main" com.acme.GuardException: shop 7 is sealed for ever',
    ],
)
def test_the_example_of_a_draft_is_its_own_among_all_rules(text: str) -> None:
    found = error_template([text])
    assert found is not None
    catalogue = load_catalogue()
    made = draft(found, catalogue, [])
    assert made.rule is not None
    assert lost_examples(Catalogue((made.rule, *catalogue.rules)), [made.rule]) == []
