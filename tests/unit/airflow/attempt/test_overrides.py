"""What a person sets on the page, or for everything, as the tries of a task meet it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow.sdk import RetryAction
from sqlalchemy import event

from airflow_autoremed import remediate
from airflow_autoremed.airflow.attempt import lifecycle
from airflow_autoremed.history.attempt_records import AttemptStart
from airflow_autoremed.types import AttemptId, Mode, Override
from tests.support.days import day, heal
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, TaskInstance, forget

NOON = datetime(2026, 12, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def without_floors(setting):
    """They are decided about like promoted patches: test_floor.py."""
    setting("floor", "off")


@pytest.fixture
def person(store):
    def set_(mode, **place):
        return store.set_mode(Override(Mode(mode), "ada", "an experiment", NOON, **place))

    return set_


EVERYTHING = {}
DAG = {"dag_id": "shop"}
TASK = {"dag_id": "shop", "task_id": "daily"}


@pytest.fixture
def category(spark_submit, spark_task, store):
    """Of the failure that these tests provoke."""
    spark_submit(HEAP_OOM)
    day(remediate(spark_task(executor_memory="1g"), mode="shadow"), 9).run()
    forget()
    return store.recent(1)[0].category


@pytest.mark.parametrize("place", [EVERYTHING, DAG, TASK])
def test_what_is_switched_off_runs_as_if_we_were_not_installed(
    spark_submit, spark_task, store, person, log_lines, place
):
    person("off", **place)
    spark_submit(HEAP_OOM)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert outcome.decision.action is RetryAction.DEFAULT
    assert store.recent(10) == []
    assert "Mode off: set for" in log_lines()
    assert "by ada on 2026-12-01 12:00 UTC: an experiment" in log_lines()


def test_what_is_set_for_another_task_is_not_heard_of(spark_submit, spark_task, person, log_lines):
    person("off", dag_id="shop", task_id="weekly")
    person("off", dag_id="other")
    spark_submit(HEAP_OOM)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert outcome.decision.action is RetryAction.RETRY
    assert "Mode off" not in log_lines()


def test_shadow_that_a_person_sets_changes_nothing_and_is_undone(spark_submit, spark_task, store, person):
    number = person("shadow", **DAG)
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g"))
    ti = day(task, 1)
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert memory_of(ti.run().argv) == "1g"
    assert {row.mode for row in store.recent(10)} == {Mode.SHADOW}
    forget()
    assert store.end_override(number, who="ada", why="it is over")
    ti = day(task, 2)
    ti.run()
    assert memory_of(ti.run().argv) == "2g"


def test_a_person_lets_a_task_act_that_the_deployment_only_watches(
    spark_submit, spark_task, person, setting, log_lines
):
    setting("mode", "shadow")
    person("act", **TASK)
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    assert ti.run().decision.action is RetryAction.RETRY
    assert memory_of(ti.run().argv) == "2g"
    assert "Mode act: set for the task shop.daily" in log_lines()


def test_off_in_the_dag_file_stays_off(spark_submit, spark_task, store, person):
    person("act", **TASK)
    spark_submit(HEAP_OOM)
    TaskInstance(remediate(spark_task(executor_memory="1g"), mode="off")).run()
    assert store.recent(10) == []


def test_a_stop_reaches_attempts_that_run_already(spark_submit, spark_task, store, person, monkeypatch):
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g"))
    look_again = lifecycle._is_off_by_now
    monkeypatch.setattr(lifecycle, "_is_off_by_now", lambda running: person("off") and look_again(running))
    assert TaskInstance(task).run().decision.action is RetryAction.DEFAULT
    (row,) = store.recent(10)
    assert (row.action, row.succeeded) == (None, False)


def test_a_retry_that_waits_with_a_patch_runs_as_declared_once_everything_is_stopped(
    spark_submit, spark_task, person
):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    person("off")
    assert memory_of(ti.run().argv) == "1g"


def test_a_promoted_patch_waits_while_its_task_is_in_shadow_mode(spark_submit, spark_task, person):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    heal(task, 1)
    person("shadow", **TASK)
    assert memory_of(day(task, 2).run().argv) == "1g"


@pytest.mark.parametrize(("mode", "kept"), [("shadow", [Mode.SHADOW]), ("off", [None])])
def test_failures_of_one_category_are_held_back_alone(
    spark_submit, spark_task, store, person, category, mode, kept
):
    person(mode, category=category)
    person("off", category="network")
    spark_submit(HEAP_OOM)
    ti = day(remediate(spark_task(executor_memory="1g")), 1)
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert [row.mode for row in store.one("shop", ti.run_id, "daily", -1)] == kept
    assert memory_of(ti.run().argv) == "1g"


def test_one_category_may_act_where_the_rest_is_watched(spark_submit, spark_task, person, setting, category):
    setting("mode", "shadow")
    person("act", category=category)
    spark_submit(HEAP_OOM)
    ti = day(remediate(spark_task(executor_memory="1g")), 1)
    assert ti.run().decision.action is RetryAction.RETRY
    assert memory_of(ti.run().argv) == "2g"


def test_a_healthy_try_pays_no_query_for_it(store, person):
    """One looks for the patch and the modes, one writes the start."""
    person("shadow", **DAG)
    attempt = AttemptId("shop", "manual__1", "daily", -1, 1)
    start = AttemptStart(attempt, {}, {}, "SparkSubmitOperator", NOON)
    told, asked = [], []
    store.open()
    event.listen(
        store._database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: asked.append(statement),
    )
    store.start(start, goes_on=lambda overrides: bool(told.append(overrides)) or True)
    (overrides,) = told
    assert [each.mode for each in overrides] == [Mode.SHADOW]
    assert [statement.split()[0] for statement in asked] == ["BEGIN", "SELECT", "INSERT"]


def test_who_set_what_is_kept_when_another_takes_its_place(store, person):
    first = person("shadow", **TASK)
    second = person("off", **TASK)
    assert [each.id for each in store.overrides(10, in_force_only=True)] == [second]
    ended = store.override(first)
    assert (ended.ended_by, ended.ended_why) == ("ada", "set to off: an experiment")
    assert not store.end_override(first, who="eve", why="again")
