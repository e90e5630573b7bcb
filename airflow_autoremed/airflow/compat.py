"""What differs between the supported Airflow versions, in one place. Importing this imports Airflow."""

from __future__ import annotations

import sys
from typing import Any

try:
    from airflow.sdk import RetryPolicy
except ImportError:  # Airflow before 3.3
    RetryPolicy = None

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowFailException, AirflowSkipException

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred

try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator

try:
    from airflow.sdk.exceptions import AirflowTaskTimeout
except ImportError:
    from airflow.exceptions import AirflowTaskTimeout

HAS_RETRY_POLICY = RetryPolicy is not None
"""Airflow 3.3 and newer ask a policy object in the worker whether a failed try is retried."""

__all__ = [
    "HAS_RETRY_POLICY",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseOperator",
    "RetryPolicy",
    "TaskDeferred",
    "airflow_option",
    "base_url",
    "connection_url",
    "count",
    "dags_folder",
    "get_connection",
    "is_test_run",
    "logging_option",
    "redact",
]


_DRIVER_OPTIONS = frozenset(
    [
        "application_name",
        "charset",
        "connect_timeout",
        "keepalives",
        "options",
        "read_timeout",
        "ssl_ca",
        "ssl_cert",
        "ssl_key",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "unix_socket",
        "write_timeout",
    ]
)
"""What a connection's extras may tell a database driver. Other extras are for Airflow's own hooks, and drivers refuse
what they do not know."""


def airflow_option(name: str) -> str | None:
    """An option of ``[autoremed]`` from Airflow's own configuration; ``None`` where it is not set."""
    return _option("autoremed", name)


def logging_option(name: str) -> str | None:
    """An option of Airflow's ``[logging]``; ``None`` where it is not set."""
    return _option("logging", name)


def dags_folder() -> str | None:
    """Airflow's ``[core] dags_folder``."""
    return _option("core", "dags_folder")


def base_url() -> str | None:
    """Where Airflow is reached, ``[api] base_url``; ``None`` where it is not set."""
    return _option("api", "base_url")


def _option(section: str, name: str) -> str | None:
    try:
        from airflow.sdk.configuration import conf
    except ImportError:
        from airflow.configuration import conf
    value: str | None = conf.get(section, name, fallback=None)
    return value


def get_connection(connection_id: str) -> Any:
    """The Airflow connection of that id."""
    try:
        from airflow.sdk import BaseHook
    except ImportError:
        from airflow.hooks.base import BaseHook
    return BaseHook.get_connection(connection_id)


def connection_url(connection_id: str) -> str:
    """The SQLAlchemy URL of an Airflow connection."""
    from sqlalchemy.engine import URL

    found = get_connection(connection_id)
    # Airflow spells the scheme as its connection type, SQLAlchemy as its dialect.
    dialect = {"postgres": "postgresql"}.get(found.conn_type, found.conn_type)
    if dialect == "sqlite":  # Airflow keeps the file's path as the host
        return f"sqlite:///{found.host or found.schema or ''}"
    url = URL.create(
        dialect,
        found.login or None,
        found.password or None,
        found.host or None,
        found.port or None,
        found.schema or None,
        {name: str(value) for name, value in found.extra_dejson.items() if name in _DRIVER_OPTIONS},
    )
    return url.render_as_string(hide_password=False)


def is_test_run() -> bool:
    """Whether a person tries a Dag out (``airflow dags test``, ``dag.test()``), with no scheduler behind it."""
    try:
        from airflow.sdk.execution_time import task_runner
    except ImportError:  # Airflow 2
        return sys.argv[1:3] == ["dags", "test"]
    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return type(comms).__name__.startswith("InProcess")


def redact(value: Any) -> Any:
    """*value* with every secret that Airflow knows of masked."""
    try:
        from airflow.sdk._shared.secrets_masker import redact as mask
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import redact as mask
        except ImportError:
            from airflow.utils.log.secrets_masker import redact as mask
    return mask(value)


def count(name: str, **tags: str) -> None:
    """Add one to the metric ``autoremed.<name>`` of Airflow's own metrics backend."""
    try:
        from airflow.sdk.observability.stats import incr
    except ImportError:
        from airflow.stats import Stats

        incr = Stats.incr
    incr(f"autoremed.{name}", tags=tags)
