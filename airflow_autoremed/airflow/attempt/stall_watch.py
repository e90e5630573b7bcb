"""Ends an attempt that only waits, through the operator's own kill path.

A thread looks at the detector every few seconds. It exists only where ``stall_timeout`` is set, ends when the
attempt ends, and whatever goes wrong in it is one warning: the task goes on waiting as it would without us.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.failures.stalls import Stall, StallDetector, describe
from airflow_autoremed.platforms import Platform
from airflow_autoremed.types import Conf

log = logging.getLogger("airflow_autoremed")

_MOST_S_BETWEEN = 5.0
_LEAST_S_BETWEEN = 0.2
_KILL_S = 60.0
"""How long :meth:`StallWatch.stop` waits for a kill under way: the operator may still have a pod to delete."""

Kill = Callable[[Callable[[], None]], bool]
"""Ends the attempt if it still runs and says whether it did; calls its argument right before."""


class StallWatch:
    """Watches one attempt; ends it at most once."""

    def __init__(
        self,
        detector: StallDetector,
        timeout_s: float,
        kill: Kill | None,
        on_stall: Callable[[str], None],
        *,
        conf: Conf | None = None,
        largest_container: int | None = None,
    ) -> None:
        """:param detector: is fed with the lines of the attempt by somebody else.
        :param timeout_s: seconds of waiting without progress after which the attempt is ended.
        :param kill: ends it; ``None``: say what would be done, and do nothing (mode ``shadow``).
        :param on_stall: gets the line that names the cause, before the attempt is ended; for the log tap.
        :param conf: what the attempt runs with, to say what in it is the likely cause.
        :param largest_container: the largest container that the cluster grants, in bytes.
        """
        self._detector = detector
        self._timeout_s = timeout_s
        self._kill = kill
        self._on_stall = on_stall
        self._conf = conf
        self._largest_container = largest_container
        self._between_s = min(_MOST_S_BETWEEN, max(_LEAST_S_BETWEEN, timeout_s / 10))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoremed-stall-watch", daemon=True)
        self.stall: Stall | None = None
        """What the attempt was ended for (or would have been, without *kill*)."""

    def start(self) -> None:
        """Begin to watch. Never raises."""
        try:
            self._thread.start()
        except RuntimeError as error:  # started twice, or no thread to be had
            warn("starting to watch for a stall", error)

    def stop(self) -> None:
        """The attempt has ended: end the thread, after a kill that is under way. Never raises; again does nothing."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_KILL_S)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._between_s):
                stall = self._detector.stall()
                if stall is not None and stall.waited_s >= self._timeout_s:
                    self._end(stall)
                    return
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the task
            warn("watching for a stall", error)

    def _end(self, stall: Stall) -> None:
        shadow = self._kill is None
        line = describe(stall, self._timeout_s, self._conf, self._largest_container, shadow=shadow)
        if self._kill is None:
            self.stall = stall
            log.warning("%s", line)
            return

        def announce() -> None:
            self.stall = stall
            for seen in stall.lines:
                log.warning("[autoremed]   %s", seen)
            log.warning("%s", line)
            self._on_stall(line)

        if not self._kill(announce):
            log.info("[autoremed] The application looks stalled, but there is no local process to stop.")


def watched(
    platform: Platform,
    operator: Any,
    write: Callable[[str], None],
    timeout_s: float,
    *,
    act: bool,
    conf: Conf,
    largest_container: int | None,
) -> tuple[StallWatch, Callable[[str], None]]:
    """A watch on the coming run of *operator*, not yet started, and what to tap the run with instead of *write*.

    :param act: whether a stalled run is ended; else a warning says that it would be.
    """
    detector = StallDetector()

    def write_both(line: str) -> None:
        write(line)
        detector.write(line)

    kill = partial(platform.kill, operator) if act else None
    watch = StallWatch(detector, timeout_s, kill, write, conf=conf, largest_container=largest_container)
    return watch, write_both
