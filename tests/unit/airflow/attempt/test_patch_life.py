"""What becomes of a patch over tries, runs and days: each test runs the real operator try by try."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.airflow.attempt import judged_later
from airflow_autoremed.remediation.gates import paused_until
from airflow_autoremed.types import AttemptId, PatchState
from tests.support.days import day, heal
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, REFUSED, TaskInstance, forget


@pytest.fixture(autouse=True)
def without_floors(setting):
    """They stand on top of what is shown here: test_floor.py."""
    setting("floor", "off")


def states(store):
    return [(row.patch.scope.kind, row.state.value) for row in store.patches(100)]


# --------------------------------------------------------------------------------------------- over tries


def test_a_second_failure_of_another_kind_does_not_lose_the_patch(spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    spark_submit(REFUSED)
    assert ti.run().decision.action is RetryAction.DEFAULT
    spark_submit("", cured_by="job.py")
    assert memory_of(ti.run().argv) == "2g"


def test_after_a_lost_worker_the_patch_is_carried_on(spark_submit, spark_task, log_lines, store):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    ti.lose()
    assert memory_of(ti.run().argv) == "2g"
    assert "Attempt 2 ended without a decision" in log_lines()
    second = store.one("shop", "manual__1", "daily", -1)[1]
    assert (second.action.value, second.succeeded) == ("leave_alone", False)


@pytest.fixture
def log_of_the_first(tmp_path, monkeypatch):
    """Airflow keeps the log of a try whose worker was killed, where the worker's disk outlives it."""
    previous = tmp_path / "attempt=1.log"
    monkeypatch.setattr(judged_later, "log_of", lambda attempt: previous if attempt.try_number == 1 else None)
    return previous


def test_the_log_of_a_lost_try_still_tells_what_it_died_of(
    spark_submit, spark_task, log_lines, log_of_the_first, store
):
    log_of_the_first.write_text(HEAP_OOM)
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.lose()
    assert memory_of(ti.run().argv) == "2g"
    assert "Attempt 1 was lost with its worker; this is what its log shows." in log_lines()
    assert states(store) == [("run", "proven")], "nobody saw it fail, so nothing is promoted"


def to_its_end(ti):
    """Two tries, the second with a patch, which fails for want of memory, too."""
    ti.retries = 1
    for _ in range(2):
        ti.run()
        forget()


def test_a_lost_try_passes_the_gates_like_any_other(
    spark_submit, spark_task, log_lines, log_of_the_first, setting
):
    log_of_the_first.write_text(HEAP_OOM)
    setting("brake_task", 2)
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g"))
    for number in (1, 2):
        to_its_end(day(task, number))
    other = day(task, 3)
    other.lose()
    assert memory_of(other.run().argv) == "1g"
    assert "is paused until" in log_lines()


def test_a_lost_try_whose_log_shows_that_it_failed_for_good_is_not_run_again(
    spark_submit, spark_task, log_of_the_first
):
    log_of_the_first.write_text(f"{MISSING_TABLE}ERROR - Task failed with exception\n")
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.lose()
    outcome = ti.run()
    assert type(outcome.error).__name__ == "AirflowFailException"
    assert "was lost with its worker" in str(outcome.error)
    assert outcome.argv == ""


def test_an_error_that_a_lost_try_may_have_survived_never_stops_the_next_one(
    spark_submit, spark_task, log_of_the_first, log_lines
):
    log_of_the_first.write_text(f"{MISSING_TABLE}INFO job: falling back to the archive\n")
    spark_submit(REFUSED)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.lose()
    second = ti.run()
    assert second.argv
    assert second.decision.action is RetryAction.DEFAULT, "its own verdict, not that on the first try"
    assert "its log does not show that it failed" in log_lines().lower()


@pytest.mark.parametrize("text", [HEAP_OOM, f"{MISSING_TABLE}Task failed with exception\n"])
def test_without_a_recorded_start_no_try_is_taken_for_lost(spark_submit, spark_task, log_of_the_first, text):
    """A pruned history, a try before the opt-in, a store for each worker."""
    log_of_the_first.write_text(text)
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.tries.append(None)
    outcome = ti.run()
    assert outcome.error is None
    assert memory_of(outcome.argv) == "1g"


def test_after_a_clear_no_try_is_taken_for_lost(spark_submit, spark_task, log_of_the_first):
    log_of_the_first.write_text(f"{MISSING_TABLE}Task failed with exception\n")
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.lose()
    ti.clear()
    assert ti.run().error is None


def test_a_patch_that_was_revoked_between_two_tries_is_not_applied(
    spark_submit, spark_task, store, log_lines
):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    forget()
    (patch,) = store.patches(10)
    assert store.end_patch(patch.key, PatchState.REVOKED, who="ada", why="not on my cluster")
    assert memory_of(ti.run().argv) == "1g"
    assert "it was taken back since" in log_lines()


# --------------------------------------------------------------------------------------- ended from outside


def killed_while_it_runs(ti):
    """The process is terminated: Airflow calls ``on_kill``, which kills ``spark-submit``."""
    ti.task.execute = lambda context: _killed(context["ti"].task)
    return ti.run()


def _killed(task):
    task.on_kill()
    raise RuntimeError("Cannot execute: spark-submit job.py. Error code is: -9.")


def test_a_try_that_was_ended_from_outside_is_no_failure(spark_submit, spark_task, store, log_lines):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    first = killed_while_it_runs(ti)
    assert first.decision.action is RetryAction.DEFAULT
    assert "was ended from outside" in log_lines()
    del ti.task.execute
    forget()
    spark_submit("", cured_by="job.py")
    assert memory_of(ti.run().argv) == "1g"
    assert store.patches(10) == []
    (row, _) = store.one("shop", "manual__1", "daily", -1)
    assert (row.succeeded, row.action) == (None, None)


def test_what_a_killed_try_ran_with_is_given_to_the_next_one(spark_submit, spark_task, log_lines):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    forget()
    killed_while_it_runs(ti)
    del ti.task.execute
    forget()
    assert memory_of(ti.run().argv) == "2g"
    assert "lost" not in log_lines()


# ------------------------------------------------------------------------------------- what was really submitted


def test_a_patch_that_the_operator_ignores_is_not_claimed(spark_submit, spark_task, store, log_lines):
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    class Stubborn(SparkSubmitOperator):
        def execute(self, context):
            self._executor_memory = "1g"
            super().execute(context)

    spark_submit(HEAP_OOM)
    ti = TaskInstance(
        remediate(Stubborn(task_id="daily", application="job.py", executor_memory="1g", retries=3))
    )
    ti.run()
    forget()
    second = ti.run()
    forget()
    assert memory_of(second.argv) == "1g"
    assert second.decision.action is RetryAction.DEFAULT
    assert (
        "ran without its patch: the operator submitted spark.executor.memory 1g in place of 2g" in log_lines()
    )
    (_, row) = store.one("shop", "manual__1", "daily", -1)
    assert (row.patched, row.effective["spark.executor.memory"]) == (False, "1g")
    third = ti.run()
    assert memory_of(third.argv) == "1g"
    assert third.decision.action is RetryAction.DEFAULT
    assert log_lines().count("ran without its patch") == 1


def test_the_log_of_a_try_is_found_where_airflow_writes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    attempt = AttemptId("shop", "manual__1", "daily", 3, 2)
    assert judged_later.log_of(attempt) is None
    expected = tmp_path / "dag_id=shop/run_id=manual__1/task_id=daily/map_index=3/attempt=2.log"
    expected.parent.mkdir(parents=True)
    expected.write_text("")
    assert judged_later.log_of(attempt) == expected


def test_a_try_that_succeeded_is_not_taken_for_a_lost_one_when_the_task_is_cleared(
    spark_submit, spark_task, log_lines
):
    spark_submit("", cured_by="job.py")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    ti.clear()
    forget()
    assert ti.run().error is None
    assert "without a decision" not in log_lines()


# ---------------------------------------------------------------------------------------------- over runs


def test_tomorrows_run_begins_with_the_patch_that_healed_todays(spark_submit, spark_task, store, log_lines):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    heal(task, 1)
    assert states(store) == [("task", "promoted")]
    tomorrow = day(task, 2).run()
    assert tomorrow.error is None
    assert memory_of(tomorrow.argv) == "2g"
    assert "runs with the patch promoted for this task (executor_oom_heap)" in log_lines()
    (row,) = store.find_patches(store.patches(1)[0].key)
    assert [change.to_state for change in row.changes] == ["proposed", "active", "proven", "promoted"]
    assert all(change.who and change.why and change.at for change in row.changes)


def test_promotion_can_need_several_successes_or_be_switched_off(spark_submit, spark_task, store, setting):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    setting("promote_after", "never")
    heal(task, 1)
    assert states(store) == [("run", "proven")]
    setting("promote_after", 3)
    heal(task, 2)
    assert {state for _, state in states(store)} == {"proven"}
    heal(task, 3)
    assert ("task", "promoted") in states(store)


def test_a_task_that_rarely_fails_does_not_pay_for_more_memory_every_day(spark_submit, spark_task, store):
    task = remediate(spark_task(executor_memory="1g"))
    spark_submit("", cured_by="job.py")
    for number in range(40):
        day(task, f"quiet-{number}").run()
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(task, 1)
    assert states(store) == [("run", "proven")]


def test_a_promoted_patch_that_fails_of_its_cause_is_revoked_and_a_stronger_one_takes_its_place(
    spark_submit, spark_task, store, log_lines
):
    task = remediate(spark_task(executor_memory="1g"))
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(task, 1)
    spark_submit(HEAP_OOM, cured_by="--executor-memory 4g")
    ti = heal(task, 2)
    assert [memory_of(each.argv) for each in ti.tries] == ["2g", "4g"]
    assert "The promoted patch is revoked" in log_lines()
    assert sorted(states(store)) == [("task", "promoted"), ("task", "revoked")]
    assert memory_of(day(task, 3).run().argv) == "4g"


def test_a_promoted_patch_is_kept_when_a_run_fails_of_something_else(spark_submit, spark_task, store):
    task = remediate(spark_task(executor_memory="1g"))
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(task, 1)
    spark_submit(REFUSED)
    ti = day(task, 2)
    ti.run()
    assert states(store) == [("task", "promoted")]
    forget()
    assert memory_of(ti.run().argv) == "2g"


def test_the_authors_edit_wins_over_yesterdays_patch_and_the_record_says_why(
    spark_submit, spark_task, store, log_lines
):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(remediate(spark_task(executor_memory="1g")), 1)
    spark_submit("", cured_by="job.py")
    edited = remediate(spark_task(executor_memory="1500m"))
    assert memory_of(day(edited, 2).run().argv) == "1500m"
    assert "by now it declares '1500m'" in log_lines()
    (row,) = store.find_patches(store.patches(1)[0].key)
    assert row.state is PatchState.SUPERSEDED
    assert "1500m" in row.changes[-1].why


def test_a_patch_for_one_job_only_does_not_touch_a_changed_application(spark_submit, spark_task, setting):
    setting("promote_same_job_only", True)
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(remediate(spark_task(executor_memory="1g")), 1)
    spark_submit("", cured_by=".py")
    other = remediate(spark_task(executor_memory="1g", application="other.py"))
    assert memory_of(day(other, 2).run().argv) == "1g"
    same = remediate(spark_task(executor_memory="1g"))
    assert memory_of(day(same, 3).run().argv) == "2g"


@pytest.mark.parametrize("shared", [False, True])
def test_mapped_instances_share_a_promoted_patch_only_when_asked(spark_submit, spark_task, setting, shared):
    setting("promote_across_mapped", shared)
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    heal(task, 1, map_index=0)
    spark_submit("", cured_by="job.py")
    assert memory_of(day(task, 2, map_index=0).run().argv) == "2g"
    assert memory_of(day(task, 2, map_index=1).run().argv) == ("2g" if shared else "1g")
    assert memory_of(day(task, 2).run().argv) == ("2g" if shared else "1g")


def test_another_deployment_on_the_same_database_does_not_see_the_patch(spark_submit, spark_task, setting):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    setting("deployment", "blue")
    heal(task, 1)
    setting("deployment", "green")
    assert memory_of(day(task, 2).run().argv) == "1g"


@pytest.mark.parametrize(
    ("option", "what"), [("patch_max_age", "it is older than"), ("patch_max_idle", "it was not used for")]
)
def test_a_promoted_patch_expires(spark_submit, spark_task, store, setting, log_lines, option, what):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    heal(task, 1)
    setting(option, "0.000001s")
    assert memory_of(day(task, 2).run().argv) == "1g"
    assert what in log_lines()
    assert states(store)[-1][1] == "expired" or ("task", "expired") in states(store)


def test_shadow_mode_applies_no_promoted_patch(spark_submit, spark_task):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    heal(remediate(spark_task(executor_memory="1g")), 1)
    watched = remediate(spark_task(executor_memory="1g"), mode="shadow")
    assert memory_of(day(watched, 2).run().argv) == "1g"


def test_a_person_can_take_a_promoted_patch_back(spark_submit, spark_task, store):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    heal(task, 1)
    key = store.patches(1, in_force_only=True)[0].key
    assert store.end_patch(key, PatchState.REVOKED, who="ada", why="we bought more memory")
    assert not store.end_patch(key, PatchState.REVOKED, who="ada", why="again")
    assert memory_of(day(task, 2).run().argv) == "1g"


def test_of_two_runs_that_heal_side_by_side_the_later_ones_patch_stands(spark_submit, spark_task, store):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    runs = [day(task, 1), day(task, 2)]
    for _ in range(2):
        for ti in runs:
            ti.run()
            forget()
    assert [ti.tries[-1].error for ti in runs] == [None, None]
    assert sorted(states(store)) == [("task", "promoted"), ("task", "superseded")]


# ---------------------------------------------------------------------------------- brakes and ceilings


def test_remediation_of_a_task_pauses_when_its_patched_tries_keep_failing(
    spark_submit, spark_task, setting, log_lines
):
    setting("brake_task", 2)
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g"))
    for number in (1, 2):
        to_its_end(day(task, number))
    other = day(task, 3)
    assert other.run().decision.action is RetryAction.DEFAULT
    assert "its last 2 remediations all ended in failure" in log_lines()
    forget()
    assert memory_of(other.run().argv) == "1g"


def test_steps_on_the_way_to_what_is_enough_pull_no_brake(spark_submit, spark_task, setting):
    """Instances of a mapped task, side by side, all of which need two steps."""
    setting("brake_task", 2)
    spark_submit(HEAP_OOM, cured_by="--executor-memory 6g")
    task = remediate(spark_task(executor_memory="1g"))
    instances = [day(task, number) for number in range(4)]
    for _ in range(3):
        for ti in instances:
            ti.run()
            forget()
    assert [ti.tries[-1].error for ti in instances] == [None] * 4


def test_after_the_pause_one_remediated_try_is_allowed_again(spark_submit, spark_task, setting):
    setting("brake_task", 2)
    setting("brake_pause", "0.01s")
    spark_submit(HEAP_OOM)
    task = remediate(spark_task(executor_memory="1g"))
    for number in (1, 2):
        to_its_end(day(task, number))
    time.sleep(0.02)
    assert day(task, 3).run().decision.action is RetryAction.RETRY


@pytest.mark.parametrize(
    ("option", "where"), [("brake_dag", "the Dag shop"), ("brake_category", "executor_oom")]
)
def test_brakes_hold_for_a_dag_and_for_a_category(
    spark_submit, spark_task, setting, log_lines, option, where
):
    setting(option, 2)
    spark_submit(HEAP_OOM)
    for name in ("one", "two"):
        to_its_end(day(remediate(spark_task(task_id=name, executor_memory="1g")), 1))
    last = day(remediate(spark_task(task_id="three", executor_memory="1g")), 1)
    assert last.run().decision.action is RetryAction.DEFAULT
    assert f"remediation of {where}" in log_lines()
    assert "is paused until" in log_lines()


@pytest.mark.parametrize("option", ["max_extra_memory", "max_extra_memory_per_dag"])
def test_tries_hold_no_more_extra_memory_at_once_than_the_ceiling(
    spark_submit, spark_task, setting, log_lines, option
):
    """1g -> 2g of heap is about 1 GiB more; a ceiling of 1.5 GiB has room for one of them."""
    setting(option, "1536m")
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    first = day(remediate(spark_task(task_id="one", executor_memory="1g")), 1)
    second = day(remediate(spark_task(task_id="two", executor_memory="1g")), 1)
    assert first.run().decision.action is RetryAction.RETRY
    forget()
    assert second.run().decision.action is RetryAction.DEFAULT
    assert "would exceed the ceiling of 1.5 GiB" in log_lines()
    forget()
    assert first.run().error is None  # and gives its memory back
    forget()
    assert second.run().decision.action is RetryAction.RETRY


def test_a_ceiling_holds_also_when_the_store_cannot_be_asked(spark_submit, spark_task, setting, airflow_home):
    setting("max_extra_memory", "100g")
    (airflow_home / "autoremed.db").write_bytes(b"no database " * 1000)
    spark_submit(HEAP_OOM)
    assert day(remediate(spark_task(executor_memory="1g")), 1).run().decision.action is RetryAction.DEFAULT


def test_memory_of_a_try_that_was_lost_is_not_held_for_ever(store):
    from airflow_autoremed.types import Ceilings

    ceilings = Ceilings(max_extra_memory=10)
    one, two = (AttemptId("d", "r", "t", index, 2) for index in (0, 1))
    assert store.grant(one, 8, held_s=3600, ceilings=ceilings) is None
    assert store.grant(one, 8, held_s=-1, ceilings=ceilings) is None  # renewed, not added
    assert store.grant(two, 8, held_s=3600, ceilings=ceilings) is None
    assert "would exceed" in store.grant(one, 8, held_s=3600, ceilings=ceilings)


def test_pauses_end():
    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    failures = [(False, now - timedelta(hours=1))] * 3
    assert paused_until(failures, 3, 7200) == now + timedelta(hours=1)
    assert paused_until(failures, 3, 3600) == now
    assert paused_until(failures, 4, 7200) is None
    assert paused_until([(True, now), *failures], 3, 7200) is None
