"""What a model makes of the playbook's proposal: cheaper where it may, never outside the limits, or no retry."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_autoremed.recommending import recommend
from airflow_autoremed.recommending.optimiser import choose, improve
from airflow_autoremed.remediation import reasons
from airflow_autoremed.remediation.gates import Passage
from airflow_autoremed.remediation.pipeline import decide
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Axis,
    Classification,
    FailedAttempt,
    Insight,
    Limits,
    Objective,
    Prediction,
    Prices,
    RecordedAttempt,
    Restartable,
)
from tests.support.predictors import Knows

ATTEMPT = AttemptId("d", "r", "t", -1, 1)
OOM = Classification(
    "executor_oom_heap", "rule", Restartable.WITH_CHANGES, True, summary="The heap was full."
)


def insight(predictor, **objective):
    failed = RecordedAttempt(ATTEMPT, 1.7e9, {}, {}, operator="X")
    return Insight(predictor, (), failed, Objective(**objective), Prices())


def failed(conf, retries_left=3):
    return FailedAttempt(ATTEMPT, conf, conf, retries_left)


def decided(predictor, conf=None, limits=None, **objective):
    conf = {"spark.executor.memory": "4g", "spark.executor.cores": "4"} if conf is None else conf
    return decide(failed(conf), OOM, limits or Limits(), Passage(), insight(predictor, **objective))


def test_a_model_that_knows_the_need_gives_less_than_the_playbook_and_says_so():
    plain = decide(failed({"spark.executor.memory": "4g"}), OOM, Limits(), Passage())
    assert plain.conf["spark.executor.memory"] == "8g"
    better = decided(Knows(need=5.5 * GIB), {"spark.executor.memory": "4g"})
    assert 5.5 * GIB <= allocation.heap(better.conf, "executor") < 6.2 * GIB
    assert better.decided_by == "m1"
    said = reasons.text(better)
    assert "predicted failure probability 2%" in said
    assert "10000 similar attempts" in said


def test_it_gives_more_where_the_playbook_would_fail_again():
    better = decided(Knows(need=13 * GIB))
    assert allocation.heap(better.conf, "executor") >= 13 * GIB


def test_with_few_similar_attempts_it_only_chooses_among_what_the_playbook_proposes():
    for need, expected in ((7 * GIB, "8g"), (9 * GIB, "10g"), (11 * GIB, "12g")):
        decision = decided(Knows(need=need, similar=60), {"spark.executor.memory": "4g"})
        assert decision.conf["spark.executor.memory"] == expected


def test_with_too_few_the_playbook_decides_and_the_reason_says_why():
    decision = decided(Knows(similar=12))
    assert decision.decided_by == "playbook"
    assert decision.conf["spark.executor.memory"] == "8g"
    assert "the playbook decided: the model knows 12 similar attempts" in reasons.text(decision)


def test_where_every_configuration_fails_no_retry_is_made_and_the_reason_has_the_numbers():
    decision = decided(Knows(rest=0.99, need=0))
    assert decision.action is Action.STOP
    assert "99%" in reasons.text(decision)
    assert "configurations within the limits" in reasons.text(decision)
    assert decision.decided_by == "m1"


def test_between_choosing_and_stopping_the_playbook_decides_and_says_why():
    decision = decided(Knows(rest=0.9, need=0))
    assert decision.decided_by == "playbook"
    assert decision.conf["spark.executor.memory"] == "8g"
    assert "predicts a failure probability of 90%" in reasons.text(decision)


def test_a_model_that_has_seen_little_never_stops_a_task():
    assert decided(Knows(rest=0.99, need=0, similar=499)).action is Action.REMEDIATE


def test_the_limits_hold_for_what_a_model_chooses():
    limits = Limits(max_container_memory=9 * GIB)
    decision = decided(Knows(need=100 * GIB, rest=0.5), limits=limits)
    if decision.action is Action.REMEDIATE:
        assert allocation.container(decision.conf, "executor") <= 9 * GIB


@settings(max_examples=60, deadline=None)
@given(
    heap=st.integers(1, 40),
    cores=st.sampled_from([None, 1, 2, 4, 8]),
    need=st.floats(0.5, 500),
    container=st.one_of(st.none(), st.integers(2, 100)),
    total=st.one_of(st.none(), st.integers(4, 500)),
    growth=st.floats(1, 16),
    instances=st.sampled_from([None, 1, 10]),
    category=st.sampled_from(
        ["executor_oom_heap", "executor_oom_overhead", "driver_oom_heap", "executor_oom_python"]
    ),
)
def test_whatever_it_chooses_is_inside_the_limits_and_never_what_failed(
    heap, cores, need, container, total, growth, instances, category
):
    conf = {"spark.executor.memory": f"{heap}g", "spark.driver.memory": f"{heap}g"}
    conf |= {} if cores is None else {"spark.executor.cores": str(cores)}
    conf |= {} if instances is None else {"spark.executor.instances": str(instances)}
    limits = Limits(
        max_container_memory=None if container is None else container * GIB,
        max_total_memory=None if total is None else total * GIB,
        max_growth=growth,
    )
    cause = replace(OOM, category=category)
    advice = recommend(cause, conf, conf, (), limits)
    better = improve(advice, cause, conf, conf, (), limits, insight(Knows(need=need * GIB)))
    if better.conf is not None:
        assert violations(better.conf, conf, limits) == []
        if advice.conf != conf:
            assert dict(better.conf) != conf


def test_the_choice_is_the_best_of_all_and_ties_go_to_the_cheaper():
    rng = np.random.default_rng(3)
    axes = (
        Axis("spark.executor.memory", tuple(float(n * GIB) for n in range(2, 12))),
        Axis("spark.executor.cores", (1.0, 2.0, 4.0)),
    )
    for _ in range(50):
        fails, rate = rng.random((10, 3)).round(1), rng.random((10, 3)).round(1) + 0.1
        allowed = rng.random((10, 3)) > 0.2
        answer = Prediction(fails, np.ones((10, 3)), 1, "m")
        choice = choose(answer, rate, allowed, axes, {}, 1.0, insight(Knows()))
        w = Objective().weight_of_failure
        scores = {
            at: w * fails[at] + (1 - w) * rate[at]
            for at in itertools.product(range(10), range(3))
            if allowed[at] and fails[at] <= Objective().feasible_below
        }
        best = min(scores.values())
        assert scores[choice.position] == pytest.approx(best)
        assert rate[choice.position] == min(rate[at] for at, score in scores.items() if score <= best + 1e-9)


def test_nothing_feasible_is_no_choice():
    axes = (Axis("spark.executor.memory", (float(GIB),)),)
    answer = Prediction(np.array([0.9]), np.array([1.0]), 1, "m")
    assert choose(answer, np.array([1.0]), np.array([True]), axes, {}, 1.0, insight(Knows())) is None


def test_an_unclassified_failure_is_stopped_only_with_much_evidence_and_near_certainty():
    nameless = Classification("unknown", None, Restartable.AS_IS, False)
    conf = {"spark.executor.memory": "4g"}

    def outcome(**knows):
        predictor = Knows(need=100 * GIB, **knows)
        return decide(failed(conf), nameless, Limits(), Passage(), insight(predictor)).action

    assert outcome() is Action.STOP
    assert outcome(similar=400) is Action.LEAVE_ALONE
    assert (
        decide(failed(conf), nameless, Limits(), Passage(), insight(Knows(need=0, rest=0.96))).action
        is Action.LEAVE_ALONE
    )
    assert decide(failed(conf), nameless, Limits(), Passage()).action is Action.LEAVE_ALONE


def test_a_model_has_no_say_about_what_no_configuration_cures():
    table = Classification("table_not_found", "r", Restartable.NO, False, summary="No such table.")
    assert decide(failed({}), table, Limits(), Passage(), insight(Knows())).decided_by != "m1"
