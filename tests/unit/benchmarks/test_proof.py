"""The arithmetic of the proof."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.proof import jobs, report
from tests.support.proof_jobs import job, tried


@pytest.fixture
def results() -> dict[str, Any]:
    failed, passed = tried(succeeded=False), tried(succeeded=True, gib_seconds=20.0, memory="4g")
    return {
        "date": "2026-11-24T14:00+00:00",
        "command": "python -m benchmarks.proof",
        "machine": "a machine",
        "lanes": 2,
        "attempts": 9,
        "minutes": 1,
        "jobs": [
            job("heals at once", "curable", [failed, passed], oracle=tried(succeeded=True, memory="2g")),
            job("heals late", "curable", [failed, failed, passed], oracle=tried(succeeded=True, memory="4g")),
            job("never heals", "curable", [failed] * 4, oracle=None),
            job("passes", "transient", [failed, tried(succeeded=True)]),
            job("hopeless", "incurable", [{**failed, "reason": "No retry can cure this."}]),
            {**job("healthy", "curable", [passed]), "first": [passed, failed], "classified": None},
        ],
    }


def test_shares_are_of_the_jobs_that_failed_at_first(results):
    ours = report.measure(report.counted(results), report.OURS)
    assert (ours.healed_first, ours.healed_last, ours.curable) == (1, 2, 3)
    assert (ours.stopped_at_once, ours.incurable, ours.retries_in_vain) == (1, 1, 0)
    assert (ours.transient_lost, ours.transient) == (0, 1)


def test_cost_counts_every_try_and_failed_ones_apart(results):
    ours = report.measure(report.counted(results), report.OURS)
    # 10 + 20; 10 + 10 + 20; 4 x 10; 10 + 10; 10
    assert (ours.gib_seconds, ours.failed_gib_seconds) == (140.0, 90.0)
    blind = report.measure(report.counted(results), report.BLIND)
    assert (blind.gib_seconds, blind.retries_in_vain) == (180.0, 3)


def test_the_oracle_pays_for_the_first_failure_and_for_the_smallest_cure(results):
    best = report.oracle(report.counted(results))
    # 10 + 10; 10 + 10; 10; 10 + 10; 10
    assert best.gib_seconds == 80.0
    assert (best.healed_first, best.retries_in_vain, best.transient_lost) == (2, 0, 0)


def test_memory_over_need_is_of_the_healing_try(results):
    over = report.measure(report.counted(results), report.OURS).over_need
    assert over[0] > 1.3
    assert over[1] == 1.0


def test_a_goal_that_is_missed_is_said_to_be_missed(results):
    met = {goal.what: goal.met for goal in report.goals(results, report.OURS)}
    assert not met["healed by the last retry"]
    assert met["incurable failures stopped on try 1"]
    assert "**missed**" in report.page(results)
    assert any("healed by the last retry" in each for each in report.missed_in_ci(results))


def test_what_did_not_fail_and_what_ended_differently_is_named(results):
    text = report.page(results)
    assert "passed on the first attempt, so not counted: healthy" in text
    assert "two first attempts that ended differently: healthy" in text
    assert "no cure found by the oracle: never heals" in text


def test_the_same_jobs_are_drawn_each_time_and_half_of_the_sizes_are_held_out():
    first, again = jobs.all_jobs(), jobs.all_jobs()
    assert first == again
    assert len(first) >= 64
    assert len({each.family for each in first if each.kind is jobs.Kind.CURABLE}) >= 10
    assert sum(each.kind is jobs.Kind.INCURABLE for each in first) >= 20
    held_out = sum(each.held_out for each in first) / len(first)
    assert 0.4 <= held_out <= 0.6
    assert not any(each.held_out for each in jobs.all_jobs(development=True))
    assert len({each.id for each in first}) == len(first)
    assert len(jobs.short()) == 16


def test_core_seconds_stand_beside_blind_retrys_and_the_oracles(results):
    row = next(line for line in report.page(results).splitlines() if line.startswith(f"| {report.OURS} |"))
    # 12 tries of one core-second each, to blind retry's 18 and the oracle's 8
    assert "| 0.67 | 1.50 |" in row


def test_a_cost_that_the_oracle_cannot_reach_either_is_explained(results):
    assert "is at 0.44" in report.page(results)
