"""A task that ran out of memory starts its next runs with enough: each test runs the real operator try by try."""

from __future__ import annotations

import pytest

from airflow_autoremed import remediate
from airflow_autoremed.types import FLOOR, PatchState
from tests.support.days import day, heal
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, REFUSED


@pytest.fixture(autouse=True)
def nothing_is_promoted(setting):
    setting("promote_after", "never")


@pytest.fixture
def task(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    return remediate(spark_task(executor_memory="1g"))


def floors(store):
    return [row for row in store.patches(100) if row.category == FLOOR]


def test_tomorrows_run_starts_with_what_healed_todays_and_says_why(task, store, log_lines):
    heal(task, 1)
    tomorrow = day(task, 2).run()
    assert tomorrow.error is None
    assert memory_of(tomorrow.argv) == "2g"
    assert "Starts with spark.executor.memory 1g -> 2g: 1g failed on " in log_lines()
    assert "the run above it passed with 2g." in log_lines()
    assert "Attempt 1 succeeded with the memory that it started with" in log_lines()


def test_a_healthy_task_has_no_floor_and_pays_for_none(task, spark_submit, store, log_lines):
    spark_submit("", cured_by="job.py")
    assert memory_of(day(task, 1).run().argv) == "1g"
    assert not floors(store)
    assert "Starts with" not in log_lines()


def test_a_floor_is_for_first_tries_and_later_ones_keep_what_it_gave(task, spark_submit, store):
    heal(task, 1)
    spark_submit(REFUSED)
    ti = day(task, 2)
    ti.run()
    again = ti.run()
    assert [memory_of(each.argv) for each in ti.tries] == ["2g", "2g"]
    assert again.decision is not None


def test_a_floor_that_was_not_enough_rises_with_the_next_run(task, spark_submit, store):
    heal(task, 1)
    spark_submit(HEAP_OOM, cured_by="--executor-memory 4g")
    ti = heal(task, 2)
    assert [memory_of(each.argv) for each in ti.tries] == ["2g", "4g"]
    assert memory_of(day(task, 3).run().argv) == "4g"


def test_a_floor_goes_when_no_run_needed_it_for_long(task, store, log_lines):
    heal(task, 0)
    for number in range(1, 16):
        day(task, number).run()
    assert [row.state for row in floors(store)] == [PatchState.EXPIRED]
    assert "Coming runs start as declared again" in log_lines()


def test_a_floor_that_a_person_takes_back_comes_back_with_the_next_failure_only(task, spark_submit, store):
    heal(task, 1)
    (row,) = floors(store)
    running = day(task, 2)
    store.end_patch(row.key, PatchState.REVOKED, who="ada", why="to see what happens")
    spark_submit("", cured_by="job.py")
    assert memory_of(running.run().argv) == "1g"
    assert [row.state for row in floors(store)] == [PatchState.REVOKED]
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    day(task, 3).run()
    assert [row.state for row in floors(store)] == [PatchState.PROMOTED]


def test_the_authors_edit_wins_over_a_floor(task, spark_task, store):
    heal(task, 1)
    edited = remediate(spark_task(executor_memory="4g"))
    assert memory_of(day(edited, 2).run().argv) == "4g"


@pytest.mark.parametrize("name", ["mode", "floor"])
def test_shadow_mode_says_what_the_run_would_start_with_and_changes_nothing(
    task,
    store,
    setting,
    log_lines,
    name,
):
    setting(name, "shadow")
    day(task, 1).run()
    assert memory_of(day(task, 2).run().argv) == "1g"
    assert "Would start with spark.executor.memory 1g -> 1.5g: 1g failed on " in log_lines()


def test_in_shadow_mode_a_floor_ends_as_well(task, spark_submit, store, setting):
    setting("floor", "shadow")
    day(task, 0).run()
    spark_submit("", cured_by="job.py")
    for number in range(1, 16):
        assert memory_of(day(task, number).run().argv) == "1g"
    assert [row.state for row in floors(store)] == [PatchState.EXPIRED]


def test_a_floor_can_be_switched_off(task, store, setting):
    setting("floor", "off")
    heal(task, 1)
    assert not floors(store)
    assert memory_of(day(task, 2).run().argv) == "1g"


def test_each_mapped_instance_has_a_floor_of_its_own(task, store):
    heal(task, 1, map_index=3)
    assert memory_of(day(task, 2, map_index=3).run().argv) == "2g"
    assert memory_of(day(task, 2, map_index=4).run().argv) == "1g"


def test_a_floor_stands_on_top_of_a_promoted_patch(task, spark_submit, store, setting, log_lines):
    setting("promote_after", 1)
    heal(task, 1)
    assert memory_of(day(task, 2).run().argv) == "2g"
    assert "runs with the patch promoted for this task (executor_oom_heap)" in log_lines()
    assert "Starts with spark.executor.memory 1g -> 2g" in log_lines()
