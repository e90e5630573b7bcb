"""Callbacks that mark a task as opted in. They do nothing when they are called: the plugin's listener finds them on the
task that is about to run, and does the rest (:mod:`airflow_autoremed.airflow.opt_in.listener`).

A mark has to come along wherever Airflow copies a task to: ``default_args``, ``partial``, mapped and decorated tasks.
Callbacks do. They stand on failure, retry and skip, not on execute and success, because Airflow sends an
``EmptyOperator`` with one of those through the executor.

A Dag author may hang :func:`on_execute` or its neighbours on any task by hand: that is one more way to opt in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_autoremed.airflow.options import Options

Callback = Callable[[Mapping[str, Any]], None]

MARKED = ("on_failure_callback", "on_retry_callback", "on_skipped_callback")
"""Where the mark stands. Three, because a task that sets one of them itself takes it from its ``default_args``."""
_BY_HAND = ("on_execute_callback", "on_success_callback")


def marked_with(options: Options) -> Callback:
    """A callback that marks a task with *options*."""

    # A plain function: Airflow wants its name and, for some versions, its source.
    def autoremed_mark(context: Mapping[str, Any]) -> None:
        """The mark of airflow-autoremed; calling it does nothing."""

    autoremed_mark.autoremed_options = options  # type: ignore[attr-defined]
    return autoremed_mark


def on_execute(context: Mapping[str, Any]) -> None:
    """For ``on_execute_callback``: opts the task in."""


def on_retry(context: Mapping[str, Any]) -> None:
    """For ``on_retry_callback``: opts the task in."""


def on_failure(context: Mapping[str, Any]) -> None:
    """For ``on_failure_callback``: opts the task in."""


def on_success(context: Mapping[str, Any]) -> None:
    """For ``on_success_callback``: opts the task in."""


for _callback in (on_execute, on_retry, on_failure, on_success):
    _callback.autoremed_options = Options()  # type: ignore[attr-defined]


def options_on(task: Any) -> Options | None:
    """The options with which *task* was marked; ``None`` when it was not."""
    for name in (*MARKED, *_BY_HAND):
        found = options_of(getattr(task, name, None))
        if found is not None:
            return found
    return None


def options_of(callbacks: Any) -> Options | None:
    """The options with which one of *callbacks* was marked; ``None`` when none of them is ours."""
    for callback in as_list(callbacks):
        options = getattr(callback, "autoremed_options", None)
        if isinstance(options, Options):
            return options
    return None


def with_mark(callbacks: Any, options: Options) -> list[Any]:
    """*callbacks* and the mark, in place of an earlier one."""
    return [*(each for each in as_list(callbacks) if options_of(each) is None), marked_with(options)]


def as_list(callbacks: Any) -> list[Any]:
    """Callbacks in any form that Airflow takes, as a list."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple | set) else [callbacks]
