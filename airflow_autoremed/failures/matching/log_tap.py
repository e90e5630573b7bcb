"""Listening to spark-submit while it runs, at next to no cost as long as nothing goes wrong."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from airflow_autoremed.types import UNKNOWN, Classification, Restartable, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.matching.matcher import LogMatcher
    from airflow_autoremed.failures.rules.catalogue import Catalogue

log = logging.getLogger("airflow_autoremed")

_HELD = 1024 * 1024
"""Characters that are held back: what is done with a line waits for this many, or for the verdict."""
_LONGEST_KEPT = 2000
"""Characters of a line that the excerpt keeps."""
_BEFORE_MASKING = _LONGEST_KEPT + 1000
"""Characters that are kept until secrets are masked: one that is cut in two would no longer look like one."""
_HEAD = 50
_TAIL = 200
"""Lines that the excerpt keeps of the beginning and of the end."""


class LogTap:
    """Takes every line of spark-submit's output, and says afterwards what they show.

    For one writer and one reader. Nothing that goes wrong in here reaches the caller: after a fault the tap takes
    lines and forgets them, and the verdict is ``unknown``.
    """

    def __init__(self, load: Callable[[], Catalogue]) -> None:
        """:param load: makes the catalogue; called once, when there is enough to look at or a verdict is asked for."""
        self._load = load
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._held_size = 0
        self._matcher: LogMatcher | None = None
        self._broken = False
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._lines = 0
        self._verdict: Classification | None = None

    def write(self, line: str) -> None:
        """Take one line, with or without its line end. Never raises."""
        try:
            with self._lock:
                self._held.append(line)
                self._held_size += len(line) + 1
                if self._held_size >= _HELD:
                    self._pass_on()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the task
            self._give_up(error)

    def classify(self, more: Iterable[tuple[Source, str | Iterable[str]]] = ()) -> Classification:
        """The verdict on all lines so far and on further texts. Never raises.

        :param more: exception text, platform diagnostics, executor logs, each with where it comes from.
        """
        try:
            with self._lock:
                return self._classify(more)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the task
            self._give_up(error)
            return Classification(UNKNOWN, None, Restartable.AS_IS, memory_configuration=False)

    def excerpt(self) -> str:
        """The first and last lines and those that decided, without secrets. Never raises."""
        try:
            with self._lock:
                return self._excerpt()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the task
            self._give_up(error)
            return ""

    def _pass_on(self) -> None:
        """Keep the ends of what is held, and hand it to the matcher; the first time this loads the catalogue."""
        held, self._held, self._held_size = self._held, [], 0
        self._lines += len(held)
        head = held[: _HEAD - len(self._head)]
        self._head += [line[:_BEFORE_MASKING] for line in head]
        self._tail.extend(line[:_BEFORE_MASKING] for line in held[len(head) :][-_TAIL:])
        if self._broken:
            return
        if self._matcher is None:
            from airflow_autoremed.failures.matching.matcher import LogMatcher

            catalogue = self._load()
            for warning in catalogue.warnings:
                log.warning("[autoremed] %s", warning)
            self._matcher = LogMatcher(catalogue)
        self._matcher.feed(held, Source.DRIVER_LOG)

    def _classify(self, more: Iterable[tuple[Source, str | Iterable[str]]]) -> Classification:
        self._pass_on()
        matcher = self._matcher
        if matcher is None or self._broken:
            return Classification(UNKNOWN, None, Restartable.AS_IS, memory_configuration=False)
        for source, text in more:
            matcher.end_text()
            matcher.feed(text, source)
        self._verdict = matcher.classification()
        return self._verdict

    def _excerpt(self) -> str:
        from airflow_autoremed.redaction import mask_secrets

        try:
            self._pass_on()
        except Exception as error:  # noqa: BLE001 - the ends are kept already
            self._give_up(error)
        parts = [*self._head]
        left_out = self._lines - len(self._head) - len(self._tail)
        if left_out > 0:
            parts.append(f"[... {left_out} lines left out ...]")
            decided = self._verdict.lines if self._verdict is not None else ()
            inside = range(len(self._head) + 1, len(self._head) + left_out + 1)
            parts.extend(
                f"[line {line.number}] {line.text}"
                for line in decided
                if line.source is Source.DRIVER_LOG and line.number in inside
            )
        parts.extend(self._tail)
        masked = mask_secrets("\n".join(part.rstrip("\r\n") for part in parts))
        return "\n".join(line[:_LONGEST_KEPT] for line in masked.split("\n"))

    def _give_up(self, error: Exception) -> None:
        self._held, self._held_size, self._matcher = [], 0, None
        if not self._broken:
            self._broken = True
            log.warning(
                "[autoremed] This task's log could not be analysed; the failure is unclassified: %r", error
            )
