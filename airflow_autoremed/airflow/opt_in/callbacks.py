"""Callbacks that a Dag author can hang on any task by hand; :func:`airflow_autoremed.remediate` uses them too.

On any other task than one that launches Spark they do nothing. ``on_retry`` and ``on_failure`` do no store I/O
when they run in the Dag processor (a dead worker), where it would block the parsing of the whole file, and never
touch Airflow's task state store, which fails there (docs/facts-airflow.md, traps A and B).

Callbacks alone cannot skip retries: Airflow asks them when the state is decided already. Use ``remediate(task)``
for tasks that shall be stopped when they are doomed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_autoremed.airflow.opt_in.lazy_lifecycle import lifecycle
from airflow_autoremed.airflow.options import Options

Callback = Callable[[Mapping[str, Any]], None]

_DEFAULT = Options()


def on_execute(context: Mapping[str, Any]) -> None:
    """For ``on_execute_callback``: apply the patch of the last try and tap the log of this one."""
    lifecycle.before_execute(context, _DEFAULT)


def on_retry(context: Mapping[str, Any]) -> None:
    """For ``on_retry_callback``: decide about the failure, unless the task's retry policy has done so."""
    exception = context.get("exception")
    ti = context["ti"]
    if isinstance(exception, BaseException) and lifecycle.is_prepared(ti):
        lifecycle.after_failure(
            context,
            exception,
            _DEFAULT,
            retries_left=max(1, lifecycle.retries_left(ti)),
            use_state_store=False,
        )


def on_failure(context: Mapping[str, Any]) -> None:
    """For ``on_failure_callback``: explain and record the last failure."""
    exception = context.get("exception")
    if lifecycle.is_prepared(context["ti"]):
        if isinstance(exception, BaseException):
            lifecycle.after_failure(context, exception, _DEFAULT, retries_left=0, use_state_store=False)
        lifecycle.after_final_failure(context)


def on_success(context: Mapping[str, Any]) -> None:
    """For ``on_success_callback``: record the success, and that the patch (if any) healed the task."""
    lifecycle.after_success(context)


def on_execute_with(options: Options) -> Callback:
    """:func:`on_execute` with the options of one task."""

    # A plain function: Airflow wants its name and, for some versions, its source.
    def autoremed_on_execute(context: Mapping[str, Any]) -> None:
        lifecycle.before_execute(context, options)

    autoremed_on_execute.autoremed_options = options  # type: ignore[attr-defined]
    return autoremed_on_execute


def options_of(callbacks: Any) -> Options | None:
    """The options with which one of *callbacks* was attached; ``None`` when none of them is ours."""
    for callback in as_list(callbacks):
        options = getattr(callback, "autoremed_options", None)
        if isinstance(options, Options):
            return options
        if callback is on_execute:
            return _DEFAULT
    return None


def as_list(callbacks: Any) -> list[Any]:
    """Callbacks in any form that Airflow takes, as a list."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple | set) else [callbacks]
