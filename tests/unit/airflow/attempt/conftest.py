"""What tests of an attempt's life share: the store, options, and what the task log says."""

from __future__ import annotations

import logging

import pytest

from airflow_autoremed.history import Store
from tests.support.tasks import forget


@pytest.fixture
def log_lines(caplog):
    caplog.set_level(logging.INFO, logger="airflow_autoremed")
    return lambda: "\n".join(
        r.getMessage() for r in caplog.records if r.getMessage().startswith("[autoremed]")
    )


@pytest.fixture
def store(airflow_home):
    store = Store(f"sqlite:///{airflow_home}/autoremed.db")
    yield store
    store.close()


@pytest.fixture
def setting(monkeypatch):
    def set_(name, value):
        monkeypatch.setenv(f"AIRFLOW__AUTOREMED__{name.upper()}", str(value))
        forget()

    return set_
