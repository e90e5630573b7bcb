"""Logs made to hang, to flood or to blind us: every rule against its own words, lines without end, dirt of all kinds."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_autoremed.errors import PatternError
from airflow_autoremed.failures.matching import log_blocks
from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules import regex_cost
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.literal_engines import available_engines
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.failures.rules.pattern_literals import analyse
from airflow_autoremed.failures.rules.rule import make_rule

try:
    from re import _constants as codes
    from re import _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as codes
    import sre_parse as parser

CATALOGUE = load_catalogue()
HEAP = "24/05/01 10:00:00 WARN TaskSetManager: Lost task 3.0 in stage 8.0 (TID 99) (10.0.0.1 executor 12): java.lang.OutOfMemoryError: Java heap space"
ABORTED = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 8.0 failed 4 times"
)
QUIET = "24/05/01 10:00:00 INFO BlockManagerInfo: Removed broadcast_7_piece0 on 10.0.0.1:4040 in memory\n"


def verdict(*pieces, engine=None):
    matcher = LogMatcher(CATALOGUE, engine)
    for piece in pieces:
        matcher.feed(piece)
    return matcher.classification()


def rule(pattern, **more):
    plain = {
        "id": "a-rule",
        "category": "user_code_error",
        "rank": 50,
        "pattern": pattern,
        "summary": "A rule.",
    }
    return make_rule({**plain, **more})


# ------------------------------------------------------------------------------- every rule against its own words

PROBES = "a1 :.,/_-[](){}'\"=A$xyz0\t\u00e9"
REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT, getattr(codes, "POSSESSIVE_REPEAT", codes.MAX_REPEAT)}


def spelled(items, gap):
    """A text that a sequence of the parse tree matches, its gaps stretched to ``gap`` characters where they may be."""
    text = []
    for op, value in items:
        if op is codes.SUBPATTERN:
            text.append(spelled(value[3], gap))
        elif op is codes.BRANCH:
            text.append(spelled(value[1][0], gap))
        elif op in REPEATS:
            low, high, body = value
            text.append(spelled(body, gap) * max(low, min(int(high), gap)))
        elif op is codes.LITERAL:
            text.append(chr(value))
        elif op is codes.IN:
            members = regex_cost._members(op, value, False)
            text.append(
                next((one for one in PROBES if members >> regex_cost._CHARACTERS.index(one) & 1), "x")
            )
        elif op in (codes.ANY, codes.NOT_LITERAL):
            text.append("x")
    return "".join(text)


def alternatives(items):
    items = list(items)
    if len(items) == 1 and items[0][0] is codes.BRANCH:
        for branch in items[0][1][1]:
            yield from alternatives(branch)
    elif len(items) == 1 and items[0][0] is codes.SUBPATTERN:
        yield from alternatives(items[0][1][3])
    else:
        yield items


def hostile_lines(pattern, length):
    """What begins to match again and again and never does: each beginning of the pattern, repeated and stretched."""
    for items in alternatives(parser.parse(pattern)):
        beginnings = {
            spelled(items[:end], gap) for end in (1, len(items) // 2, len(items) - 1) for gap in (0, 30)
        }
        for beginning in sorted(beginnings - {""}):
            yield (beginning * (length // len(beginning) + 1))[:length]
            yield (beginning + beginning[-1] * length)[:length]


@pytest.mark.parametrize("part", range(4))
def test_no_rule_hangs_on_lines_made_from_its_own_pattern(part):
    slow = []
    for each in CATALOGUE.rules[part::4]:
        patterns = {each.pattern: each.window, each.unless: each.window}
        patterns |= dict.fromkeys(
            (each.preceded_by, each.not_preceded_by, each.followed_by), log_blocks.LONGEST_CONTEXT
        )
        for pattern, width in patterns.items():
            if not pattern:
                continue
            regex = re.compile(pattern)
            for line in list(dict.fromkeys(hostile_lines(pattern, width)))[:24]:
                began = time.process_time()
                regex.search(line)
                if time.process_time() - began > 1.0:
                    slow.append((each.id, line[:60]))
    assert slow == []


@pytest.mark.parametrize("engine", [name for name in available_engines() if name != "re"])
def test_a_line_of_a_megabyte_full_of_one_literal_is_done_in_time(engine):
    """Those that most rules share, thousands of times: every one of them is tried at every few places."""
    shared = {}
    for each in CATALOGUE.rules:
        for literal in each.literals:
            shared[literal] = shared.get(literal, 0) + 1
    for literal in sorted(shared, key=lambda text: (-shared[text], text))[:1]:
        line = literal * (1_000_000 // len(literal))
        began = time.process_time()
        matcher = LogMatcher(CATALOGUE, engine)
        matcher.feed(line)
        matcher.classification()
        assert time.process_time() - began < 10, literal


def test_a_log_of_every_rules_words_is_done_in_time():
    began = time.process_time()
    matcher = LogMatcher(CATALOGUE)
    for each in CATALOGUE.rules[::8]:
        for line in list(hostile_lines(each.pattern, 20_000))[:2]:
            matcher.feed(each.literals[0] + line + "\n")
    matcher.classification()
    assert time.process_time() - began < 20


# -------------------------------------------------------------------------------------------------------- the lint

EVIL = [
    *("(a+)+b", "(a*)*b", "(a|a)*b", "(a|aa)+b", "(a|b|ab)*c", "(.*a){12}b", r"(\w+\s?)*x", "(x+x+)+y"),
    *(
        "a*a*a*a*b",
        "(a?){16}a{16}",
        "(a{1,16}){1,16}b",
        "(a{0,2}){0,100}b",
        "(.|.){0,30}b",
        "((a|b)|(a|b))*c",
    ),
    *(
        "(?:a?){0,16}(?:a?){0,16}b",
        "(?:(?:a|ab?){5}){5}b",
        r"^(([a-z])+.)+[A-Z]$",
        r"(?:\s*\w*\s*)*!",
        "(a|a?)+b",
    ),
    *(r"^(\d+|\d+\d)*$", "(?=(a|a)*b)c", "(?:ab|(?:a|b))*$", "(.*)*(.*)*x", r"(?:[\w.]+)+@", "a+?a+?a+?a+?b"),
]


@pytest.mark.parametrize("pattern", EVIL)
def test_the_lint_refuses_what_could_hang(pattern):
    with pytest.raises(PatternError, match=r"repeats a repetition|could take too long"):
        analyse("needle" + pattern if not pattern.startswith("^") else pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"Lost task \S+ in stage \S+ \(TID \d+\)",
        r"(?:[A-Za-z_]\w{0,60}\.){0,8}[A-Z]\w{0,60}Error: ",
        r"exit (?:code|status):? ?(?P<code>\d+)",
        r"Total size of .{0,200}\((?P<used>[\d.]+ \w+)\) is bigger than .{0,80}\((?P<limit>[\d.]+ \w+)\)",
        r"(?:Foo|Bar|Baz)(?:Error|Exception)(?:: .{0,200})?",
    ],
)
def test_the_lint_lets_plain_patterns_pass(pattern):
    assert analyse(pattern).window >= 2048


ATOMS = st.sampled_from(["a", "b", "[ab]", ".", r"\w", r"\S", "[^b]", "ab"])
COUNTS = st.sampled_from(["", "", "*", "+", "?", "{0,5}", "{1,16}", "{2}", "{0,300}", "*?", "{20}", "{0,1}"])
PATTERNS = st.recursive(
    st.builds(str.__add__, ATOMS, COUNTS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.builds(
            lambda each, count: f"(?:{'|'.join(each)}){count}",
            st.lists(inner, min_size=1, max_size=3),
            COUNTS,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pattern=PATTERNS, end=st.sampled_from(["", "b", "c", "$"]), unit=st.sampled_from(["a", "b", "ab", "aab"])
)
def test_whatever_the_lint_lets_pass_is_done_in_time(pattern, end, unit):
    try:
        window = analyse(pattern + end).window
    except PatternError:
        return
    line = (unit * window)[:window]
    began = time.process_time()
    re.search(pattern + end, line)
    assert time.process_time() - began < 5


# ------------------------------------------------------------------------------------------------- floods and memory


def peak_of(feed):
    tracemalloc.start()
    try:
        found = feed()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("engine", [name for name in available_engines() if name != "re"])
@pytest.mark.parametrize(
    "flood", [b"x" * 65_536, b"Error" * 13_107, b"\x1b[31m" * 13_107, b"\x00" * 65_536, b'{"a":' * 13_107]
)
def test_a_line_without_end_takes_no_more_memory_the_longer_it_is(engine, flood):
    """8 MB; benchmarks/classify_memory.py does the same with 10 GB."""
    CATALOGUE.index(engine)

    def feed():
        matcher = LogMatcher(CATALOGUE, engine)
        for _ in range(128 if flood[:1] != b"E" else 12):
            matcher.feed(flood)
        matcher.feed("\n" + HEAP)
        return matcher.classification()

    found, peak = peak_of(feed)
    assert found.category == "executor_oom_heap"
    assert found.lines[0].number == 2
    assert peak < 48 * 1024 * 1024


def test_a_stream_without_end_takes_no_more_memory_the_longer_it_is():
    block = (QUIET * 40 + HEAP + "\n").encode()

    def feed(times):
        matcher = LogMatcher(CATALOGUE)
        for _ in range(times):
            matcher.feed(block)
        matcher.feed(ABORTED)
        return matcher.classification()

    feed(200)
    _, short = peak_of(lambda: feed(400))
    found, long = peak_of(lambda: feed(1600))
    assert found.category == "executor_oom_heap"
    assert long < short + 1024 * 1024


def test_a_line_that_comes_byte_by_byte_is_not_joined_again_and_again():
    matcher = LogMatcher(CATALOGUE)
    began = time.process_time()
    for _ in range(600_000):
        matcher.feed(b"xy")
    matcher.feed("\n" + HEAP)
    assert matcher.classification().category == "executor_oom_heap"
    assert time.process_time() - began < 10


# ------------------------------------------------------------------------------------------------------------ dirt

DIRT = {
    "nul bytes between all characters": lambda text: b"\x00".join(bytes([byte]) for byte in text.encode()),
    "broken utf-8": lambda text: b"\xff\xfe\x80\xc3 " + text.encode() + b" \xe2\x82",
    "colour in the middle of words": lambda text: re.sub(rb"(?=[a-z]{3})", b"\x1b[38;5;196m", text.encode()),
    "bold, links and cursor moves": lambda text: (
        b"\x1b[1;31m\x1b]8;;http://x\x1b\\" + text.encode() + b"\x1b]8;;\x1b\\\x1b[0m\x1b[K"
    ),
    "carriage returns": lambda text: text.replace("\n", "\r\n").encode(),
    "progress bars": lambda text: text.replace("\n", "\n[Stage 3:====>   (7 + 4) / 20]\r").encode(),
    "bell and backspace": lambda text: b"\x1b[0m\x07" + text.encode() + b"\x08\x08",
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
}


@pytest.mark.parametrize("dirt", DIRT.values(), ids=DIRT.keys())
def test_dirt_does_not_hide_the_cause(dirt):
    found = verdict(dirt(f"{QUIET}{HEAP}\n{ABORTED}\n"))
    assert found.category == "executor_oom_heap"
    assert found.lines[0].number == 2


@pytest.mark.parametrize(
    "stamp",
    [
        *(
            "",
            "24/05/01 10:00:00",
            "2024-05-01T10:00:00.123Z",
            "2024-05-01 10:00:00,123",
            "[2024-05-01 10:00:00]",
        ),
        *(
            "1714557600.123",
            "May  1 10:00:00 host spark[77]:",
            "01-May-2024 10:00:00.000",
            "10:00:00.123 [main]",
        ),
        *("[2024-05-01, 10:00:00 UTC] {spark_submit.py:641} INFO -", "2024-05-01T10:00:00+00:00 stdout F"),
        *(
            "<14>1 2024-05-01T10:00:00Z host app - - -",
            "2024/05/01 10:00:00 PM CEST",
            "\u4e94\u6708 1 10:00:00",
        ),
    ],
)
def test_any_timestamp_will_do(stamp):
    message = HEAP.removeprefix("24/05/01 10:00:00 ")
    assert verdict(f"{stamp} {message}\n{stamp} {ABORTED}\n").category == "executor_oom_heap"


def spark_4(message, level="ERROR", **more):
    return json.dumps(
        {
            "ts": "2024-05-01T10:00:00.000Z",
            "level": level,
            "msg": message,
            "context": {},
            **more,
            "logger": "X",
        }
    )


def airflow_3(event, level="info", **more):
    stamp = "2024-05-01T10:00:00.000000Z"
    return json.dumps({"timestamp": stamp, "level": level, "event": event, **more, "logger": "airflow.task"})


FRAMES = [{"class": "org.apache.spark.sql.X", "method": "run", "file": "X.scala", "line": 1}] * 60
MISSING = "[TABLE_OR_VIEW_NOT_FOUND] The table or view `a`.`b` cannot be found. SQLSTATE: 42P01"
THROWN = {"class": "org.apache.spark.sql.AnalysisException", "msg": MISSING, "stacktrace": FRAMES}
OOM = {"class": "java.lang.OutOfMemoryError", "msg": "Java heap space", "stacktrace": FRAMES}
JSON_LINES = {
    "the message of a Spark 4 line": (spark_4(HEAP), "executor_oom_heap"),
    "the exception of a Spark 4 line": (spark_4("failed", exception=THROWN), "missing_data"),
    "a stack trace that is a text": (
        spark_4("failed", exception={**THROWN, "stacktrace": "\tat a.B.c(D.scala:1)\n" * 40}),
        "missing_data",
    ),
    "the cause of an exception": (
        spark_4("failed", exception={"class": "java.lang.RuntimeException", "msg": "x", "cause": THROWN}),
        "missing_data",
    ),
    "an event of an Airflow 3 task": (airflow_3(HEAP), "executor_oom_heap"),
    "an event of many lines": (airflow_3(f"{QUIET}{HEAP}\n{ABORTED}"), "executor_oom_heap"),
    "the exception of an Airflow 3 task": (
        airflow_3(
            "Task failed with exception",
            level="error",
            error_detail=[
                {"exc_type": "AnalysisException", "exc_value": MISSING, "frames": [{"name": "run"}]}
            ],
        ),
        "missing_data",
    ),
    "a line in a line of a container": (
        json.dumps({"log": spark_4(HEAP) + "\n", "stream": "stderr"}),
        "executor_oom_heap",
    ),
}


@pytest.mark.parametrize(("line", "category"), JSON_LINES.values(), ids=JSON_LINES.keys())
def test_json_lines_are_read(line, category):
    noise = spark_4("Starting task", level="INFO") + "\n"
    found = verdict(noise * 3 + line + "\n" + noise)
    assert found.category == category
    assert found.lines[0].number == 4


def test_json_that_is_cut_off_nested_or_huge_is_matched_as_it_stands():
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    huge = spark_4(HEAP, padding="x" * 2_000_000)
    for line in (spark_4(HEAP)[:-30], deep + "\n" + HEAP, huge, spark_4(HEAP, list=[[[HEAP]]] * 5000)):
        assert verdict(line + "\n").category == "executor_oom_heap"


# ----------------------------------------------------------------------------------------------- cut at any place

STORY = "\n".join(
    [
        "24/05/01 09:59:59 INFO SparkContext: Running Spark version 3.5.1",
        *["quiet"] * 12,
        "\x1b[33m24/05/01 10:00:00\x1b[0m WARN TaskSetManager: Lost task 1.0 in stage 8.0 (TID 9) (10.0.0.1 executor 12): \u00dcn\u00efcode",
        HEAP + "\r",
        spark_4("failed", exception=THROWN),
        "Total size of serialized results of 7 tasks (1029.0 MiB) is bigger than spark.driver.maxResultSize (1.0 MiB)",
        "java.util.concurrent.TimeoutException: Futures timed out after [300 seconds]",
        *["\tat some.frame(Frame.java:1)"] * 12,
        "\tat org.apache.spark.sql.execution.exchange.BroadcastExchangeExec.doExecuteBroadcast(BroadcastExchangeExec.scala:146)",
        ABORTED,
    ]
).encode()


def seen(matcher):
    """All that a log says, not the winner alone."""
    return matcher.matched(), matcher.classification()


def whole(data, catalogue=CATALOGUE):
    matcher = LogMatcher(catalogue)
    matcher.feed(data)
    return seen(matcher)


def test_a_log_cut_in_two_at_any_place_says_the_same():
    expected = whole(STORY)
    for place in range(1, len(STORY), 11):
        matcher = LogMatcher(CATALOGUE)
        matcher.feed(STORY[:place])
        matcher.feed(STORY[place:])
        assert seen(matcher) == expected, place


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(STORY)), max_size=20), block=st.integers(1, 3000))
def test_a_log_cut_in_any_way_and_looked_at_in_any_blocks_says_the_same(cuts, block):
    expected = whole(STORY)
    usual = log_blocks.BLOCK
    log_blocks.BLOCK = block
    try:
        matcher = LogMatcher(CATALOGUE)
        for start, end in pairwise([0, *sorted(cuts), len(STORY)]):
            matcher.feed(STORY[start:end])
        assert seen(matcher) == expected
    finally:
        log_blocks.BLOCK = usual


LONG = Catalogue(
    (
        rule("^begin .{0,40}needle", id="at-the-beginning"),
        rule("needle in .{0,60} the hay", id="with-a-gap"),
        rule("needle$", id="at-the-end", unless="not this needle"),
        rule("pin", id="not-before", literals=["pin"], not_preceded_by="^storm"),
        rule("pin", id="before", literals=["pin"], preceded_by="^calm"),
        rule("hook", id="after", literals=["hook"], followed_by="^rain"),
    )
)
WORDS = st.sampled_from(
    [
        *(b"begin ", b"needle", b"needle in ", b" the hay", b"not this needle", b"pin", b"hook", b"\xc3\xa9"),
        *(
            b"\nstorm\n",
            b"\ncalm\n",
            b"\nrain\n",
            b"\n",
            b"\n",
            b"\x1b[31m",
            b"needle in so much of the hay\n",
        ),
    ]
)
FILLERS = st.builds(
    lambda byte, count: byte * count, st.sampled_from([b"x", b" y"]), st.sampled_from([3, 50, 9_000, 30_000])
)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.one_of(WORDS, FILLERS), min_size=1, max_size=24),
    chunk=st.integers(1, 40_000),
    block=st.integers(1, 20_000),
)
def test_lines_longer_than_a_piece_say_the_same_however_they_are_cut(parts, chunk, block):
    """Pieces of 40,000 bytes instead of a megabyte, so that lines of some 100,000 are cut into several."""
    data = b"".join(parts)
    expected = whole(data, LONG)
    usual = log_blocks.BLOCK, log_blocks.LONGEST_PIECE
    log_blocks.BLOCK, log_blocks.LONGEST_PIECE = block, 40_000
    try:
        matcher = LogMatcher(LONG)
        for start in range(0, len(data), chunk):
            matcher.feed(data[start : start + chunk])
        assert seen(matcher) == expected
    finally:
        log_blocks.BLOCK, log_blocks.LONGEST_PIECE = usual


def test_several_texts_of_one_failure_do_not_run_into_each_other():
    middle = HEAP.index("OfMemory")
    found = classify_texts(CATALOGUE, [(None, HEAP[:middle]), (None, HEAP[middle:])])
    assert found.category != "executor_oom_heap"
    assert verdict(HEAP[:middle], HEAP[middle:]).category == "executor_oom_heap"
