"""Running something that may hang, without hanging with it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from airflow_autoremed.errors import OverrunError

T = TypeVar("T")


class _Result(Generic[T]):
    value: T
    error: BaseException | None = None


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of *work*, or its error, within *seconds*.

    The thread is a daemon: an interpreter that ends does not wait for a database that hangs. (The threads of
    ``concurrent.futures`` are waited for at exit even when they are daemons.)

    :raises OverrunError: when *work* takes longer.
    """
    result: _Result[T] = _Result()

    def run() -> None:
        try:
            result.value = work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
            result.error = error

    context = contextvars.copy_context()  # loggers may keep in it whose log is written
    thread = threading.Thread(target=context.run, args=(run,), name="autoremed", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise OverrunError(thread)
    if result.error is not None:
        raise result.error
    return result.value
