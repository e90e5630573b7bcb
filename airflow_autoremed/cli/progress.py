"""A progress bar for work that turns out to be long: in a terminal only, and not before it is worth its line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

PATIENCE_S = 0.4
"""Seconds of work after which a bar appears: what is done by then needs none, and none flickers."""


class Bar:
    """Shows how far some work is. In a pipe it shows nothing.

    :param out: where the results are printed. In a terminal they are printed above the bar, so both go through this
        console; else the bar is shown on standard error, where that is a terminal.
    :param total: of what :meth:`advance` adds up; 0: not known.
    """

    def __init__(self, out: Console, what: str, total: float) -> None:
        self._console = out if out.is_terminal else Console(stderr=True)
        self._what, self._total = what, total
        self._done = 0.0
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, amount: float) -> None:
        """So much more is done."""
        self._done += amount
        if not self._console.is_terminal:
            return
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done)
        elif time.monotonic() - self._began >= PATIENCE_S:
            self._show()

    def reach(self, done: float, total: float = 0, part: str = "") -> None:
        """*done* of *total* (0: not known) are done by now, of that *part* of the work."""
        self._total = total or self._total
        self.advance(done - self._done)
        if self._progress is not None and self._task is not None:
            what = f"{self._what} {part}".strip()
            self._progress.update(self._task, total=self._total or None, description=what)

    def _show(self) -> None:
        from rich.progress import Progress

        # What is printed to a file must stay out of the terminal, so only what goes there anyway is led past the bar.
        self._progress = Progress(
            console=self._console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        self._task = self._progress.add_task(self._what, total=self._total or None, completed=int(self._done))
        self._progress.start()


def tracked(items: Sequence[T], what: str, out: Console | None = None) -> Iterator[T]:
    """*items*, with a bar that tells how many of them are done."""
    with Bar(out or Console(stderr=True), what, len(items)) as bar:
        for item in items:
            yield item
            bar.advance(1)
