"""What an author sets for one task, and what then holds for it together with the deployment's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from airflow_autoremed import settings as settings_module
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import Settings
from airflow_autoremed.types import Limits, Mode, Objective


@dataclass(frozen=True)
class Options:
    """The arguments of :func:`airflow_autoremed.remediate`, checked when the Dag file is parsed."""

    mode: Mode | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    stall_timeout: float | None = None
    """Seconds; ``None``: the deployment's."""
    retry_budget: int | None = None
    """Retries beyond the author's own, for failures that a configuration cures; ``None``: the deployment's."""
    objective: Mapping[str, Any] = field(default_factory=dict)
    """Of a model's answers, over the deployment's."""
    own_retries: int | None = None
    """The author's own retries, where they were raised by a budget."""

    @classmethod
    def checked(cls, *, where: str, **given: Any) -> Options:
        """Options from what an author wrote.

        :param where: the public name that was called, for the error.
        :param given: of :data:`~airflow_autoremed.settings.PER_TASK`; ``None``: the deployment's.
        :raises SettingsError: for a value that cannot be used, saying what to write instead.
        """
        return cls(**settings_module.parse_per_task(given, where=where))

    def effective_retry_budget(self) -> int:
        """The task's own, else the deployment's; none unless retries may be remediated."""
        if self.effective_mode() is not Mode.ACT:
            return 0
        return settings().retry_budget if self.retry_budget is None else self.retry_budget

    def effective_stall_timeout(self) -> float | None:
        """The task's own, else the deployment's; ``None``: an application may wait for ever."""
        return settings().stall_timeout if self.stall_timeout is None else self.stall_timeout

    def effective_mode(self) -> Mode:
        """The task's own mode, else the deployment's; ``off`` for the deployment is off for every task."""
        deployment = settings().mode
        return deployment if self.mode is None or deployment is Mode.OFF else self.mode

    def effective_objective(self) -> Objective:
        """The task's own over the deployment's."""
        return settings_module.parse_group(self.objective, base=settings().objective, where="objective")

    def effective_limits(self, operator: Any) -> Limits:
        """The task's limits over those of its pool, queue and connection, over the deployment's."""
        limits = settings().limits
        for place in _places(operator):
            limits = settings_module.parse_group(
                settings().limits_for.get(place, {}), base=limits, where="limits_for"
            )
        return settings_module.parse_group(self.limits, base=limits, where="limits")


_CONNECTIONS = (
    "_conn_id",
    "conn_id",
    "_livy_conn_id",
    "livy_conn_id",
    "databricks_conn_id",
    "aws_conn_id",
    "gcp_conn_id",
    "azure_synapse_conn_id",
    "kubernetes_conn_id",
)
"""Where the operators that launch Spark keep the id of their connection."""


def _places(operator: Any) -> list[str]:
    connections = [getattr(operator, name, None) for name in _CONNECTIONS]
    return [
        f"pool={getattr(operator, 'pool', '')}",
        f"queue={getattr(operator, 'queue', '')}",
        *(f"connection={each}" for each in connections if each),
    ]


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The deployment's settings, read once a process."""
    from airflow_autoremed.airflow.compat import airflow_option

    return settings_module.load(airflow_option)


def store_url() -> str:
    """The store's SQLAlchemy URL, an Airflow connection id resolved."""
    configured = settings()
    try:
        return configured.store_url
    except SettingsError:
        from airflow_autoremed.airflow.compat import connection_url

        return connection_url(configured.store)
