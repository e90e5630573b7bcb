"""The page's way to the store."""

from __future__ import annotations

from functools import lru_cache

from airflow_autoremed.airflow.options import settings, store_url
from airflow_autoremed.history import Store


@lru_cache(maxsize=1)
def store() -> Store:
    """The store of this process, opened by its first question."""
    configured = settings()
    return Store(store_url(), deployment=configured.deployment, deadline_s=configured.store_deadline)
