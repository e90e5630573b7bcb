"""Never make it worse: whatever goes wrong inside us ends in one warning, and the task continues without us."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from airflow_autoremed.errors import SettingsError

log = logging.getLogger("airflow_autoremed")


class _OneLine(logging.Filter):
    """What we log may quote a job's output, a row of the store or a rule: it forges no further line and steers no
    terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if not text.isprintable():
            record.msg = "".join(c if c.isprintable() else _in_place_of(c) for c in text)
            record.args = ()
        return True


def _in_place_of(character: str) -> str:
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


log.addFilter(_OneLine())

_SAID: set[str] = set()

P = ParamSpec("P")
R = TypeVar("R")


def never_worse(doing: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Decorate an entry point: an exception inside it is logged as one warning, and ``None`` is returned.

    :param doing: what the entry point does, as it reads after "while": ``preparing the attempt``.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - any fault of ours must end here
                warn(doing, error)
                return None

        return guarded

    return decorate


def warn(doing: str, error: BaseException) -> None:
    """The one warning about a fault of ours; its traceback is logged on level DEBUG.

    A setting that cannot be used is said once a process, not once for each of its tasks.
    """
    if isinstance(error, SettingsError):
        if str(error) in _SAID:
            return
        _SAID.add(str(error))
    log.warning(
        "[autoremed] airflow-autoremed failed while %s (%s: %s). The task continues without it.",
        doing,
        type(error).__name__,
        _one_line(error),
    )
    log.debug("[autoremed] The traceback of the fault above", exc_info=error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500].rstrip(".")
