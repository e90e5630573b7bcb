"""The arguments of spark-submit: read, and changed where the author wrote the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_autoremed.platforms import arguments

WRITTEN = [
    "--deploy-mode", "cluster", "--executor-memory", "2g", "--conf", "spark.executor.memory=1g",
    "--conf=spark.sql.shuffle.partitions=20", "--verbose", "--driver-memory=3g", "-c", "spark.x=a=b",
    "s3://bucket/job.py", "--executor-memory", "of-the-job", "--conf", "spark.executor.cores=9",
]  # fmt: skip


def test_a_flag_wins_over_conf_and_the_jobs_own_arguments_are_not_read():
    assert arguments.read(WRITTEN) == {
        "spark.executor.memory": "2g",
        "spark.driver.memory": "3g",
        "spark.sql.shuffle.partitions": "20",
        "spark.x": "a=b",
    }


def test_what_is_there_is_replaced_everywhere_and_what_is_not_is_added():
    changed = arguments.write(
        WRITTEN, {"spark.executor.memory": "8g", "spark.driver.memory": "4g", "spark.new": "1"}
    )
    assert changed[:2] == ["--conf", "spark.new=1"]
    assert changed[2:] == [
        "--deploy-mode", "cluster", "--executor-memory", "8g", "--conf", "spark.executor.memory=8g",
        "--conf=spark.sql.shuffle.partitions=20", "--verbose", "--driver-memory=4g", "-c", "spark.x=a=b",
        "s3://bucket/job.py", "--executor-memory", "of-the-job", "--conf", "spark.executor.cores=9",
    ]  # fmt: skip


def test_the_application_is_what_comes_after_the_options():
    assert arguments.application(WRITTEN) == {"application": "s3://bucket/job.py"}
    assert arguments.application(["--class", "org.x.Main"]) == {"class": "org.x.Main"}


@pytest.mark.parametrize("cut", [["--conf"], ["--executor-memory"], ["--conf", "no-equals"], [""], []])
def test_cut_or_odd_arguments_are_borne(cut):
    assert "spark.executor.memory" not in arguments.read(cut)
    assert arguments.read([*arguments.write([], {"spark.executor.memory": "2g"})]) == {
        "spark.executor.memory": "2g"
    }


@given(
    st.lists(
        st.sampled_from(["--conf", "--verbose", "a.py", "spark.a=1", "--executor-memory", "2g", "--x=y"])
    ),
    st.dictionaries(
        st.sampled_from(["spark.executor.memory", "spark.a"]), st.sampled_from(["3g", "5"]), min_size=1
    ),
)
def test_what_is_written_is_read_and_writing_twice_changes_nothing(written, changes):
    once = arguments.write(written, changes)
    assert {**arguments.read(once), **changes} == arguments.read(once)
    assert arguments.write(once, changes) == once
