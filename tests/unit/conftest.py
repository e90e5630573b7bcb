"""Each unit test has an Airflow home of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tasks import forget


@pytest.fixture(autouse=True)
def airflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty AIRFLOW_HOME, and nothing remembered from another test."""
    home = tmp_path / "airflow"
    home.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", f"sqlite:///{home}/autoremed.db")
    monkeypatch.setenv("AUTOREMED_CACHE_DIR", str(tmp_path / "cache"))
    forget()
    yield home
    forget()
