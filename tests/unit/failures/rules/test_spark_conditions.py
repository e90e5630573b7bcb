"""Spark's own error conditions are recognised however they are printed, and mean what the mapping says."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules import spark_conditions
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.rules.spark_conditions import (
    Conditions,
    identifier_of,
    load_conditions,
    shorten,
)
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable, Source

pytest.importorskip("pyspark")
sys.path.insert(0, str(Path(__file__).parents[4] / "scripts"))
import make_conditions as script

CATALOGUE = load_catalogue()
INSTALLED = script.read_source()
ALL = script.with_others(INSTALLED)


def verdict(text: str, failed: bool = False, source: Source | None = None, catalogue=CATALOGUE):
    matcher = LogMatcher(catalogue, assume_failed=failed)
    matcher.feed(text, source)
    return matcher.classification()


# --------------------------------------------------------------------------------------- the generated table


def test_the_table_is_what_the_script_makes_of_the_installed_pyspark():
    table, words = script.make(ALL, script.read_mapping())
    assert spark_conditions.TABLE.read_text(encoding="utf-8") == table, (
        "run python scripts/make_conditions.py"
    )
    assert spark_conditions.WORDS.read_text(encoding="utf-8") == words, (
        "run python scripts/make_conditions.py"
    )


def test_the_installed_pyspark_has_as_many_conditions_as_were_looked_at():
    assert len(INSTALLED.jvm) > 1200
    assert sum(len(script._subs(condition)) for condition in INSTALLED.jvm.values()) > 550


@pytest.mark.parametrize("state", ["99XYZ", None])
def test_a_condition_that_the_mapping_does_not_cover_is_reported_by_name(state):
    new = {"NOT_SEEN_BEFORE": {"message": ["Something."]} | ({"sqlState": state} if state else {})}
    with pytest.raises(script.MappingError, match=r"NOT_SEEN_BEFORE .* is not covered; add it"):
        script.make(dataclasses.replace(ALL, jvm={**ALL.jvm, **new}), script.read_mapping())


def test_a_new_condition_of_a_known_sqlstate_class_needs_nothing():
    new = {"NOT_SEEN_BEFORE": {"message": ["Something."], "sqlState": "42XYZ"}}
    table, _ = script.make(dataclasses.replace(ALL, jvm={**ALL.jvm, **new}), script.read_mapping())
    assert Conditions(json.loads(table)).rule("NOT_SEEN_BEFORE").category == "schema_or_analysis_error"


def test_a_misspelt_name_in_the_mapping_is_reported():
    mapped = script.read_mapping()
    mapped.names["TABLE_OR_VEIW_NOT_FOUND"] = {"category": "missing_data"}
    with pytest.raises(script.MappingError, match="TABLE_OR_VEIW_NOT_FOUND is no condition of pyspark"):
        script.make(ALL, mapped)


def test_every_condition_says_in_one_line_what_happened_and_what_to_do():
    table = load_conditions()
    for identifier in table.ids():
        rule = table.get(identifier)
        if rule is None:  # a wrapper
            continue
        assert rule.id == identifier
        assert rule.category in CATEGORIES
        assert 1 <= rule.rank <= 99
        assert rule.hint, identifier
        assert rule.reference, identifier
        assert rule.summary, identifier
        assert "\n" not in rule.summary, identifier
        assert len(rule.summary) <= 2 * 200, identifier
        assert not re.search(r"<\w+>", rule.summary), (identifier, rule.summary)


@pytest.mark.parametrize(
    ("template", "summary"),
    [
        (
            "The table or view <relationName> cannot be found. Verify the",
            "The table or view … cannot be found.",
        ),
        ("Cannot cast <sourceType> to <targetType>.", "Cannot cast … to …."),
        (
            "The value '<confValue>' in the config \"<confName>\" is invalid.",
            "The value … in the config … is invalid.",
        ),
        ("<message>.<alternative>", ""),
    ],
)
def test_parameters_of_a_message_are_left_out_of_its_summary(template, summary):
    assert shorten(template) == summary


# ------------------------------------------------------------------------------------------- every condition

TAKEN_BY_A_RULE = {
    # Handwritten rules that judge a condition otherwise than the mapping, and outrank it.
    "EXPRESSION_DECODING_FAILED": "sqlstate-syntax-or-access-rule",  # a wrapper: any rule may outrank it
    "EXPRESSION_ENCODING_FAILED": "sqlstate-syntax-or-access-rule",
    "STDS_INTERNAL_ERROR": "streaming-checkpoint-does-not-fit-the-query",
    "STDS_COMMITTED_BATCH_UNAVAILABLE": "streaming-checkpoint-does-not-fit-the-query",
    "STDS_FAILED_TO_READ_OPERATOR_METADATA": "streaming-checkpoint-does-not-fit-the-query",
    "STDS_FAILED_TO_READ_STATE_SCHEMA": "streaming-checkpoint-does-not-fit-the-query",
    "STDS_NO_PARTITION_DISCOVERED_IN_STATE_STORE": "streaming-checkpoint-does-not-fit-the-query",
    "STDS_OFFSET_METADATA_LOG_UNAVAILABLE": "streaming-checkpoint-does-not-fit-the-query",
    "INTERNAL_ERROR_HIVE_METASTORE_PARTITION_FILTER": "internal-spark-error",
    "INTERNAL_ERROR_INVALID_HIVE_COLUMN_TYPE": "internal-spark-error",
    "NONEXISTENT_FIELD_NAME_IN_LIST": "sqlstate-external-database",
    # Wrappers give no verdict of their own; alone, these are taken by a rule for their SQLSTATE or text.
    "WRITING_JOB_ABORTED": "sqlstate-transaction-rollback",
    "STREAMING_ASYNC_OPERATION_FAILED": "sqlstate-internal-error",
    "CANNOT_LOAD_STATE_STORE.UNCATEGORIZED": "streaming-checkpoint-damaged",
    "CANNOT_LOAD_CHECKPOINT_FILE_MANAGER.UNCATEGORIZED": "sqlstate-system-error",
    "TASK_WRITE_FAILED": "sqlstate-system-error",
    "PIPELINE_RUN_FAILED": "sqlstate-syntax-or-access-rule",
    "STAGE_MATERIALIZATION_MULTIPLE_FAILURES": "spark-stage-indeterminate",
}
TOO_SHORT_TO_TELL = 24
"""Letters of a message that is printed without its condition: "empty RDD", "<x> is not a view.", "<message>"."""


def _cases():
    """Every condition and sub-condition with its whole message, by the class of its SQLSTATE."""
    cases = defaultdict(list)
    for python, side in ((False, ALL.jvm), (True, ALL.python)):
        for name, condition in side.items():
            if python and name in ALL.jvm:
                continue
            subs = script._subs(condition)
            state = condition.get("sqlState") or ""
            for sub in subs or [""]:
                parts = [*condition["message"], *(subs[sub]["message"] if sub else ())]
                message = re.sub(r"<[\w.-]+>", "x1", "\n".join(parts))
                group = "PySpark" if python else name[:21] if name.startswith("_LEGACY") else state[:2]
                cases[group].append((name, sub, message, state, python))
    return cases


CASES = _cases()


@pytest.mark.parametrize("group", sorted(CASES))
def test_every_condition_of_spark_gives_the_category_that_the_mapping_says(group):
    surprises = []
    for name, sub, message, state, python in CASES[group]:
        full = f"{name}.{sub}" if sub else name
        rule = load_conditions().rule(name, sub)
        wanted = rule.category if rule else "unknown"
        thrown = (
            "pyspark.errors.exceptions.base.PySparkValueError"
            if python
            else "org.apache.spark.SparkException"
        )
        named = "" if name.startswith("_LEGACY") else f"[{full}] "
        found = verdict(f"{thrown}: {named}{message}" + (f" SQLSTATE: {state}" if state else ""), failed=True)
        if found.category == wanted or full in TAKEN_BY_A_RULE:
            continue
        letters = len(re.findall("[A-Za-z]", message.replace("x1", "")))
        if found.rule is None and name.startswith("_LEGACY") and letters < TOO_SHORT_TO_TELL:
            continue
        surprises.append((full, wanted, found.category, found.rule))
    assert surprises == []


# ------------------------------------------------------------------------------------------------ how printed

MAP = "Cannot update `t` field `m` type: update a map by updating m.key or m.value."
STRUCTURED = json.dumps(
    {
        "ts": "2026-11-24T10:00:00Z",
        "level": "ERROR",
        "msg": "Query failed",
        "exception": {
            "class": "org.apache.spark.sql.AnalysisException",
            "msg": f"[CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP} SQLSTATE: 0A000",
            "stacktrace": [{"class": "C", "method": "m", "file": "F.scala", "line": 1}],
        },
        "logger": "ThriftServer",
    }
)


@pytest.mark.parametrize(
    "text",
    [
        f"org.apache.spark.sql.AnalysisException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP} SQLSTATE: 0A000; line 1 pos 0",
        f"pyspark.errors.exceptions.captured.AnalysisException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}",
        f"[CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}(line 1, pos 0)",
        f"pyspark.errors.exceptions.connect.AnalysisException: (org.apache.spark.sql.AnalysisException) [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}",
        f"[2026-11-24T10:00:00.000+0000] {{spark_submit.py:644}} INFO - : org.apache.spark.sql.AnalysisException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\nPy4JJavaError",
        f"26/11/24 10:00:00 ERROR Driver: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}",
        '{"errorClass" : "CANNOT_UPDATE_FIELD.MAP_TYPE", "sqlState" : "0A000", "messageParameters" : {}}',
        STRUCTURED,
        f"{'x' * 70000} SparkException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP} {'y' * 70000}",
    ],
    ids=[
        "4.x",
        "3.4",
        "spark-sql",
        "connect",
        "airflow",
        "log4j",
        "minimal",
        "structured",
        "long line",
    ],
)
def test_a_condition_is_recognised_however_it_is_printed(text):
    found = verdict(text)
    assert found.rule == "spark-condition-cannot-update-field-map-type"
    assert found.category == "schema_or_analysis_error"
    assert "MAP_TYPE" in found.lines[0].text
    assert found.summary.startswith("Cannot update …")
    assert "#cannot_update_field" in found.reference


def test_a_condition_on_the_line_below_its_exception_is_recognised():
    matcher = LogMatcher(CATALOGUE)
    matcher.feed(
        f"o.a.s.sql.catalyst.parser.ParseException: \n[CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}(line 1, pos 0)\n"
    )
    assert "spark-condition-cannot-update-field-map-type" in matcher.matched()


def test_the_line_of_evidence_is_the_one_that_names_the_condition():
    text = f"26/11/24 10:00:00 INFO A: a\n26/11/24 10:00:01 ERROR B: b\n\nSparkException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n"
    (line,) = verdict(text, failed=True).lines
    assert line.number == 4


@pytest.mark.parametrize(
    ("text", "rule", "category"),
    [
        ("SparkException: [NEW_IN_SPARK_9] It broke. SQLSTATE: 42K99", "spark-sqlstate-42", "schema_or_analysis_error"),
        ("SparkException: [NEW_IN_SPARK_9] It broke.\nTry.\nAgain. SQLSTATE: 42501", "spark-sqlstate-42501", "auth_permission"),
        ("DeltaException: [DELTA_BUSY_X] Conflict.\nRetry. SQLSTATE: 2D521", "spark-sqlstate-2d", "concurrency_conflict"),
    ],
)  # fmt: skip
def test_a_condition_that_the_table_does_not_have_is_judged_by_its_sqlstate(text, rule, category):
    found = verdict(text)
    assert (found.rule, found.category) == (rule, category)


def test_a_new_sub_condition_of_a_known_condition_is_that_condition():
    found = verdict("SparkException: [CANNOT_UPDATE_FIELD.NEW_IN_SPARK_9] Cannot.")
    assert found.rule == "spark-condition-cannot-update-field"


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("org.apache.spark.SparkException: Partition column p not found in schema a int.", "2201"),
        ("Caused by: org.apache.spark.SparkRuntimeException: Failed to convert value 3 (class of class X) with the type of int to JSON.", "2026"),
        ("pyspark.sql.utils.AnalysisException: Cannot write into v1 table: `db`.`t`.", "1012"),
        ("java.lang.UnsupportedOperationException: Table implementation does not support writes: db.t.", "2072"),
    ],
)  # fmt: skip
def test_a_message_that_spark_prints_without_its_condition_is_told_by_its_template(message, number):
    assert verdict(message).rule == f"spark-condition-legacy-error-temp-{number}"


@pytest.mark.parametrize(
    "text",
    [
        "com.acme.SchemaException: Partition column p not found in schema a int.",  # nobody of Spark's
        "JsonParseException: Unrecognized scheduler: x",
        "org.apache.spark.SparkException: x not found",
        "java.lang.RuntimeException: Malformed JSON.",
    ],
)
def test_somebody_elses_message_is_not_taken_for_one_of_sparks(text):
    assert not (verdict(text, failed=True).rule or "").startswith(spark_conditions.PREFIXES)


# ----------------------------------------------------------------------------------------- rank and restarts


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a` cannot be found. SQLSTATE: 42P01", "sql-table-or-view-not-found"),
        ("SparkException: [UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire 65536 bytes of memory, got 0. SQLSTATE: 53200", "memory-spark-cannot-acquire"),
        ("SparkException: [INTERNAL_ERROR] The Spark SQL phase planning failed with an internal error.", "internal-spark-error"),
    ],
)  # fmt: skip
def test_a_handwritten_rule_that_says_more_is_preferred(text, rule):
    assert verdict(text).rule == rule


@pytest.mark.parametrize(
    ("inner", "category"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", "executor_oom_heap"),
        (
            "org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012",
            "bad_data",
        ),
        ("java.io.IOException: No space left on device", "disk_full"),
    ],
)
@pytest.mark.parametrize(
    "wrapper",
    [
        "[STREAM_FAILED] Query [id = a, runId = b] terminated with exception: x SQLSTATE: XXKST",
        "[TASK_WRITE_FAILED] Task failed while writing rows to s3://b/t. SQLSTATE: 58030",
        "[FAILED_EXECUTE_UDF] User defined function (`f`: (int) => int) failed due to: x. SQLSTATE: 39000",
        "[INTERNAL_ERROR_STORAGE] Block read failed SQLSTATE: XX000",
    ],
)
def test_what_a_wrapper_wraps_is_the_verdict(wrapper, inner, category):
    text = f"26/11/24 10:00:00 ERROR Executor: Exception in task 0.0 in stage 1.0 (TID 1)\norg.apache.spark.SparkException: {wrapper}\nCaused by: {inner}\n"
    assert verdict(text, failed=True).category == category


def test_a_wrapper_alone_gives_no_verdict():
    found = verdict("SparkException: [SPARK_JOB_CANCELLED] Job 3 cancelled  SQLSTATE: XXKDA", failed=True)
    assert found.rule is None


@pytest.mark.parametrize(
    ("identifier", "restartable"),
    [
        ("spark-condition-path-already-exists", Restartable.NO),
        ("spark-condition-table-or-view-already-exists", Restartable.NO),
        ("spark-condition-failed-read-file-file-not-exist", Restartable.AS_IS),
        ("spark-condition-concurrent-query", None),
        ("spark-condition-cast-invalid-input", None),
    ],
)
def test_whether_a_retry_can_help_is_said_where_it_differs_from_the_category(identifier, restartable):
    assert CATALOGUE.get(identifier).restartable is restartable


def test_a_misspelt_condition_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'spark-condition-concurrent-query'"):
        CATALOGUE.get("spark-condition-concurent-query")


# ---------------------------------------------------------------------------------------------- false alarms

WARNED = f"26/11/24 10:00:00 WARN Optimizer: org.apache.spark.SparkException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n"


@pytest.mark.parametrize(
    "text",
    [
        WARNED,
        WARNED + "26/11/24 10:00:05 INFO DAGScheduler: Job 3 finished: collect at a.py:1, took 1.0 s\n",
        f"26/11/24 10:00:00 WARN Retry: attempt 1\nSparkException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n\tat C.m(F.scala:1)\n",
        f"26/11/24 10:00:00 ERROR Catalog: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n26/11/24 10:00:05 INFO DAGScheduler: Job 3 finished: x, took 1 s\n",
        f"26/11/24 10:00:00 ERROR Catalog: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n26/11/24 10:00:05 INFO Client: \n\t final status: SUCCEEDED\n",
        f"26/11/24 10:00:00 INFO Main: probing\n[CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n26/11/24 10:00:02 INFO Main: so we make it\n",
    ],
    ids=["warned", "warned, went on", "stack trace of a warning", "error, went on", "succeeded", "printed by the job"],
)  # fmt: skip
def test_trouble_that_a_healthy_run_got_over_is_not_its_failure(text):
    assert verdict(text).rule is None


def test_an_exception_below_the_last_line_of_the_log_counts_without_a_traceback():
    text = f"26/11/24 10:00:00 INFO SparkContext: Running\norg.apache.spark.sql.AnalysisException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}\n"
    assert verdict(text).rule == "spark-condition-cannot-update-field-map-type"


def test_a_failed_application_is_not_stopped_for_what_was_only_warned_of():
    failed = "26/11/24 10:00:05 INFO ApplicationMaster: Final app status: FAILED, exitCode: 15\n"
    assert verdict(WARNED + failed).rule != "spark-condition-cannot-update-field-map-type"
    logged = WARNED.replace("WARN", "ERROR")
    assert verdict(logged + failed).rule == "spark-condition-cannot-update-field-map-type"


@pytest.mark.parametrize(
    "text",
    [
        "SparkException: [NOBODY_KNOWS_THIS] It broke.",
        "26/11/24 10:00:00 ERROR Mode: [READ_ONLY] store",  # PySpark's, but no class before it
        "26/11/24 10:00:00 ERROR Proxy: [CONNECT] example.org",
        "ERROR Plan: Project [CANNOT_UPDATE_FIELD.MAP_TYPE]",  # not where a message begins
        'ERROR: relation "t" does not exist SQLSTATE: 42P01',  # another database's
        "ERROR: options are [CANNOT_UPDATE_FIELD,OTHER]",
    ],
)
def test_what_only_looks_like_a_condition_gives_nothing(text):
    matcher = LogMatcher(CATALOGUE, assume_failed=True)
    matcher.feed(text)
    assert [rule for rule in matcher.matched() if rule.startswith(spark_conditions.PREFIXES)] == []


# ------------------------------------------------------------------------------------------- rules of a user

NAMED = f"SparkException: [CANNOT_UPDATE_FIELD.MAP_TYPE] {MAP}"


@pytest.mark.parametrize(
    "identifier", ["spark-condition-cannot-update-field-map-type", "spark-condition-cannot-update-field"]
)
def test_a_user_can_silence_a_condition_or_with_it_its_sub_conditions(tmp_path, identifier):
    (tmp_path / "own.yaml").write_text(f"- id: {identifier}\n  silence: true\n")
    catalogue = load_catalogue([tmp_path])
    assert catalogue.warnings == ()
    assert verdict(NAMED, catalogue=catalogue).rule is None
    with pytest.raises(KeyError):
        catalogue.get("spark-condition-cannot-update-field-map-type")
    other = verdict("SparkException: [CANNOT_CAST_DATATYPE] Cannot cast a to b.", catalogue=catalogue)
    assert other.rule == "spark-condition-cannot-cast-datatype"


def test_a_user_can_say_otherwise_about_a_condition(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "- id: spark-condition-cannot-update-field-map-type\n  category: concurrency_conflict\n  rank: 90\n"
        "  restartable: as_is\n  pattern: 'CANNOT_UPDATE_FIELD.MAP_TYPE'\n  summary: Another job alters it.\n"
    )
    found = verdict(NAMED, catalogue=load_catalogue([tmp_path]))
    assert (found.category, found.restartable) == ("concurrency_conflict", Restartable.AS_IS)
    assert "spark-condition-cannot-update-field-map-type" not in [match.rule for match in found.runners_up]


def test_silencing_a_condition_that_does_not_exist_is_reported_with_the_nearest(tmp_path):
    (tmp_path / "own.yaml").write_text("- id: spark-condition-cannot-cast-datatyp\n  silence: true\n")
    (warning,) = load_catalogue([tmp_path]).warnings
    assert "did you mean 'spark-condition-cannot-cast-datatype'?" in str(warning)


def test_explain_names_the_condition_that_lost():
    found = verdict("AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a` cannot be found.")
    lost = {match.rule: match.why_not for match in found.runners_up}
    assert "is below" in lost["spark-condition-table-or-view-not-found"]


# ------------------------------------------------------------------------------------------------------ cost


def test_the_table_is_read_only_for_a_log_that_may_name_a_condition():
    load_conditions.cache_clear()
    healthy = (
        "26/11/24 10:00:00 INFO TaskSetManager: Finished task 1.0 in stage 1.0 (TID 1) in 5 ms on a (1/2)\n"
    )
    died = "org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 8.0 failed 4 times\n"
    verdict(healthy * 1000 + died)
    assert load_conditions.cache_info().misses == 0
    verdict(NAMED)
    assert load_conditions.cache_info().misses == 1


@pytest.mark.parametrize(
    "line",
    [
        ": [CANNOT_UPDATE_FIELD] SQLSTATE: 42K99 SparkException: Cannot " * 20000,
        "[" * 100000 + "[TABLE_" * 100000,
        "SparkException: Failed to <x" * 20000,
        "x: [CANNOT_" + "A" * 500000,
    ],
    ids=["names", "brackets", "messages", "endless name"],
)
def test_a_hostile_line_is_done_with_soon(line):
    began = time.process_time()
    verdict(line)
    assert time.process_time() - began < 5


def test_a_damaged_table_costs_the_conditions_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(spark_conditions, "TABLE", tmp_path / "conditions.json")
    load_conditions.cache_clear()
    try:
        (tmp_path / "conditions.json").write_text("{")
        assert verdict(NAMED).rule is None
        assert verdict("java.lang.OutOfMemoryError: Java heap space", failed=True).category.endswith(
            "_oom_heap"
        )
    finally:
        load_conditions.cache_clear()


def test_ids_are_in_kebab_case_and_unique():
    assert identifier_of("_LEGACY_ERROR_TEMP_1134") == "spark-condition-legacy-error-temp-1134"
    assert identifier_of("A_B", "C_D") == "spark-condition-a-b-c-d"
    known = list(load_conditions().ids())
    assert len(known) == len(set(known)) > 2500
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier) for identifier in known)
