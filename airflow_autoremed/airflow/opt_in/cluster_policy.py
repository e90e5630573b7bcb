"""The deployment-wide switch: ``[autoremed] attach_to_all``, or the ``attach_*`` options for a part of the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from airflow.policies import hookimpl

from airflow_autoremed.airflow.guard import never_worse
from airflow_autoremed.types import AttachRules


@hookimpl
def task_policy(task: Any) -> None:
    """Called for every task wherever a Dag file is loaded; a raising policy would break the whole file."""
    _attach(task)


@never_worse("applying the cluster policy")
def _attach(task: Any) -> None:
    from airflow_autoremed.airflow.options import settings

    configured = settings()
    if not configured.attach_to_all and configured.attach == AttachRules():
        return
    from airflow_autoremed.platforms import find_platform

    if find_platform(getattr(task, "operator_class", task)) is None or not wanted(task, configured.attach):
        return
    from airflow_autoremed.airflow.opt_in.attach import is_attached, remediate

    if not is_attached(task):  # what a Dag file says of its task comes first
        remediate(task)


def wanted(task: Any, rules: AttachRules) -> bool:
    """Whether *task* meets every rule that is not empty."""
    dag = task.get_dag()
    operator = getattr(task, "operator_class", type(task))
    return (
        _meets(rules.attach_operators, [operator.__name__])
        and _meets(rules.attach_dags, [task.dag_id] if dag is not None else [])
        and _meets(rules.attach_tags, getattr(dag, "tags", None) or [])
        and _meets(rules.attach_owners, str(task.owner).split(","))
        and _meets(rules.attach_pools, [str(task.pool)])
    )


def _meets(patterns: Sequence[str], names: Iterable[str]) -> bool:
    """Whether one of *names* fits a pattern, and none a pattern that excludes (with ``!``)."""
    given = [name.strip() for name in names]
    excluding = [pattern[1:].strip() for pattern in patterns if pattern.startswith("!")]
    including = [pattern for pattern in patterns if not pattern.startswith("!")]
    if any(fnmatchcase(name, pattern) for name in given for pattern in excluding):
        return False
    return not including or any(fnmatchcase(name, pattern) for name in given for pattern in including)
