"""What the plugin listens for: a task that was opted in is about to run.

This is how a task that has only our retry policy is prepared, and how tasks on Airflow before 3.3 get their
``execute`` wrapped. It costs an attribute look-up for every other task.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

from airflow_autoremed.airflow.guard import never_worse


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """In the worker, after templates are rendered and before ``pre_execute``."""
    _prepare(task_instance)


@never_worse("attaching to the task")
def _prepare(task_instance: Any) -> None:
    task = getattr(task_instance, "task", None)
    if task is None:
        return
    from airflow_autoremed.airflow.opt_in.attach import options_for

    options = options_for(task)
    if options is None:
        return
    from airflow_autoremed.airflow.attempt import lifecycle
    from airflow_autoremed.airflow.compat import HAS_RETRY_POLICY
    from airflow_autoremed.airflow.opt_in import callbacks
    from airflow_autoremed.platforms import find_platform

    if find_platform(task) is None:
        return
    if not HAS_RETRY_POLICY:
        from airflow_autoremed.airflow.opt_in.wrapped_execute import wrap_execute

        wrap_execute(task, options)
    if callbacks.options_of(getattr(task, "on_execute_callback", None)) is None:
        # Only the policy was attached; with the callback there, it comes later and sees what pre_execute did.
        lifecycle.before_execute(task_instance.get_template_context(), options)
