"""Spark's own arithmetic and spelling."""

from __future__ import annotations

import pytest

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import jvm_flags_only_differ_in_sizes, with_jvm_flag
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.spark.sizes import GIB, MIB, format_bytes, parse_bytes, parse_seconds
from airflow_autoremed.types import Limits


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("4g", "b", 4 * GIB),
        ("512M", "b", 512 * MIB),
        (" 2GB ", "b", 2 * GIB),
        ("1024", "m", GIB),
        ("7", "b", 7),
    ],
)
def test_sizes_are_read_as_spark_reads_them(text, unit, size):
    assert parse_bytes(text, unit) == size


@pytest.mark.parametrize("text", ["", "4 x", "1.5g", "g", "lots", "4gib"])
def test_a_size_that_spark_would_refuse_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="'4g'"):
        parse_bytes(text)


def test_sizes_are_written_so_that_nothing_is_lost():
    assert [format_bytes(n) for n in (4 * GIB, 1536 * MIB, MIB + 1)] == ["4g", "1536m", "2m"]


@pytest.mark.parametrize(("text", "seconds"), [("120s", 120), ("10min", 600), ("500ms", 0.5), ("8", 8)])
def test_durations_are_read_as_spark_reads_them(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("conf", "size"),
    [
        ({}, GIB + 384 * MIB),
        ({"spark.executor.memory": "10g"}, 11 * GIB),
        ({"spark.executor.memory": "2g", "spark.executor.memoryOverhead": "512"}, 2 * GIB + 512 * MIB),
        ({"spark.executor.pyspark.memory": "1g"}, 2 * GIB + 384 * MIB),
        ({"spark.memory.offHeap.size": "1g"}, GIB + 384 * MIB),
        ({"spark.memory.offHeap.size": "1g", "spark.memory.offHeap.enabled": "true"}, 2 * GIB + 384 * MIB),
    ],
)
def test_a_container_holds_heap_overhead_off_heap_and_python(conf, size):
    assert allocation.container(conf, "executor") == size


def test_memory_held_over_time_counts_every_container():
    conf = {"spark.executor.memory": "10g", "spark.driver.memory": "10g", "spark.executor.instances": "3"}
    assert allocation.gib_seconds(conf, 10) == pytest.approx(4 * 11 * 10)


def test_what_the_author_declared_is_no_violation_but_growth_from_there_is():
    declared = {"spark.executor.memory": "40g"}
    limits = Limits(max_container_memory=8 * GIB)
    assert violations(declared, declared, limits) == []
    assert "largest one, 8g" in violations({"spark.executor.memory": "41g"}, declared, limits)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.driver.extraClassPath", "/tmp/evil.jar"),
        ("spark.executor.extraJavaOptions", "-javaagent:/tmp/evil.jar"),
        ("spark.executor.memory", "lots"),
        ("spark.executor.memory", "9g"),
        ("spark.executor.cores", "-4"),
    ],
)
def test_a_setting_that_is_not_allowed_or_not_sensible_is_a_violation(key, value):
    found = violations({key: value}, {}, Limits())
    assert len(found) == 1
    assert key in found[0]


def test_only_sized_jvm_flags_may_differ():
    declared = "-Dkey=value -XX:+UseG1GC"
    assert jvm_flags_only_differ_in_sizes(declared, with_jvm_flag(declared, "-Xss", 16 * MIB))
    for hostile in (
        "-Dkey=other -XX:+UseG1GC",
        f"{declared} -XX:OnOutOfMemoryError=reboot",
        f"{declared} -Xss16m;x",
    ):
        assert not jvm_flags_only_differ_in_sizes(declared, hostile)
