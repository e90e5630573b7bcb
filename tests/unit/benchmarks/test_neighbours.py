"""What is set beside the product is counted from the same failures."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn")

from benchmarks import neighbours
from benchmarks.proof import report as proof
from tests.support.proof_jobs import job, tried


@pytest.fixture
def results() -> dict[str, Any]:
    failed, passed = tried(succeeded=False), tried(succeeded=True)
    jobs = [
        job("heals", "curable", [{**failed, "category": "executor_oom_heap"}, passed], oracle=passed),
        job("passes", "transient", [{**failed, "category": "unknown"}, passed]),
        job("hopeless", "incurable", [{**failed, "category": "executor_oom_heap"}]),
    ]
    for each in jobs:
        blind = each["strategies"][proof.BLIND]
        each["strategies"] |= {neighbours.BY_TYPE: blind, proof.TEXT_ALONE: blind}
        each["first"] = [{**failed, "exception_chars": 5000}] * 2
    return {"date": "2026-11-28", "jobs": jobs}


def test_a_cause_is_named_rightly_when_it_is_the_labelled_one(results):
    told = {reader.what: reader.named for reader in neighbours.readers(results)}
    assert told["the log, our rules"] == "2/3 (67%)"
    assert told["the exception's text, our rules"] == "0/3 (0%)"


def test_a_policy_that_leaves_the_configuration_heals_nothing_that_needs_another(results):
    ideal = neighbours.all_knowing(results["jobs"])
    assert (ideal.healed_last, ideal.curable) == (0, 1)
    assert (ideal.stopped_at_once, ideal.transient_lost) == (1, 0)
    # 10; 10 + 10; 10
    assert ideal.gib_seconds == 40.0


def test_what_a_language_model_is_sent_is_cut_where_its_policy_cuts(results):
    page = "\n".join(neighbours._language_models(results))
    assert "3 longer than what is sent" in page
    # (845 + 700 + 75 + 4096) characters / 4
    assert "about 1,429 tokens in" in page
