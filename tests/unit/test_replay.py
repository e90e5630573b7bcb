"""What a policy would have done on the recorded history: plain counts where it was run, bounds where it was not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from airflow_autoremed.replay import Tally, blind, describe, of_task, playbook, replay, with_model
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import AttemptId, Limits, Prices, RecordedAttempt, Restartable
from tests.support.predictors import Knows
from tests.support.task_histories import history

HEAP = "spark.executor.memory"


def tries(*what, run="r"):
    """The tries of one task instance: ``(memory, category or None for a success)``."""
    return [
        RecordedAttempt(
            AttemptId("d", run, "t", -1, number),
            1.7e9 + number,
            {HEAP: what[0][0]},
            {HEAP: memory},
            category is None,
            100.0,
            category,
        )
        for number, (memory, category) in enumerate(what, 1)
    ]


def judged(records, policy=None, **kwargs):
    policies = {"p": policy or playbook(Limits())}
    return of_task(records, policies, describe, prices=Prices(), **kwargs)["p"]


def test_the_same_configuration_as_was_run_has_the_outcome_it_had():
    tally = judged(tries(("2g", "executor_oom_heap"), ("4g", None)))
    assert (tally.failures, tally.as_recorded, tally.healed, tally.unknown) == (1, 1, 1, 0)


def test_more_than_what_succeeded_succeeds_and_as_much_as_what_failed_fails():
    assert judged(tries(("2g", "executor_oom_heap"), ("3g", None))).healed == 1
    again = judged(tries(("2g", "executor_oom_heap"), ("2g", "executor_oom_heap"), ("8g", None)), blind)
    assert (again.failures, again.failed, again.healed) == (2, 2, 0)
    assert judged(tries(("2g", "executor_oom_heap"), ("6g", "executor_oom_heap"))).failed == 1


def test_what_nobody_knows_is_a_bound_and_not_a_guess():
    tally = judged(tries(("2g", "executor_oom_heap"), ("8g", None)))  # the playbook gives 4g
    assert tally.unknown == 1
    assert tally.healed_bounds == (0.0, 1.0)
    assert tally.expected_healed == 0


def test_stopping_is_right_where_no_later_try_succeeded_and_wrong_where_one_did():
    assert judged(tries(("2g", "missing_data"), ("2g", "missing_data"))).stopped_rightly == 1
    wrong = judged(tries(("2g", "missing_data"), ("2g", None)))
    assert (wrong.stopped_wrongly, wrong.stopped_rightly) == (1, 0)
    assert wrong.retry_cost == 0 < wrong.recorded_cost


def test_a_failure_that_no_try_followed_says_nothing():
    assert judged(tries(("2g", "executor_oom_heap"))).failures == 0


def test_a_model_is_only_judged_by_what_came_after_it_learned():
    records = tries(("2g", "executor_oom_heap"), ("4g", None))
    assert judged(records, after=1.8e9).failures == 0


def test_the_model_estimates_what_the_bounds_leave_open():
    policy = with_model(Limits())
    records = tries(("2g", "executor_oom_heap"), ("16g", None))
    tally = judged(records, policy, predictor=Knows(need=7 * GIB, rest=0.1))
    assert tally.unknown == 1
    assert tally.expected_healed == pytest.approx(0.9)


def test_the_order_of_the_parts_does_not_matter():
    records = history(20, 6)
    by_task = sorted(records, key=lambda each: (each.attempt.dag_id, each.attempt.task_id))
    policies = {"blind": blind, "playbook": playbook(Limits())}
    whole = replay(by_task, policies, describe, prices=Prices())
    parts = {name: Tally() for name in policies}
    for task in {each.attempt.task_id for each in records}:
        mine = [each for each in by_task if each.attempt.task_id == task]
        for name, tally in of_task(mine[::-1], policies, describe, prices=Prices()).items():
            parts[name].add(tally)
    assert whole["blind"].failures == parts["blind"].failures > 50
    assert whole["playbook"].healed == parts["playbook"].healed > whole["blind"].healed
    assert whole["playbook"].retry_cost == pytest.approx(parts["playbook"].retry_cost)


def test_what_was_known_later_is_not_told_to_the_policy():
    seen = []

    def watching(failed, cause, passage, insight):
        seen.append(insight)
        return blind(failed, cause, passage, insight)

    of_task(
        [
            *tries(("2g", "executor_oom_heap"), ("4g", None)),
            *(
                replace(each, started_at=each.started_at + 100)
                for each in tries(("2g", "executor_oom_heap"), ("4g", None), run="later")
            ),
        ],
        {"p": watching},
        describe,
        prices=Prices(),
        predictor=Knows(),
    )
    first, second = seen
    assert first.past == ()
    assert {each.attempt.run_id for each in second.past} == {"r"}
    assert first.failed.category is None


def test_a_category_that_is_no_longer_known_is_left_alone():
    assert describe("gone_since").restartable is Restartable.AS_IS
    assert describe("executor_oom_heap").memory_configuration


def test_without_a_model_replay_needs_no_numpy():
    """A plain install has none: it comes with the extra ``learning``."""
    program = """
import sys
sys.modules["numpy"] = None
from airflow_autoremed.replay import describe, of_task, playbook
from airflow_autoremed.types import AttemptId, Limits, Prices, RecordedAttempt
conf = {"spark.executor.memory": "2g"}
tries = [
    RecordedAttempt(AttemptId("d", "r", "t", -1, number), 1.7e9 + number, conf, conf, False, 9.0, "executor_oom_heap")
    for number in (1, 2)
]
print(of_task(tries, {"p": playbook(Limits())}, describe, prices=Prices())["p"].failures)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("category", ["driver_result_size", "serializer_buffer", "stack_overflow"])
def test_what_is_a_memory_failure_is_said_by_the_taxonomy_and_not_by_the_name(category):
    """As much as what failed for memory fails again."""
    records = tries(("2g", category), ("4g", "network"), ("8g", None))
    assert judged(records, blind).failed == 1
