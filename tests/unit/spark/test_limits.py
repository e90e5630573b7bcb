"""Whoever can write a patch can slow a task down or make it dear only so far: it never falls below what is declared,
and grows to a ceiling."""

from __future__ import annotations

import pytest

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import RIGHT_SIZED, Limits

DECLARED = {"spark.executor.memory": "4g"}


def refused(changes: dict[str, str], declared: dict[str, str] | None = None, **how: str) -> list[str]:
    baseline = DECLARED if declared is None else declared
    return violations({**baseline, **changes}, baseline, Limits(), **how)


@pytest.mark.parametrize(
    "changes",
    [
        {"spark.executor.memory": "450m"},
        {"spark.driver.memory": "450m"},
        {"spark.executor.memoryOverhead": "1m"},
        {"spark.task.maxFailures": "1"},
        {"spark.network.timeout": "1s"},
        {"spark.shuffle.io.maxRetries": "0"},
        {"spark.executor.heartbeatInterval": "1s"},
        {"spark.sql.shuffle.partitions": "1"},
        {"spark.sql.broadcastTimeout": "1"},
        {"spark.kryoserializer.buffer.max": "1m"},
        {"spark.driver.maxResultSize": "0"},
    ],
)
def test_no_patch_gives_less_than_what_holds_without_it(changes: dict[str, str]) -> None:
    (why,) = refused(changes)
    assert "is less than" in why


@pytest.mark.parametrize(
    "changes",
    [
        {
            "spark.executor.memory": "32g",
            "spark.executor.instances": "100000",
            "spark.executor.cores": "1024",
        },
        {"spark.dynamicAllocation.maxExecutors": "100000"},
        {"spark.executor.instances": "9"},
        {"spark.executor.cores": "9"},
        {"spark.cores.max": "1000000"},
        {"spark.shuffle.io.maxRetries": "100", "spark.shuffle.io.retryWait": "600s"},
        {"spark.network.timeout": "86400s"},
        {"spark.executor.heartbeatInterval": "3600s"},
        {"spark.driver.maxResultSize": "4096g"},
        {"spark.sql.autoBroadcastJoinThreshold": str(8 * GIB)},
        {"spark.sql.shuffle.partitions": "100000"},
        {"spark.executor.memory": "32g", "spark.executor.instances": "8"},
    ],
)
def test_nothing_grows_without_end_where_nobody_set_a_limit(changes: dict[str, str]) -> None:
    assert refused(changes)


def test_a_timing_below_sparks_default_may_go_back_to_it() -> None:
    declared = {**DECLARED, "spark.network.timeout": "20s", "spark.task.maxFailures": "1"}
    assert refused({"spark.network.timeout": "120s", "spark.task.maxFailures": "4"}, declared) == []
    assert refused({"spark.network.timeout": "10s"}, declared)


def test_a_timing_above_sparks_default_may_go_back_to_it_and_no_further() -> None:
    declared = {**DECLARED, "spark.executor.heartbeatInterval": "200s"}
    assert refused({"spark.executor.heartbeatInterval": "10s"}, declared) == []
    assert refused({"spark.executor.heartbeatInterval": "9s"}, declared)


def test_only_right_sizing_and_a_request_that_cannot_be_granted_ask_for_less() -> None:
    less = {"spark.executor.memory": "2g"}
    assert refused(less)
    assert refused(less, category="executor_oom_heap")
    assert refused(less, category=RIGHT_SIZED) == []
    assert refused(less, category="memory_request_invalid") == []
    assert refused({"spark.executor.memory": "460m"}, category=RIGHT_SIZED), "an eighth of it at least"
    assert refused({"spark.executor.memory": "460m"}, category="memory_request_invalid") == []
    assert refused({"spark.network.timeout": "1s"}, category=RIGHT_SIZED)


def test_fewer_tasks_in_an_executor_and_no_broadcast_are_still_possible() -> None:
    declared = {**DECLARED, "spark.executor.cores": "4"}
    assert (
        refused({"spark.executor.cores": "2", "spark.sql.autoBroadcastJoinThreshold": "-1"}, declared) == []
    )


def test_an_overhead_in_spark_2s_spelling_hides_none_in_todays() -> None:
    both = {"spark.yarn.executor.memoryOverhead": "512m", "spark.executor.memoryOverhead": "60g"}
    assert allocation.overhead(both, "executor") == 60 * GIB
    assert refused(
        {"spark.executor.memoryOverhead": "60g"}, {**DECLARED, "spark.yarn.executor.memoryOverhead": "512m"}
    )
