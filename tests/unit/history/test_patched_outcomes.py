"""What pauses remediation: not one task for all, and no clock that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.history.db import encoding, schema
from airflow_autoremed.history.db.engine import Database
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.queries import patched_outcomes
from airflow_autoremed.history.stored import OutcomesOf

NOW = datetime.now(timezone.utc)
HEAP = "executor_oom_heap"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/autoremed.db", 5)
    yield database
    database.close()


def ended(database: Database, task: str, number: int, *, succeeded: bool, at: datetime = NOW) -> None:
    row: dict[str, Any] = {
        "key": f"{task}-{number}",
        "deployment": "default",
        "instance_key": f"{task}-{number}",
        "kind": "run",
        "dag_id": "shop",
        "task_id": task,
        "run_id": str(number),
        "map_index": number,
        "fingerprint": "*",
        "from_try": 1,
        "operations": "[]",
        "category": HEAP,
        "state": "discarded",
        "succeeded": succeeded,
        "settled_at": encoding.to_text(at - timedelta(seconds=number)),
        "created_at": encoding.to_text(at),
        "state_at": encoding.to_text(at),
    }
    known = {name: value for name, value in row.items() if name in schema.patches.c}
    database.write(lambda c: c.execute(schema.patches.insert().values(**known)))


def latest(database: Database, of: OutcomesOf) -> list[bool]:
    (found,) = database.read(lambda c: patched_outcomes.recent(c, "default", of))
    return [succeeded for succeeded, _ in found]


def test_a_mapped_task_that_fails_counts_once_for_its_category(database: Database) -> None:
    for number in range(20):
        ended(database, "evil", number, succeeded=False)
    ended(database, "honest", 50, succeeded=True)
    assert latest(database, OutcomesOf(20, category=HEAP)) == [False, True]
    assert len(latest(database, OutcomesOf(20, dag_id="shop", task_id="evil"))) == 20


def test_outcomes_from_the_future_pause_nothing(database: Database) -> None:
    for number in range(5):
        ended(database, "daily", number, succeeded=False, at=NOW + timedelta(days=3650))
    for number in range(5, 10):
        ended(database, "daily", number, succeeded=True)
    assert latest(database, OutcomesOf(5, dag_id="shop", task_id="daily")) == [True] * 5
