"""The floor: what a task starts with because of its last runs, and the two safeguards of it."""

from __future__ import annotations

import pytest

from airflow_autoremed.recommending import need
from airflow_autoremed.spark.sizes import GIB, parse_bytes
from airflow_autoremed.types import AttemptId, Limits, RecordedAttempt

HEAP, OVERHEAD, DRIVER = "spark.executor.memory", "spark.executor.memoryOverhead", "spark.driver.memory"
DECLARED = {HEAP: "4g", DRIVER: "2g", "spark.executor.instances": "10"}
LIMITS = Limits()
NOVEMBER_20 = 1_763_636_400.0


def tried(day, size="4g", category=None, *, peak=None, number=1, key=HEAP, **conf):
    """A try of the run of a day; without a category it succeeded."""
    return RecordedAttempt(
        AttemptId("d", f"day{day}", "t", -1, number),
        NOVEMBER_20 + day * 86_400 + number * 3_600,
        DECLARED,
        {**DECLARED, key: size, **conf},
        category is None,
        600.0,
        category,
        fingerprint="f",
        peaks={} if peak is None else {key: peak * GIB},
    )


def failed(day, size="4g", category="executor_oom_heap", **more):
    return tried(day, size, category, **more)


def floor(*attempts, declared=DECLARED, limits=LIMITS):
    return need.floor_after(attempts, declared, limits)


def test_a_task_that_never_ran_out_of_memory_starts_as_declared():
    assert floor() is None
    assert floor(*(tried(day, peak=3.9) for day in range(20))) is None
    assert floor(failed(0, category="network_timeout"), tried(0, number=2)) is None


def test_the_line_says_what_it_starts_with_and_why():
    found = floor(failed(0), *(tried(day, "8g", peak=4 + day / 12) for day in range(1, 7)))
    assert found.why == (
        "spark.executor.memory 4g -> 5.2g: 4g failed on 11-20, the 6 runs above it used at most 4.5g (x 1.15)"
    )
    assert parse_bytes(found.conf[HEAP]) == pytest.approx(4.5 * 1.15 * GIB, rel=0.001)
    assert {key: value for key, value in found.conf.items() if key != HEAP} == {
        key: value for key, value in DECLARED.items() if key != HEAP
    }


def test_with_nothing_known_above_what_failed_it_starts_half_as_high_again():
    found = floor(failed(0))
    assert found.conf[HEAP] == "6g"
    assert "nothing above it was tried (x 1.5)" in found.why


def test_without_any_peak_it_starts_with_the_size_that_passed():
    assert floor(failed(0), tried(0, "8g", number=2), tried(1, "7g")).conf[HEAP] == "8g"


def test_it_is_never_above_a_size_that_passed_unless_that_size_failed():
    inflated = [tried(day, "6g", peak=5.9) for day in range(1, 10)]
    assert floor(failed(0), *inflated).conf[HEAP] == "6g"
    assert floor(failed(0), *inflated, failed(10, "6g")).conf[HEAP] == "9g"


def test_it_is_never_below_what_is_declared():
    assert floor(failed(0, "1g"), tried(0, "2g", number=2)) is None
    raised_by_the_author = {**DECLARED, HEAP: "16g"}
    assert floor(failed(0), tried(0, "8g", number=2), declared=raised_by_the_author) is None


def test_a_low_peak_does_not_bring_back_the_size_that_failed():
    found = floor(failed(0), tried(0, "8g", number=2, peak=2.0))
    assert 4 * GIB < parse_bytes(found.conf[HEAP]) <= 4 * GIB * 1.05
    assert "used no more than that" in found.why


def test_it_goes_when_the_failure_is_older_than_the_last_runs():
    later = [tried(day, "8g") for day in range(1, need.RUNS)]
    assert floor(failed(0), *later) is not None
    assert floor(failed(0), *later, tried(need.RUNS, "8g")) is None


def test_it_stays_within_the_limits_and_says_so():
    found = floor(failed(0, "4g"), failed(1, "30g"), limits=Limits(max_container_memory=34 * GIB))
    assert parse_bytes(found.conf[HEAP]) <= 34 * GIB
    assert "as far as the limits allow" in found.why
    assert parse_bytes(floor(failed(1, "30g"), limits=Limits(max_growth=2)).conf[HEAP]) == 8 * GIB
    assert floor(failed(0), limits=Limits(max_growth=1)) is None


def test_each_part_of_a_container_has_a_floor_of_its_own():
    found = floor(
        failed(0),
        failed(1, "1g", "executor_oom_overhead", key=OVERHEAD),
        failed(2, "2g", "driver_oom_heap", key=DRIVER),
    )
    assert (found.conf[HEAP], found.conf[OVERHEAD], found.conf[DRIVER]) == ("6g", "1536m", "3g")
    assert found.why.count("; ") == 2


def test_python_without_a_limit_of_its_own_counts_as_overhead():
    assert floor(failed(0, "1g", "executor_oom_python", key=OVERHEAD)).conf[OVERHEAD] == "1536m"
    own = failed(0, "1g", "executor_oom_python", key="spark.executor.pyspark.memory")
    assert floor(own) is None


def test_the_authors_spelling_of_the_overhead_is_kept():
    legacy = "spark.yarn.executor.memoryOverhead"
    found = floor(failed(0, "1g", "executor_oom_overhead", key=legacy), declared={**DECLARED, legacy: "1g"})
    assert found.conf[legacy] == "1536m"
    assert OVERHEAD not in found.conf
