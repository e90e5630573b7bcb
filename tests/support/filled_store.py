"""A store to train from."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart
from airflow_autoremed.types import Action, Classification, Restartable
from tests.support.decisions import decision, recorded
from tests.support.task_histories import history


@pytest.fixture(name="filled")
def filled_store(airflow_home):
    """A store with a history in it."""
    url = f"sqlite:///{airflow_home}/autoremed.db"
    store = Store(url)
    for record in history(25, 8):
        began = datetime.fromtimestamp(record.started_at, timezone.utc)
        cause = Classification(record.category or "", "r", Restartable.WITH_CHANGES, True)
        verdict = recorded(decision(Action.REMEDIATE, "more", cause, record.effective))
        store.record(
            record.attempt,
            start=AttemptStart(
                record.attempt,
                baseline=record.baseline,
                effective=record.effective,
                operator=record.operator,
                started_at=began,
                patched=record.baseline != record.effective,
                fingerprint=record.fingerprint,
            ),
            decision=None if record.succeeded else verdict,
            end=AttemptEnd(bool(record.succeeded), began, record.duration_s, 1.0),
        )
    return url
