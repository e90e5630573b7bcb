"""A promoted patch and a floor for the same run: the larger of each size, never beyond the limits."""

from __future__ import annotations

from airflow_autoremed.patching import apply, make_patch, together
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import ANY, AttemptId, Limits, Scope

HEAP, OVERHEAD, RESULT = (
    "spark.executor.memory",
    "spark.executor.memoryOverhead",
    "spark.driver.maxResultSize",
)
DECLARED = {HEAP: "4g"}
NO_LIMITS = Limits()


def patch(**conf):
    return make_patch(DECLARED, {**DECLARED, **conf}, Scope("d", ANY, "t", -1, "task"), 1)


def applied(promoted, floor, limits=NO_LIMITS, declared=DECLARED):
    both = together(promoted, floor, declared, limits)
    return apply(both, declared, attempt=AttemptId("d", "r", "t", -1, 1), limits=limits)


def test_the_larger_of_two_sizes_holds():
    assert applied(patch(**{HEAP: "8g"}), patch(**{HEAP: "6g"})) == {HEAP: "8g"}
    assert applied(patch(**{HEAP: "6g"}), patch(**{HEAP: "8g"})) == {HEAP: "8g"}


def test_what_only_one_of_them_changes_is_changed():
    found = applied(patch(**{RESULT: "4g"}), patch(**{OVERHEAD: "2g"}))
    assert found == {HEAP: "4g", RESULT: "4g", OVERHEAD: "2g"}


def test_an_overhead_that_grew_with_the_heap_is_not_cut():
    assert OVERHEAD not in applied(patch(**{HEAP: "30g"}), patch(**{OVERHEAD: "1g"}))


def test_where_both_do_not_fit_the_promoted_one_holds():
    limits = Limits(max_container_memory=12 * GIB)
    assert applied(patch(**{HEAP: "8g"}), patch(**{OVERHEAD: "6g"}), limits) == {HEAP: "8g"}


def test_a_floor_that_does_not_fit_what_is_declared_now_changes_nothing():
    promoted = make_patch(DECLARED, {**DECLARED, RESULT: "4g"}, Scope("d", ANY, "t", -1, "task"), 1)
    assert applied(promoted, patch(**{HEAP: "8g"}), declared={HEAP: "6g"}) == {HEAP: "6g", RESULT: "4g"}
