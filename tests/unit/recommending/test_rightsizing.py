"""Less for tasks that never come near what they declare, with a way back at the first failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from airflow_autoremed import remediate
from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.patching import make_patch
from airflow_autoremed.recommending.rightsizing import proposals
from airflow_autoremed.spark.sizes import GIB
from airflow_autoremed.types import (
    ANY,
    RIGHT_SIZED,
    AttemptId,
    PatchState,
    Prediction,
    RecordedAttempt,
    Scope,
)
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, TaskInstance, forget

HEAP = "spark.executor.memory"


def runs(count=8, declared="8g", peak=1.0, **changes):
    return [
        replace(
            RecordedAttempt(
                AttemptId("d", f"r{number}", "t", -1, 1),
                1.7e9 + number * 86_400,
                {HEAP: declared, "spark.executor.instances": "10"},
                {HEAP: declared, "spark.executor.instances": "10"},
                True,
                3600.0,
                fingerprint="f",
                peaks={HEAP: peak * GIB * (0.8 + 0.2 * (number == 3))},
            ),
            **changes,
        )
        for number in range(count)
    ]


def test_a_task_that_uses_an_eighth_is_offered_its_largest_peak_with_a_margin():
    (found,) = proposals(runs())
    assert (found.key, found.declared, found.peak) == (HEAP, 8 * GIB, 1 * GIB)
    assert 1.3 * GIB + 300 * 1024**2 <= found.proposed < 1.8 * GIB
    assert found.by == "largest peak"
    saved = (found.declared - found.proposed) / GIB * 10  # ten executors, one hour a day
    assert found.saved_gib_hours == pytest.approx(saved * 8, rel=0.15)
    assert found.conf[HEAP] == f"{found.proposed // 1024**2}m"
    assert found.conf["spark.executor.instances"] == "10"


@pytest.mark.parametrize(
    "past",
    [
        [],
        runs(count=4),
        runs(peak=5.0),
        runs(peaks={}),
        [*runs(), replace(runs()[0], succeeded=False, category="executor_oom_heap")],
        [*runs(), replace(runs()[0], succeeded=False, category=None)],
        [*runs(), replace(runs()[-1], baseline={HEAP: "4g"}, effective={HEAP: "4g"}, fingerprint="new")],
        runs(effective={HEAP: "16g"}),
    ],
)
def test_nothing_is_offered_without_enough_to_go_by(past):
    assert proposals(past) == []


class Wary:
    """Knows that less than three quarters of a GiB times four fails."""

    def __init__(self, similar=1000, need=3 * GIB):
        self.similar, self.need = similar, need

    def predict(self, question):
        sizes = np.array(question.axes[0].values)
        return Prediction(np.where(sizes < self.need, 0.5, 0.01), np.ones(len(sizes)), self.similar, "m1")


def test_a_model_may_make_it_larger_and_never_smaller():
    (plain,) = proposals(runs())
    (wary,) = proposals(runs(), Wary())
    assert 3 * GIB <= wary.proposed < 3.1 * GIB
    assert (wary.by, wary.fails) == ("m1", 0.01)
    assert proposals(runs(), Wary(need=0))[0].proposed == plain.proposed
    assert proposals(runs(), Wary(need=7 * GIB)) == []
    assert proposals(runs(), Wary(similar=3))[0].by == "largest peak"


@pytest.fixture
def smaller(airflow_home):
    """The task ``arrow_spark`` is right-sized from 8g to 2g."""
    store = Store(f"sqlite:///{airflow_home}/autoremed.db")

    def make(task, declared):
        scope = Scope("shop", ANY, task.task_id, -1, kind="task")
        patch = make_patch(declared, {**declared, HEAP: "2g"}, scope, from_try=1)
        store.promote_patch(patch, category=RIGHT_SIZED, who="me", why="right-sized")
        return store

    return make


def test_coming_runs_begin_smaller_and_stay_so_while_they_succeed(spark_submit, spark_task, smaller):
    spark_submit(HEAP_OOM, cured_by="--executor-memory")
    task = remediate(spark_task(executor_memory="8g"))
    store = smaller(task, {HEAP: "8g"})
    for run in ("a", "b"):
        forget()
        assert memory_of(TaskInstance(task, run_id=run).run().argv) == "2g"
    assert store.patches(5)[0].state is PatchState.PROMOTED


def test_the_first_failure_takes_it_back_and_the_retry_has_at_least_what_is_declared(
    spark_submit, spark_task, smaller
):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 8g")
    task = remediate(spark_task(executor_memory="8g"))
    store = smaller(task, {HEAP: "8g"})
    ti = TaskInstance(task)
    assert memory_of(ti.run().argv) == "2g"
    second = ti.run()
    assert memory_of(second.argv) == "8g"
    assert second.error is None
    ours = [row for row in store.patches(10) if row.category == RIGHT_SIZED]
    assert [row.state for row in ours] == [PatchState.REVOKED]
    forget()
    assert memory_of(TaskInstance(task, run_id="tomorrow").run().argv) == "8g"


def test_without_measured_peaks_the_report_says_what_is_missing(airflow_home):
    Store(f"sqlite:///{airflow_home}/autoremed.db").open()
    done = CliRunner().invoke(app, ["rightsize"])
    assert "autoremed ingest" in done.stdout
    assert CliRunner().invoke(app, ["rightsize", "--apply", "d.t"]).exit_code == 2
