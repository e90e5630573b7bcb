"""What is counted as healed, saved and spent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_autoremed.airflow.ui import totals
from airflow_autoremed.history import Store
from tests.support.page_history import Fleet

NOW = datetime.now(timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/autoremed.db", deadline_s=60)


def _totals(store: Store, dags: set[str]) -> totals.Totals:
    return totals.of(store.overview(NOW - timedelta(days=30)), dags)


def test_a_stop_saves_the_retries_that_it_skips(store: Store) -> None:
    Fleet(store).stopped("d", "t", "r", hours_ago=1)
    found = _totals(store, {"d"})
    one = 221.0 * 6 * 3.4 / 3600
    assert found.stopped == 1
    assert found.saved_gib_hours == pytest.approx(3 * one)  # attempt 1 of 4


def test_healed_and_prevented_are_counted_apart_and_claim_no_savings(store: Store) -> None:
    fleet = Fleet(store)
    key = fleet.healed("d", "t", "r1", hours_ago=3)
    fleet.prevented("d", "t", "r2", key, hours_ago=1)
    found = _totals(store, {"d"})
    assert (found.healed, found.prevented, found.saved_gib_hours) == (1, 1, 0.0)


def test_one_cause_of_many_tasks_is_one_entry(store: Store) -> None:
    fleet = Fleet(store)
    for number in range(7):
        fleet.stopped("d", f"t{number}", "r", hours_ago=1)
    (entry,) = _totals(store, {"d"}).inbox
    assert entry.failures == 7
    assert len(entry.tasks) + entry.more_tasks == 7


def test_another_dag_is_not_counted(store: Store) -> None:
    Fleet(store).stopped("d", "t", "r", hours_ago=1)
    found = _totals(store, {"other"})
    assert (found.stopped, found.inbox, found.by_day) == (0, (), ())
