"""What the plugin listens for: a task that was opted in is about to run, and how it ended.

This is the one place where a task is attached to, whichever way it was opted in and whatever its Dag overrides. It
costs an attribute look-up for every other task.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl

from airflow_autoremed.airflow.guard import never_worse


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """In the worker, after templates are rendered and before the task is executed."""
    _attach(task_instance)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """In the worker, when Airflow has the result."""
    _ended(task_instance, succeeded=True)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """In the worker; for a task whose worker died, or that a person marked, in another process, which knows no run."""
    _ended(task_instance, succeeded=False)


@never_worse("attaching to the task")
def _attach(task_instance: Any) -> None:
    task = getattr(task_instance, "task", None)
    if task is None:
        return
    from airflow_autoremed.airflow.opt_in.attach import options_for

    options = options_for(task)
    if options is None:
        return
    from airflow_autoremed.airflow.compat import HAS_RETRY_POLICY
    from airflow_autoremed.platforms import find_platform

    if find_platform(task) is None:
        return
    from airflow_autoremed.airflow.attempt.wrapped_execute import wrap

    wrap(task, options)
    if HAS_RETRY_POLICY:
        from airflow_autoremed.airflow.opt_in.retry_policy import with_ours

        task.retry_policy = with_ours(task.retry_policy, options)


@never_worse("recording the end of the attempt")
def _ended(task_instance: Any, *, succeeded: bool) -> None:
    lifecycle = sys.modules.get("airflow_autoremed.airflow.attempt.lifecycle")
    if lifecycle is not None:  # else no attempt of ours has run in this process
        lifecycle.after_end(task_instance, succeeded=succeeded)
