"""Where we stand in an attempt: around the operator's ``execute`` (and ``resume_execution``, after a deferral).

Airflow takes ``task.execute`` after its listeners have run and calls it when ``pre_execute`` and every callback are
done. So what is wrapped in the listener sees the task as its author left it, on every version of Airflow; it logs
outside the collapsed groups of the task's log; and it can end an attempt before it runs.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_autoremed.airflow.attempt import lifecycle
from airflow_autoremed.airflow.compat import (
    HAS_RETRY_POLICY,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.platforms.base import own_method, replace_method
from airflow_autoremed.types import Action, Decision


def wrap(task: Any, options: Options) -> None:
    """Wrap what *task*, which is about to run, is executed and killed with. Doing it again changes nothing."""
    for name in ("execute", "resume_execution"):
        method = own_method(task, name)
        if method is not None and not hasattr(method, "autoremed_operator"):
            replace_method(task, name, _wrapped(task, method, options, resumes=name == "resume_execution"))
    kill = own_method(task, "on_kill")
    if kill is not None and not hasattr(kill, "autoremed_operator"):
        replace_method(task, "on_kill", _noting_kill(task, kill))


def _wrapped(task: Any, method: Callable[..., Any], options: Options, *, resumes: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:  # Airflow 2 passes a sentinel along in kwargs
        context = _context(args, kwargs)
        if context is None or lifecycle.is_executing(task):  # resumed with next_method="execute"
            return method(*args, **kwargs)
        with _alarm_standing_still(task):
            doomed = lifecycle.before_execute(context, options, resumes=resumes)
        if doomed is not None:
            raise AirflowFailException(doomed)
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            _stop_alarm(task)
            decision = _ended(context, error, options)
            if decision is None or HAS_RETRY_POLICY or decision.action is not Action.STOP:
                raise
            from airflow_autoremed.remediation import reasons

            raise AirflowFailException(reasons.text(decision)) from error
        _stop_alarm(task)
        lifecycle.after_success(context)
        return result

    return run


def _ended(context: Mapping[str, Any], error: BaseException, options: Options) -> Decision | None:
    if isinstance(error, TaskDeferred):
        lifecycle.deferred(context)
    elif isinstance(error, AirflowRescheduleException):
        pass  # the same attempt begins anew
    elif isinstance(error, AirflowSkipException) or _is_termination(error):
        lifecycle.interrupted(context)
    else:
        return lifecycle.after_failure(context, error)
    return None


def _is_termination(error: BaseException) -> bool:
    """Whether *error* is how Airflow, or a signal, ends an attempt from outside."""
    return type(error).__name__ == "AirflowTaskTerminated" or isinstance(
        error, KeyboardInterrupt | GeneratorExit
    )


def _noting_kill(task: Any, kill: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(kill)
    def on_kill(*args: Any, **kwargs: Any) -> Any:
        lifecycle.killed(task)
        return kill(*args, **kwargs)

    return on_kill


@contextmanager
def _alarm_standing_still(task: Any) -> Iterator[None]:
    """What we take before the operator begins, a store that does not answer for example, does not count towards the
    task's ``execution_timeout``."""
    if not _has_alarm(task):
        yield
        return
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left_s)


def _stop_alarm(task: Any) -> None:
    """What follows is ours, and not to be cut off by the task's ``execution_timeout``: the operator has ended.

    (Airflow stops the alarm in the same way, right after ``execute``.)
    """
    if _has_alarm(task):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _has_alarm(task: Any) -> bool:
    return bool(getattr(task, "execution_timeout", None)) and (
        threading.current_thread() is threading.main_thread()
    )


def _context(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for value in (kwargs.get("context"), *args):
        if isinstance(value, Mapping) or hasattr(value, "keys"):
            return value
    return None
