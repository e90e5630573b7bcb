"""The deployment-wide switch: ``[autoremed] attach_to_all = True`` opts in every task that launches Spark."""

from __future__ import annotations

from typing import Any

from airflow.policies import hookimpl

from airflow_autoremed.airflow.guard import never_worse


@hookimpl
def task_policy(task: Any) -> None:
    """Called for every task wherever a Dag file is loaded; a raising policy would break the whole file."""
    _attach(task)


@never_worse("applying the cluster policy")
def _attach(task: Any) -> None:
    from airflow_autoremed.airflow.options import settings
    from airflow_autoremed.platforms import find_platform

    if not settings().attach_to_all or find_platform(getattr(task, "operator_class", task)) is None:
        return
    from airflow_autoremed.airflow.attach import is_attached, remediate

    if not is_attached(task):
        remediate(task)
