"""What only a running task needs, loaded when it is used: a Dag file that opts tasks in must cost next to nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt import lifecycle as lifecycle
else:

    class _Lifecycle:
        """Stands for :mod:`airflow_autoremed.airflow.attempt.lifecycle`."""

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module("airflow_autoremed.airflow.attempt.lifecycle"), name)

    lifecycle = _Lifecycle()
