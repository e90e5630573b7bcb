"""What a log shows is told rightly however it arrives: whole, in pieces, coloured, broken, hostile or huge."""

from __future__ import annotations

import gzip
import json
import re
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_autoremed.failures.matching import log_blocks
from airflow_autoremed.failures.matching import matcher as matching
from airflow_autoremed.failures.matching.classify import classify_file, classify_texts
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.literal_engines import available_engines, make_engine
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.rules.rule import make_rule
from airflow_autoremed.types import Restartable, Source

CATALOGUE = load_catalogue()

HEAP = (
    "24/05/01 10:00:00 WARN TaskSetManager: Lost task 0.0 in stage 0.0 (TID 0) (10.0.0.1 executor 1): "
    "java.lang.OutOfMemoryError: Java heap space"
)
FETCH_FAILED = (
    "24/05/01 10:00:05 WARN TaskSetManager: Lost task 1.0 in stage 1.0 (TID 9) (10.0.0.2 executor 2): "
    "FetchFailed(BlockManagerId(1, 10.0.0.1, 7337, None), shuffleId=0, mapIndex=0, mapId=0, reduceId=1, message=\n"
    "org.apache.spark.shuffle.FetchFailedException: Failed to connect to /10.0.0.1:7337\n"
    "Caused by: java.net.ConnectException: Connection refused: /10.0.0.1:7337"
)
ABORTED = "org.apache.spark.SparkException: Job aborted due to stage failure: ShuffleMapStage 2 has failed the maximum"


def verdict(text, source=None, engine=None):
    matcher = LogMatcher(CATALOGUE, engine)
    matcher.feed(text, source)
    return matcher.classification()


def one_rule(**changes):
    plain = {
        "id": "a-rule",
        "category": "user_code_error",
        "rank": 50,
        "pattern": "needle in the hay",
        "summary": "A needle.",
    }
    return Catalogue((make_rule({**plain, **changes}),))


def run(catalogue, text, **options):
    matcher = LogMatcher(catalogue, **options)
    matcher.feed(text)
    return matcher.classification()


# ------------------------------------------------------------------------------------------------ cause and decoy


@pytest.mark.parametrize("first_comes", ["cause", "decoy"])
def test_a_heap_oom_beats_the_fetch_failures_that_it_drags_along(first_comes):
    parts = [HEAP, FETCH_FAILED] if first_comes == "cause" else [FETCH_FAILED, HEAP]
    found = verdict(
        "\n".join([*parts, "ERROR TaskSchedulerImpl: Lost executor 1: Command exited with code 52", ABORTED])
    )
    assert found.category == "executor_oom_heap"
    assert found.restartable is Restartable.WITH_CHANGES
    assert found.memory_configuration


def test_the_deciding_line_is_named_with_its_number():
    found = verdict("one\ntwo\n" + HEAP + "\nfour\n")
    assert (found.lines[0].number, found.lines[0].text) == (3, HEAP)


def test_every_runner_up_says_why_it_lost():
    found = verdict(
        HEAP + "\nERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.1: Command exited with code 52\n"
    )
    lost = {match.rule: match.why_not for match in found.runners_up}
    assert f"rank 80 is below the 92 of {found.rule}" in lost["memory-executor-exit-52"]
    assert all(lost.values())


@pytest.mark.parametrize(
    ("text", "category", "sizes"),
    [
        (
            "Total size of serialized results of 2 tasks (1029.0 MiB) is bigger than spark.driver.maxResultSize (1024.0 MiB)",
            "driver_result_size",
            {"needed": 1029 * 1024**2, "limit": 1024**3},
        ),
        (
            "com.esotericsoftware.kryo.KryoException: Buffer overflow. Available: 0, required: 1048576",
            "serializer_buffer",
            {"available": 0, "needed": 1048576},
        ),
        (
            "Serialized task 9:0 was 204718480 bytes, which exceeds max allowed: spark.rpc.message.maxSize (134217728 bytes).",
            "serializer_buffer",
            {"needed": 204718480, "limit": 134217728},
        ),
        (
            "Required executor memory (4096), overhead (384) is above the max threshold (4096) of this cluster!",
            "memory_request_invalid",
            {"executor_memory": 4096 * 1024**2, "overhead": 384 * 1024**2, "threshold": 4096 * 1024**2},
        ),
        (
            "Required executor memory (4096 MB), offHeap memory (0) MB, overhead (409 MB), and PySpark memory (0 MB) is above the max threshold (4096 MB) of this cluster!",
            "memory_request_invalid",
            {"executor_memory": 4096 * 1024**2, "overhead": 409 * 1024**2, "threshold": 4096 * 1024**2},
        ),
        (
            "Executor memory 419430400 must be at least 471859200. Please increase executor memory",
            "memory_request_invalid",
            {"used": 419430400, "minimum": 471859200},
        ),
        (
            "Container killed by YARN for exceeding memory limits. 8.5 GB of 8 GB physical memory used.",
            "executor_oom_overhead",
            {"used": int(8.5 * 1024**3), "limit": 8 * 1024**3},
        ),
        (
            "SparkException: Could not execute broadcast in 300 secs.",
            "broadcast_oom_or_timeout",
            {"timeout": 300},
        ),
        (
            "Cannot broadcast the table that is larger than 8.0 GiB: 9.5 GiB.",
            "broadcast_oom_or_timeout",
            {"limit": 8 * 1024**3, "needed": int(9.5 * 1024**3)},
        ),
    ],
)
def test_quantities_in_messages_are_read(text, category, sizes):
    found = verdict(text)
    assert found.category == category
    assert found.sizes == sizes


def test_of_several_totals_the_largest_counts():
    line = "Total size of serialized results of {n} tasks ({n}.0 MiB) is bigger than spark.driver.maxResultSize (1.0 MiB)\n"
    found = verdict(line.format(n=2) + line.format(n=7) + line.format(n=3))
    assert found.sizes["needed"] == 7 * 1024**2


# -------------------------------------------------------------------------------------------------------- healthy


def test_a_healthy_log_full_of_warnings_is_unknown():
    text = "\n".join(
        [
            "24/05/01 10:00:00 WARN Utils: Service 'SparkUI' could not bind on port 4040. Attempting port 4041.",
            "24/05/01 10:00:00 WARN TaskSchedulerImpl: Initial job has not accepted any resources; check your cluster UI",
            "24/05/01 10:00:01 ERROR TaskSchedulerImpl: Lost executor 0 on 127.0.0.1: Command exited with code 143",
            "24/05/01 10:00:02 INFO DAGScheduler: Job 0 finished: count at report.py:3, took 3.1 s",
        ]
    )
    assert verdict(text).category == "unknown"


def test_trouble_that_the_application_got_over_is_not_its_failure():
    recovered = (
        HEAP + "\n24/05/01 10:02:00 INFO DAGScheduler: Job 0 finished: count at report.py:3, took 90.1 s\n"
    )
    assert verdict(recovered).category == "unknown"
    later = verdict(recovered + ABORTED)
    assert later.category == "unknown"
    assert any("got over it" in match.why_not for match in later.runners_up)


def test_a_final_success_outweighs_an_error_on_the_way():
    text = (
        HEAP
        + "\n"
        + ABORTED
        + "\n24/05/01 10:09:00 INFO ApplicationMaster: Final app status: SUCCEEDED, exitCode: 0\n"
    )
    assert verdict(text).category == "unknown"


def test_a_rule_that_needs_a_failed_application_waits_for_a_sign_of_it():
    catalogue = one_rule(only_if_failed=True)
    quiet = "24/05/01 10:00:00 WARN Hay: needle in the hay\n"
    assert run(catalogue, quiet).category == "unknown"
    assert run(catalogue, "24/05/01 10:00:00 WARN Hay: see below\nneedle in the hay").category == "unknown"
    assert run(catalogue, quiet, assume_failed=True).category == "user_code_error"


def test_a_warning_explains_a_failure_that_nothing_else_explains_but_never_stops_its_retries():
    quiet = "24/05/01 10:00:00 WARN Hay: needle in the hay\n"
    catalogue = one_rule(only_if_failed=True, restartable="as_is")
    assert run(catalogue, quiet + ABORTED).category == "user_code_error"
    assert run(one_rule(only_if_failed=True), quiet + ABORTED).category == "unknown"


def test_a_report_without_a_log_level_in_sight_is_a_sign_of_failure_itself():
    assert (
        run(one_rule(only_if_failed=True), "Diagnostics: needle in the hay\n").category == "user_code_error"
    )


# ------------------------------------------------------------------------------------------------------- context


@pytest.mark.parametrize(("distance", "seen"), [(1, True), (30, True), (31, False)])
def test_conditions_look_thirty_lines_far(distance, seen):
    filler = "quiet\n" * (distance - 1)
    before = one_rule(preceded_by="storm")
    after = one_rule(followed_by="storm")
    never = one_rule(not_preceded_by="storm")
    assert (run(before, f"storm\n{filler}needle in the hay\n").rule is not None) is seen
    assert (run(after, f"needle in the hay\n{filler}storm\n").rule is not None) is seen
    assert (run(never, f"storm\n{filler}needle in the hay\n").rule is None) is seen


def test_a_condition_on_the_same_line_can_call_a_match_off():
    catalogue = one_rule(unless="INFO")
    assert run(catalogue, "INFO needle in the hay").rule is None
    assert run(catalogue, "ERROR needle in the hay").rule == "a-rule"


def test_a_rule_for_executor_logs_leaves_the_driver_log_alone():
    catalogue = one_rule(source=["executor_log"])
    for source, expected in [
        (Source.EXECUTOR_LOG, "a-rule"),
        (Source.DRIVER_LOG, None),
        (Source.EXCEPTION, None),
        (None, "a-rule"),
    ]:
        matcher = LogMatcher(catalogue)
        matcher.feed("needle in the hay", source)
        assert matcher.classification().rule == expected


def test_texts_of_several_sources_are_one_failure():
    found = classify_texts(
        CATALOGUE,
        [(Source.EXCEPTION, ABORTED), (Source.DRIVER_LOG, [FETCH_FAILED]), (Source.EXECUTOR_LOG, HEAP)],
    )
    assert found.category == "executor_oom_heap"
    assert found.lines[0].source is Source.EXECUTOR_LOG


# ------------------------------------------------------------------------------------------------- broken and odd


@pytest.mark.parametrize(
    "dirty",
    [
        HEAP.replace("Java heap", "\x1b[1;31mJava heap\x1b[0m").encode(),
        HEAP.encode("utf-16"),
        HEAP.encode("utf-16-le"),
        b"\xff\xfe\x80 broken \xc3\n" + HEAP.encode() + b"\r\n",
        b"\x00" * 100 + HEAP.encode() + b"\x00",
        b"[Stage 0:>      (0 + 1) / 1]\r" + HEAP.encode(),
        HEAP.replace("24/05/01 10:00:00", "2024-05-01T10:00:00.123+02:00 [thread-7]").encode(),
        HEAP.replace("24/05/01 10:00:00", "[2024-05-01, 10:00:00 UTC] {spark_submit.py:641} INFO -").encode(),
    ],
    ids=[
        "colours",
        "utf-16",
        "utf-16-le",
        "broken utf-8",
        "nul bytes",
        "progress bar",
        "iso time",
        "airflow prefix",
    ],
)
def test_dirt_in_a_log_hides_nothing(dirty):
    assert verdict(dirty).category == "executor_oom_heap"


def test_the_json_lines_of_spark_4_are_read_as_text():
    record = {
        "ts": "2024-05-01T10:00:00.000Z",
        "level": "WARN",
        "msg": "Lost task 0.0 in stage 0.0 (TID 0) (10.0.0.1 executor 1)",
        "context": {"task_id": "0"},
        "exception": {
            "class": "java.lang.OutOfMemoryError",
            "msg": "Java heap space",
            "stacktrace": [
                {"class": "java.util.Arrays", "method": "copyOf", "file": "Arrays.java", "line": "3236"},
                {
                    "class": "org.apache.spark.scheduler.TaskResultGetter",
                    "method": "run",
                    "file": "T.scala",
                    "line": "6",
                },
            ],
        },
        "logger": "TaskSetManager",
    }
    found = verdict("first\n" + json.dumps(record) + "\n")
    assert found.category in ("executor_oom_heap", "driver_oom_heap")
    assert found.lines[0].number == 2


def test_quotes_inside_json_lines_are_no_obstacle():
    line = json.dumps(
        {
            "log": 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n',
            "stream": "stderr",
        }
    )
    assert verdict("2024-05-01T10:00:00Z stdout F " + line).category == "driver_oom_heap"


def test_a_json_line_that_is_cut_off_or_nested_without_end_is_matched_as_it_stands():
    assert verdict('{"msg": "' + HEAP).category == "executor_oom_heap"
    assert verdict('{"a":' * 100_000 + "}" * 100_000 + "\n" + HEAP).category == "executor_oom_heap"


def test_gzip_is_read_and_a_truncated_archive_counts_as_far_as_it_goes(tmp_path):
    whole = tmp_path / "driver.log.gz"
    whole.write_bytes(gzip.compress((HEAP + "\n").encode() + bytes(str(list(range(9000))), "ascii")))
    assert classify_file(CATALOGUE, whole).category == "executor_oom_heap"
    cut = tmp_path / "cut.log"
    cut.write_bytes(whole.read_bytes()[:-2000])
    assert classify_file(CATALOGUE, cut).category == "executor_oom_heap"


def test_an_empty_log_is_unknown(tmp_path):
    empty = tmp_path / "empty.log"
    empty.touch()
    assert classify_file(CATALOGUE, empty).category == "unknown"


# ------------------------------------------------------------------------------------------------ pieces and size

STORY = "\n".join(
    [
        "24/05/01 09:59:59 INFO SparkContext: Running Spark version 3.5.1",
        "24/05/01 10:00:00 ERROR Utils: uncaught error in thread spark-listener-group-appStatus, stopping SparkContext",
        *["quiet"] * 20,
        "java.lang.OutOfMemoryError: GC overhead limit exceeded",
        HEAP,
        FETCH_FAILED,
        "java.util.concurrent.TimeoutException: Futures timed out after [300 seconds]",
        *["\tat some.frame(Frame.java:1)"] * 25,
        "\tat org.apache.spark.sql.execution.exchange.BroadcastExchangeExec.doExecuteBroadcast(BroadcastExchangeExec.scala:146)",
        ABORTED,
    ]
)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STORY)), max_size=12), block=st.integers(1, 4000))
def test_however_a_log_is_cut_the_verdict_is_the_same(cuts, block):
    whole = verdict(STORY)
    edges = [0, *sorted(cuts), len(STORY)]
    before = log_blocks.BLOCK
    log_blocks.BLOCK = block
    try:
        matcher = LogMatcher(CATALOGUE)
        for start, end in pairwise(edges):
            matcher.feed(STORY[start:end])
        assert matcher.classification() == whole
    finally:
        log_blocks.BLOCK = before


def test_the_same_log_gives_the_same_verdict_again():
    assert len({repr(verdict(STORY)) for _ in range(5)}) == 1


def test_a_literal_across_the_cut_of_a_huge_line_is_seen():
    catalogue = one_rule()
    edge = log_blocks.LONGEST_PIECE
    for shift in (-30, -16, -5, 0, 3):
        text = "x" * (edge + shift) + "needle in the hay" + "x" * 5000
        assert run(catalogue, text).rule == "a-rule", shift


def test_memory_stays_bounded_on_a_single_line_of_64_megabytes():
    """1 GB would need no more: the buffers do not depend on what was read."""
    piece = b"x" * 65536
    matcher = LogMatcher(CATALOGUE)
    matcher.feed(b"warm up\n")
    tracemalloc.start()
    for _ in range(1024):
        matcher.feed(piece)
    matcher.feed(("\n" + HEAP).encode())
    found = matcher.classification()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.category == "executor_oom_heap"
    assert found.lines[0].number == 3
    assert peak < 16 * 1024 * 1024


def test_memory_stays_bounded_when_every_line_matches():
    lines = (HEAP + "\n").encode() * 500
    matcher = LogMatcher(CATALOGUE)
    matcher.feed(lines)
    tracemalloc.start()
    for _ in range(15):
        matcher.feed(lines)
    found = matcher.classification()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.lines[0].text == HEAP
    assert peak < 16 * 1024 * 1024


def test_evidence_is_short_even_of_a_long_line():
    found = verdict("x" * 100_000 + HEAP + "y" * 100_000)
    assert found.category == "executor_oom_heap"
    assert all(len(line.text) <= 2000 for line in found.lines)
    assert "OutOfMemoryError" in found.lines[0].text


# -------------------------------------------------------------------------------------------------------- hostile


def _hostile_lines(rule):
    """Lines made of the rule's own words: what makes a pattern start over and over again."""
    words = re.findall(
        r"[A-Za-z][A-Za-z .:-]{2,}", re.sub(r"\\[a-zA-Z]", " ", rule.pattern).replace("\\", "")
    )
    seeds = {*words[:4], *rule.literals[:2], "1", "a ", "1 MB ", ": "}
    for seed in sorted(seeds):
        yield (seed * (rule.window // len(seed) + 1))[: rule.window]


@pytest.mark.parametrize("part", range(8))
def test_no_pattern_hangs_on_a_line_made_to_hang_it(part):
    slow = []
    for rule in CATALOGUE.rules[part::8]:
        for line in _hostile_lines(rule):
            began = time.process_time()
            rule.regex.search(line)
            if rule.unless_regex is not None:
                rule.unless_regex.search(line)
            if time.process_time() - began > 1.0:
                slow.append((rule.id, line[:40]))
    assert slow == []


def test_a_hostile_log_is_done_in_time():
    """Every literal of the catalogue, again and again, on lines longer than any pattern may see."""
    literals = [literal for rule in CATALOGUE.rules for literal in rule.literals][::7]
    line = " ".join(literals) * 3
    began = time.process_time()
    matcher = LogMatcher(CATALOGUE)
    for _ in range(20):
        matcher.feed(line + "\n")
    matcher.classification()
    assert time.process_time() - began < 30


def test_a_rule_that_turns_out_slow_is_left_out_and_the_others_still_speak(monkeypatch):
    catalogue = Catalogue(
        (
            make_rule(
                {
                    "id": "slow-rule",
                    "category": "bad_data",
                    "rank": 90,
                    "pattern": "aa.{0,200}aa.{0,40}aab",
                    "summary": "Slow.",
                }
            ),
            *one_rule().rules,
        )
    )
    monkeypatch.setattr(matching, "_PATIENCE_S", 0.0)
    matcher = LogMatcher(catalogue)
    matcher.feed("aab" + "a" * 3000 + "\n" + "aac" * 900 + "needle in the hay")
    matcher.feed(("\n" + "a" * 400 + "ab aab") * 3)
    assert matcher.classification().rule is not None


# -------------------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize("engine", available_engines())
def test_every_engine_finds_the_same(engine):
    corpus = "\n".join(example for rule in CATALOGUE.rules for example in rule.examples)
    reference = LogMatcher(CATALOGUE, "re")
    reference.feed(corpus)
    other = LogMatcher(CATALOGUE, engine)
    other.feed(corpus)
    assert other.matched() == reference.matched()
    assert other.classification() == reference.classification()
    assert len(reference.matched()) > 300


@pytest.mark.parametrize("engine", available_engines())
def test_overlapping_and_nested_literals_are_all_reported(engine):
    literals = [b"abcd", b"bc", b"cdef", b"abcdef", b"(a+b)*"]
    _, find = make_engine(literals, engine)
    assert sorted(find(b"xabcdefx (a+b)* bc")) == sorted(
        [(0, 1, 5), (1, 2, 4), (2, 3, 7), (3, 1, 7), (4, 9, 15), (1, 16, 18)]
    )


def test_a_log_that_turns_out_large_is_handed_to_the_fastest_engine_with_the_same_verdict(monkeypatch):
    monkeypatch.setattr(matching, "LARGE", 100_000)
    monkeypatch.setattr(log_blocks, "BLOCK", 10_000)
    text = HEAP + "\n" + "24/05/01 10:00:00 INFO DAGScheduler: quiet\n" * 10_000 + STORY
    matcher = LogMatcher(CATALOGUE)
    matcher.feed(text)
    found = matcher.classification()
    assert matcher._index.engine == available_engines()[0]
    assert found == verdict(text, engine="ahocorasick")


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="hyperscan, ahocorasick, re"):
        make_engine([b"abc"], "grep")


def test_without_a_fast_engine_matching_still_works_and_says_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    with pytest.warns(RuntimeWarning, match="pip install ahocorasick-rs"):
        name, find = make_engine([b"abc"])
    assert name == "re"
    assert find(b"xabc") == [(0, 1, 4)]
