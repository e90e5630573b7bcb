"""Rows as others may have written them: one that cannot be read costs itself, never the list that it is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T")

log = logging.getLogger("airflow_autoremed")


def readable(rows: Iterable[R], read: Callable[[R], T]) -> Iterator[T]:
    """What *read* makes of each of *rows*; those of which it can make nothing are left out, and counted in one line."""
    left_out, why = 0, ""
    for row in rows:
        try:
            found = read(row)
        except Exception as error:  # noqa: BLE001 - whatever stands there
            left_out += 1
            why = why or str(error) or type(error).__name__
            continue
        yield found
    if left_out:
        log.warning(
            "[autoremed] %d of the store's rows cannot be read and were left out; the first one: %s",
            left_out,
            why[:300],
        )
