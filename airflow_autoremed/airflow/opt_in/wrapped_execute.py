"""For Airflow before 3.3, which has no retry policies: the same decision through the wrapped ``execute``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from airflow_autoremed.airflow.opt_in.lazy_lifecycle import lifecycle
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.platforms.base import own_method, replace_method
from airflow_autoremed.types import Action


def wrap_execute(task: Any, options: Options) -> None:
    """Wrap ``execute`` and ``resume_execution`` of a task that is about to run, once."""
    for name in ("execute", "resume_execution"):
        method = own_method(task, name)
        if method is not None and not hasattr(method, "autoremed_operator"):
            replace_method(task, name, _wrapped(task, method, options))


def _wrapped(task: Any, method: Callable[..., Any], options: Options) -> Callable[..., Any]:
    from airflow_autoremed.airflow.compat import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:  # Airflow 2 passes a sentinel along in kwargs
        try:
            return method(*args, **kwargs)
        except (AirflowFailException, AirflowSkipException):
            raise
        except (Exception, AirflowTaskTimeout) as error:
            context = _context(args, kwargs)
            if context is None or type(error).__name__ == "AirflowRescheduleException":
                raise
            decision = lifecycle.after_failure(
                context, error, options, retries_left=lifecycle.retries_left(context["ti"])
            )
            if decision is not None and decision.action is Action.STOP:
                from airflow_autoremed.remediation import reasons

                raise AirflowFailException(reasons.text(decision)) from error
            raise

    return run


def _context(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for value in (kwargs.get("context"), *args):
        if isinstance(value, Mapping) or hasattr(value, "keys"):
            return value
    return None
