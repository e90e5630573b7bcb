"""The fleet simulator: one world for all strategies, an oracle that is one, books that agree with the real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

pytest.importorskip("sklearn")

from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart, FloorPatch, Promotion
from airflow_autoremed.history.queries import attempt_row, patch_life, write_attempts
from airflow_autoremed.patching import diff, worth_keeping, worth_promoting
from airflow_autoremed.recommending import need
from airflow_autoremed.types import FLOOR, Brakes, PatchState
from benchmarks import raw_data
from benchmarks.fleet import command, engine, ours, report, world
from benchmarks.fleet.engine import MEASURES, Tally
from benchmarks.fleet.strategies import (
    MODEL,
    OURS,
    SIMPLE,
    STICKY,
    Tried,
    pod_autoscaler,
    times_try,
)
from benchmarks.fleet.world import (
    CORES,
    DRIVER,
    HEAP,
    KEYS,
    OVERHEAD,
    RESULT,
    Fleet,
    Rates,
    facts,
    made_up_processes,
    make_task,
    scarce_in,
    undersized_in,
)
from tests.support.decisions import recorded

COUNT = 40
CHANGEABLE = (11, 27)
"""Tasks whose patches are promoted, revoked, superseded and expire."""


@pytest.fixture(scope="module")
def fleet():
    return Fleet(3, 120, made_up_processes())


@pytest.fixture(scope="module")
def tasks(fleet):
    return [make_task(fleet, number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def tallies(fleet, tasks):
    return engine.rule_strategies(fleet, tasks, (*SIMPLE, STICKY, OURS))


def uncalm(tasks):
    for task in tasks:
        for day in np.flatnonzero(task.runs & ~task.calm).tolist():
            yield task, day


def test_a_task_is_the_same_whoever_asks_and_whatever_is_beside_it(fleet, tasks):
    again = make_task(fleet, 7)
    for name in ("epoch", "runs", "needs", "jitter", "seconds", "transient", "broken", "failed_after"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tasks[7], name))
    assert again.baselines == tasks[7].baselines
    assert again.verdicts == tasks[7].verdicts
    other = make_task(replace(fleet, seed=4), 7)
    assert not np.array_equal(other.needs, again.needs)


def test_every_strategy_meets_the_same_runs_and_the_same_needs(tallies):
    for name in ("runs", "needy", "needy_memory", "incurable_runs"):
        at = MEASURES.index(name)
        for tally in tallies.values():
            np.testing.assert_array_equal(tally.counts[at], tallies["no retry"].counts[at])


def test_a_try_ends_the_same_way_each_time_it_is_asked(tasks):
    for task, day in uncalm(tasks[:5]):
        assert task.attempt(day, 1, task.baseline(day)) == task.attempt(day, 1, task.baseline(day))


def test_the_oracle_never_fails_for_want_of_anything_that_can_be_had(tasks):
    for task, day in uncalm(tasks):
        for number in range(1, 5):
            cure = task.cure(day, number)
            if cure is not None and task.broken[day] < 0:
                ending = task.attempt(day, number, cure)
                assert ending.succeeded or task.transient[day, number - 1] >= 0


def test_no_strategy_heals_a_run_for_less_than_the_oracle(tasks):
    product = ours.Product()
    sticky = engine.Sticky()
    for task in tasks:
        for day in np.flatnonzero(task.runs).tolist():
            runs = [engine.play_ours(task, day, product, Tally.empty(120)), sticky.play(task, day)]
            best = engine.play_simple(task, day, SIMPLE["oracle"])
            runs += [engine.play_simple(task, day, each) for each in SIMPLE.values()]
            for run in runs:
                if run.succeeded:
                    assert best.succeeded
                    assert run.cost >= best.cost * (1 - 1e-9)


def test_more_memory_never_hurts_and_half_the_cores_need_less_of_it(tasks):
    task, day = next(
        (task, day)
        for task, day in uncalm(tasks)
        if task.attempt(day, 1, task.baseline(day)).cause == "executor_oom_heap"
        and facts(task.baseline(day)).cores > 1
    )
    assert task.attempt(day, 1, {**task.baseline(day), HEAP: "48g"}).cause != "executor_oom_heap"
    cores = facts(task.baseline(day)).cores
    assert task.needed(day, 1, cores // 2)[3] < task.needed(day, 1, cores)[3]
    fewer = {**task.cure(day, 2), CORES: str(cores // 2)}
    assert task.attempt(day, 2, fewer).duration_s > task.attempt(day, 2, task.cure(day, 2)).duration_s


def test_ours_stops_what_nothing_cures_where_it_reads_it_rightly(fleet, tasks):
    product, stopped = ours.Product(), 0
    for task, day in uncalm(tasks):
        cause = task.attempt(day, 1, task.baseline(day)).cause
        if task.broken[day] >= 0 and task.verdicts[cause] == cause:
            run = engine.play_ours(task, day, product, Tally.empty(fleet.days))
            assert (run.tries, run.stopped) == (1, True)
            stopped += 1
    assert stopped > 5


def test_what_the_rules_do_not_name_is_left_alone(fleet, tasks):
    product = ours.Product()
    for task, day in uncalm(tasks):
        cause = task.attempt(day, 1, task.baseline(day)).cause
        if task.verdicts[cause] == "unknown" and task.broken[day] >= 0:
            assert engine.play_ours(task, day, product, Tally.empty(fleet.days)).tries == 4
            return


def test_partitions_of_tasks_add_up_to_what_each_task_says(fleet):
    apart = [engine.alone(fleet, number) for number in range(6)]
    whole = Tally.empty(fleet.days)
    product = ours.Product(brakes=Brakes(brake_dag=None, brake_category=None))
    for number in range(6):
        engine.task_ours(make_task(fleet, number), product, whole)
    np.testing.assert_allclose(sum(part[OURS].counts for part in apart), whole.counts)


def test_the_shares_of_a_proof_are_taken_where_there_is_one(tmp_path):
    assert scarce_in(tmp_path / "proof.json.gz") is None
    job = {"declared": {HEAP: "1g"}, "oracle": {"conf": {HEAP: "2g"}}}
    raw_data.write(tmp_path / "proof.json.gz", {"jobs": [job] * 12 + [{"declared": {}}]})
    assert scarce_in(tmp_path / "proof.json.gz")[HEAP] == 1.0
    incurable = {"declared": {HEAP: "1g", DRIVER: "1g"}}
    raw_data.write(tmp_path / "proof.json.gz", {"jobs": [job] * 12 + [incurable] * 30})
    assert scarce_in(tmp_path / "proof.json.gz")[HEAP] == 1.0
    raw_data.write(tmp_path / "proof.json.gz", {"jobs": "later"})
    assert scarce_in(tmp_path / "proof.json.gz") is None
    (tmp_path / "proof.json.gz").write_text("no archive")
    assert scarce_in(tmp_path / "proof.json.gz") is None


def test_how_much_too_little_was_declared_is_taken_from_the_proof(tmp_path):
    assert undersized_in(tmp_path / "proof.json.gz") == ()
    heap = {"declared": {HEAP: "1g"}, "oracle": {"conf": {HEAP: "3g"}}}
    partitions = {
        "declared": {HEAP: "1g"},
        "oracle": {"conf": {HEAP: "1g", "spark.sql.shuffle.partitions": "200"}},
    }
    refused = {"declared": {HEAP: "300m"}, "oracle": {"conf": {HEAP: "562m"}}}
    none = {"declared": {HEAP: "1g"}}
    raw_data.write(tmp_path / "proof.json.gz", {"jobs": [heap, partitions, refused, none]})
    assert undersized_in(tmp_path / "proof.json.gz") == (3.0,)


def test_an_undersized_build_needs_more_than_is_declared_until_somebody_raises_it(fleet):
    rates = replace(fleet.rates, deployed=0.2, undersized=1.0)
    larger = replace(fleet, rates=rates, undersized=(3.0,))
    longer = 0
    for number in range(COUNT):
        task = make_task(larger, number)
        at = KEYS.index(task.scarce)
        first = facts(task.baseline(0)).sizes[at]
        if task.needs[:, at].max() > 2.5 * first:
            longer += 1
    assert longer > COUNT / 2
    without = make_task(replace(larger, undersized=()), 0)
    assert (without.needs != make_task(larger, 0).needs).any()


def test_what_others_do_looks_at_nothing_but_their_own_rule(tasks):
    """An autoscaler raises what a container was killed for and nothing else; people multiply the executors' heap."""
    task = tasks[0]
    conf = {HEAP: "4g", OVERHEAD: "1g", DRIVER: "2g"}

    def after(cause):
        return [Tried(conf, world.Ending(False, cause, 60.0))]

    grown = pod_autoscaler(task, 0, after("executor_oom_overhead"))
    assert facts(grown).sizes[KEYS.index(OVERHEAD)] == pytest.approx(2 * 1024**3, rel=0.01)
    assert grown[HEAP] == "4g"
    assert pod_autoscaler(task, 0, after("executor_oom_heap")) == conf
    again = times_try(task, 0, after("driver_oom_heap") * 2)
    heap = facts(task.baseline(0)).sizes[KEYS.index(HEAP)]
    assert facts(again).sizes[KEYS.index(HEAP)] == pytest.approx(3 * heap, rel=0.01)
    assert again[DRIVER] == "2g"


@pytest.fixture
def results(fleet, tallies):
    config = command.Config(seed=3, days=120, tasks=COUNT)
    return {
        "command": "python -m benchmarks.fleet",
        "date": "2026-01-01",
        "machine": "a machine",
        "seconds": 1.0,
        "config": vars(config),
        "rates": {"misclassified": 0.1, "unclassified": 0.2},
        "week_days": [7] * 17 + [1],
        "world": command.describe(config, fleet, tallies["blind retry x3"]),
        "strategies": {
            name: command.as_json(tally, ours.Product() if name == OURS else None)
            for name, tally in tallies.items()
        },
    }


def test_the_page_is_made_from_the_json_alone(results, tmp_path):
    command.save(results, tmp_path)
    stored = raw_data.read(tmp_path / "fleet.json.gz")
    page = (tmp_path / "fleet.md").read_text()
    assert page == report.render(stored)
    assert "**This is a simulation.**" in page
    assert "assumed" in page
    assert f"| **{OURS}** |" in page
    assert MODEL not in page
    stored["strategies"][OURS]["weekly"]["healed"] = [0] * 18
    assert f"| **{OURS}** | 0.0% |" in report.render(stored)
    assert (tmp_path / "fleet.png").stat().st_size > 1000


def test_daily_trainings_are_told_by_the_month(results):
    trainings = [
        {"day": day, "attempts": 500, "failures": 20, "promoted": day != 9, "failed_audits": []}
        for day in range(1, 31)
    ]
    trainings[8]["failed_audits"] = ["Brier score: 0.2, at most 0.1"]
    page = report.render({**results, "trainings": trainings})
    assert "Trained anew daily" in page
    assert "| 0 to 29 | 29 | 500 | 20 | 28 | 1 Brier score |" in page
    assert "| 30 to 59 | 1 | 500 | 20 | 1 |  |" in page


# ------------------------------------------------------------------------------------- the books and the real store


class Checked(ours.Product):
    """The product whose books are kept a second time, in the real store."""

    def __init__(self, store, clock):
        super().__init__(peaks=False)
        self.store, self.clock, self.keys = store, clock, {}
        self.compared = self.floors = 0

    def _begin_standing(self, task, running):
        self.clock.at(task.started_at(running.day, running.attempt.try_number))
        books = self._books(task)
        before, floor = books.standing or books.floor, books.floor
        found = self.store.promoted_patch(running.attempt, running.fingerprint)
        assert (found is None) == (before is None), (running.attempt, found, before)
        if found is not None:
            self.compared += 1
            if before is floor:
                self.keys[before.key] = found.key
            stored = found if found.category == FLOOR else found.floor
            assert (stored is None) == (floor is None)
            if floor is not None:
                self.floors += 1
                assert stored.patch.operations == floor.patch.operations
                assert stored.why.startswith("spark.")
            assert found.category == before.category
            assert found.patch.operations == before.patch.operations
            assert abs((found.since - before.since).total_seconds()) < 1
            if before.last_used is not None:
                assert abs((found.last_used - before.last_used).total_seconds()) < 1
        began = super()._begin_standing(task, running)
        if before is not None and before not in (books.standing, books.floor):
            self.store.end_patch(found.key, before.state, who="test", why="as the books say")
        return began

    def _ended(self, task, running, ending, category):
        self.clock.at(task.started_at(running.day, running.attempt.try_number))
        key = None
        if running.row is not None:
            key = self.keys[running.row.key]
        if self.last is not None and category is not None and self.last.patch is not None:
            attempt = running.attempt
            name = f"{attempt.dag_id}.{attempt.task_id}.{attempt.run_id}.{attempt.try_number}"
            self.keys[name] = self.store.patch_key(self.last.patch)
        began = AttemptStart(
            running.attempt,
            running.baseline,
            running.effective,
            "SparkSubmitOperator",
            self.clock.now,
            running.patched,
            running.fingerprint,
            key,
        )
        self.store.record(running.attempt, start=began)
        self.clock.at(task.started_at(running.day, running.attempt.try_number) + ending.duration_s)
        super()._ended(task, running, ending, category)
        gib_seconds = self._books(task).patched if running.patched else self._books(task).unpatched
        spent = ours.allocation.gib_seconds(running.effective, ending.duration_s)
        assert gib_seconds or running.attempt.try_number > 1
        self.store.record(
            running.attempt,
            decision=None if category is None else recorded(self.last),
            end=AttemptEnd(ending.succeeded, self.clock.now, ending.duration_s, spent),
            start=began,
            promotion=Promotion(
                self.rules,
                lambda what, record: (
                    worth_promoting(record, self.rules) if what == "promote" else worth_keeping(record)
                ),
                floor=lambda past: self._floor(past, running),
            ),
        )

    def _floor(self, past, running):
        floor = need.floor_after(past, running.baseline, self.limits)
        return floor and FloorPatch(diff(running.baseline, floor.conf), floor.why)


class Clock:
    """The simulated time, where the store looks at its watch."""

    def __init__(self, monkeypatch):
        self.now = datetime.now(timezone.utc)
        for module in (attempt_row, patch_life, write_attempts):
            monkeypatch.setattr(module, "_now", lambda: self.now)

    def at(self, seconds):
        self.now = datetime.fromtimestamp(seconds, timezone.utc)


def test_the_books_agree_with_the_real_store(tmp_path, monkeypatch):
    """Promotion, keeping, revocation and supersession come out as in the database, try by try."""
    rates = Rates(deployed=0.05, edited=0.3, unclassified=0, misclassified=0)
    fleet = Fleet(5, 120, made_up_processes(), rates, {DRIVER: 0.5, RESULT: 0.5})
    store = Store(f"sqlite:///{tmp_path}/autoremed.db", deadline_s=60)
    product = Checked(store, Clock(monkeypatch))
    for task in (make_task(fleet, number) for number in CHANGEABLE):
        engine.task_ours(task, product, Tally.empty(fleet.days))
    store.close()
    assert product.compared > 10
    assert product.floors > 10
    for state in (PatchState.PROMOTED, PatchState.REVOKED, PatchState.SUPERSEDED, PatchState.EXPIRED):
        assert product.life[state.value] > 0, state
