"""The pages with Airflow's own SimpleAuthManager and a filled store; no server, and no metadata database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.history import Store
from tests.support.page_history import fill

DAGS = {"nightly_sales", "customer_360", "finance", "pricing", "experiments"}


@pytest.fixture
def browser(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A function that makes a client for a role of the SimpleAuthManager; ``None``: nobody has signed in."""
    from airflow.api_fastapi import app as airflow_app
    from airflow.api_fastapi.auth.managers import base_auth_manager
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    from airflow_autoremed.airflow.ui import app, guards, history, steering

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of the tests, long enough to sign with" * 2)
    manager = SimpleAuthManager()
    monkeypatch.setattr(airflow_app._AuthManagerState, "instance", manager)
    monkeypatch.setattr(base_auth_manager.RevokedToken, "is_revoked", lambda jti: False)
    monkeypatch.setattr(guards.DagModel, "get_team_name", lambda dag_id: None)
    for module in (app, steering):
        monkeypatch.setattr(module, "readable_dags", lambda user: DAGS)
    history.store.cache_clear()

    def make(role: str | None, **headers: str) -> Any:
        client = TestClient(app.pages, base_url="http://testserver", follow_redirects=False)
        client.headers.update({"sec-fetch-site": "same-origin", **headers})
        if role is not None:
            user = SimpleAuthManagerUser(username=f"some {role}", role=role)
            client.cookies.set("_token", manager.generate_jwt(user))
        return client

    yield make
    history.store.cache_clear()


@pytest.fixture
def filled(airflow_home: Path) -> tuple[Store, str]:
    """The store with a fortnight in it, and the key of its promoted patch for ``nightly_sales.join_orders``."""
    store = Store(f"sqlite:///{airflow_home}/autoremed.db", deadline_s=60)
    return store, fill(store, days=4)
