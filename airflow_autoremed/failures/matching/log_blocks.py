"""A stream of bytes as blocks of whole lines, a line without end as pieces that overlap, and the lines around a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_autoremed.failures.rules.pattern_literals import LONGEST_WINDOW
from airflow_autoremed.failures.rules.rule import Condition

BLOCK = 120 * 1024
"""Bytes that are looked at together: few enough to stay in the processor's cache, and below the 128 KiB from which
on glibc fetches memory from the system, and gives it back, for each (measured: 9 against 23 ms per 100 MB)."""
LONGEST_PIECE = 1024 * 1024
"""A line that is longer is looked at in pieces of this many bytes."""
OVERLAP = 2 * LONGEST_WINDOW
"""Bytes that a piece shares with the next: enough for either to see all that a pattern may see around a place."""
_MOST_CHUNKS = 4096
"""Chunks that are held before they are joined: small ones take many times their length."""
AROUND = 30
"""Lines before and after a line that conditions look at."""
LONGEST_CONTEXT = 2000
"""Bytes of a neighbouring line that a condition is run on."""

Line = tuple[int, int]
"""Start and end of a line in its block."""
Hit = tuple[int, int]
"""Start and end of a literal in its block."""


@dataclass(frozen=True)
class Piece:
    """Bytes to be looked at: whole lines, or a part of a very long one."""

    data: bytes
    continued: bool = False
    """Its first line began before it; the first :data:`OVERLAP` bytes have been seen."""
    cut: bool = False
    """It is one line, or the rest of one, that goes on; the last :data:`OVERLAP` bytes will be seen again."""


class Cutter:
    """Makes pieces of data that comes in chunks of any size. However it is cut, the same lines come out."""

    def __init__(self, look: Callable[[Piece], None]) -> None:
        """:param look: called with every piece, in order."""
        self._look = look
        self._held: list[bytes] = []
        self._size = 0
        self._continued = False

    def add(self, data: bytes) -> None:
        """Take the next bytes; at most :data:`LONGEST_PIECE` and a block are held back."""
        if len(data) <= BLOCK:
            self._add(data)
        else:  # copy no more than a part of it at a time
            for start in range(0, len(data), BLOCK):
                self._add(data[start : start + BLOCK])

    def end(self) -> None:
        """The stream is complete."""
        if self._size:
            self._give(b"".join(self._held))
        self._held, self._size = [], 0

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        end = data.rfind(b"\n") + 1 if self._size >= BLOCK else 0
        if not end:
            self._held.append(data)
            if len(self._held) > _MOST_CHUNKS:
                self._held = [b"".join(self._held)]
            if self._size >= BLOCK and self._size > LONGEST_PIECE:
                self._cut()
            return
        whole = b"".join([*self._held, memoryview(data)[:end]])
        self._held, self._size = [data[end:]], len(data) - end
        self._give(whole)

    def _cut(self) -> None:
        """What is held is too long to wait for the end of its last line."""
        held = b"".join(self._held)
        end = held.rfind(b"\n") + 1
        if end:
            self._give(held[:end])
            held = held[end:]
        while len(held) > LONGEST_PIECE:
            self._give(held[:LONGEST_PIECE], cut=True)
            held = held[LONGEST_PIECE - OVERLAP :]
        self._held, self._size = [held], len(held)

    def _give(self, data: bytes, cut: bool = False) -> None:
        piece = Piece(data, self._continued, cut)
        self._continued = cut
        self._look(piece)


class Lines:
    """The lines that came before a block, as far as a condition may look at them."""

    def __init__(self) -> None:
        self.number = 0
        """Line ends seen so far."""
        self._last = b""
        self._head = b""
        """The beginning of the line that is being read in pieces."""

    def before(self, data: bytes, line_start: int, continued: bool) -> bytes:
        """The lines before the line at ``line_start`` of a block, :data:`AROUND` at least where there are as many."""
        start, count = _back(data, line_start, AROUND)
        region = data[start:line_start]
        if start == 0 and line_start > 0 and continued:
            end = region.find(b"\n")
            region = self._head + (region[end:] if end >= 0 else b"")
        if count < AROUND:
            region = self._last[_back(self._last, len(self._last), AROUND - count)[0] :] + region
        return region

    def kept(self) -> Lines:
        """What came before, for later."""
        kept = Lines()
        kept.number, kept._last, kept._head = self.number, self._last, self._head
        return kept

    def last(self) -> bytes:
        """The end of the last line that was seen, without its line end; empty: none."""
        end = len(self._last) - self._last.endswith(b"\n")
        return self._last[self._last.rfind(b"\n", 0, end) + 1 : end]

    def remember(self, data: bytes, line_ends: int, continued: bool, cut: bool) -> None:
        """The block ``data`` has been looked at.

        :param line_ends: how many line ends of the log it has.
        """
        self.number += line_ends
        if cut:
            self._head = self._head if continued else data[:LONGEST_CONTEXT]
        elif line_ends > AROUND:
            self._last = data
        else:
            lines = self.before(data, len(data), continued).split(b"\n")[:-1]
            self._last = b"".join(line[:LONGEST_CONTEXT] + b"\n" for line in lines)


class Block:
    """A cleaned piece with its lines found on demand."""

    def __init__(
        self,
        data: bytes,
        lines: Lines,
        origins: list[int] | None = None,
        continued: bool = False,
        cut: bool = False,
    ) -> None:
        """:param lines: what came before.
        :param origins: per line of ``data`` the line of the log that it comes from; ``None``: the same.
        """
        self.data = data
        self.moved = origins is not None
        """Some lines stand for the same line of the log."""
        self._lines = lines
        self._origins = origins
        self._continued = continued
        self._cut = cut
        self._counted_to = 0
        self._counted = 0
        self._window = ("", 0)
        self._window_of = (-1, -1, -1)
        self._before: Before | None = None
        self._before_of = 0
        self._after: After | None = None
        self._after_of = 0

    def kept(self) -> Block:
        """The same for later, when the lines before it have moved on."""
        return Block(self.data, self._lines.kept(), self._origins, self._continued, self._cut)

    def line_at(self, position: int) -> Line:
        """Start and end of the line at ``position``."""
        start = self.data.rfind(b"\n", 0, position) + 1
        end = self.data.find(b"\n", position)
        return start, len(self.data) if end < 0 else end

    def number(self, line_start: int) -> int:
        """1-based number of the line in its text."""
        if line_start < self._counted_to:
            self._counted -= self.data.count(b"\n", line_start, self._counted_to)
        else:
            self._counted += self.data.count(b"\n", self._counted_to, line_start)
        self._counted_to = line_start
        within = self._counted
        if self._origins is not None:
            within = self._origins[min(within, len(self._origins) - 1)]
        return self._lines.number + within + 1

    def line_ends(self) -> int:
        """How many line ends of the log it has; continues the count that the last :meth:`number` left off."""
        if self._origins is not None:
            return self._origins[-1]
        return self._counted + self.data.count(b"\n", self._counted_to)

    def window(self, line: Line, hit: Hit, width: int) -> tuple[str, int]:
        """The line, or a piece of it around the hit, and where in it a search begins.

        A piece that does not begin where the line begins gets one character more in front, so that ``^`` does
        not match at its edge; likewise at its end for ``$``.
        """
        (line_start, line_end), (start, end) = line, hit
        low, high = line_start, line_end
        if line_end - line_start > width:
            room = max(0, width - (end - start)) // 2
            low = max(line_start, start - room)
            high = min(line_end, end + room)
        if self._window_of != (low, high, line_end):
            self._window, self._window_of = (
                self._decoded(low, high, line_start, line_end),
                (low, high, line_end),
            )
        return self._window

    def _decoded(self, low: int, high: int, line_start: int, line_end: int) -> tuple[str, int]:
        more = "\u2026" if high < line_end or (self._cut and high == len(self.data)) else ""
        if not more and high > low and self.data[high - 1] == 13:
            high -= 1
        text = self.data[low:high].decode("utf-8", "replace") + more
        if low == line_start and not (low == 0 and self._continued):
            return text, 0
        return "\u2026" + text, 1

    def line_before(self, line_start: int) -> str:
        """The line above the one at ``line_start``; empty: none."""
        if line_start > 0:
            end = line_start - 1
            return _short(self.data[self.data.rfind(b"\n", 0, end) + 1 : end])
        return _short(self._lines.last())

    def before(self, line_start: int) -> Before:
        """The lines before the line at ``line_start``."""
        if self._before is None or self._before_of != line_start:
            region = self._lines.before(self.data, line_start, self._continued)
            self._before, self._before_of = Before(region), line_start
        return self._before

    def after(self, line_end: int) -> After:
        """The lines after the line that ends at ``line_end``; -1: the first lines of the block."""
        if self._after is None or self._after_of != line_end:
            self._after, self._after_of = After(self.data, line_end + 1), line_end
        return self._after

    def first_lines(self) -> After | None:
        """The lines that come after the block before; ``None``: there are none, the last line still goes on."""
        if not self._continued:
            return self.after(-1)
        end = self.data.find(b"\n")
        return None if end < 0 else self.after(end)


class Before:
    """The lines before a line; taken apart only when one of them may meet a condition."""

    def __init__(self, region: bytes) -> None:
        self._region = region

    def find(self, condition: Condition) -> tuple[int, str] | None:
        """How many lines before the nearest line that meets ``condition`` is, and that line."""
        if not condition.can_hold(self._region):
            return None
        lines = self._region.removesuffix(b"\n").split(b"\n") if self._region else []
        for distance, line in enumerate(reversed(lines), start=1):
            text = _short(line)
            if condition.regex.search(text):
                return distance, text
        return None


class After:
    """The lines after a line, as far as the block has them."""

    def __init__(self, data: bytes, start: int) -> None:
        end = start
        self.count = 0
        while end < len(data) and self.count < AROUND:
            following = data.find(b"\n", end) + 1
            end = following or len(data)
            self.count += 1
        self._region = data[start:end]

    def find(self, condition: Condition, lines: int) -> bool:
        """Whether one of the first ``lines`` lines meets ``condition``."""
        if not condition.can_hold(self._region):
            return False
        texts = (_short(line) for line in self._region.split(b"\n")[:lines])
        return any(map(condition.regex.search, texts))


def _back(data: bytes, end: int, count: int) -> tuple[int, int]:
    """Where the last ``count`` lines before ``end`` begin, and how many there are."""
    if end > 0 and data[end - 1] != 10:  # the end of a piece of a long line
        end, lines = data.rfind(b"\n", 0, end) + 1, 1
    else:
        lines = 0
    while end > 0 and lines < count:
        end = data.rfind(b"\n", 0, end - 1) + 1
        lines += 1
    return end, lines


def _short(line: bytes) -> str:
    return line[:LONGEST_CONTEXT].decode("utf-8", "replace").rstrip("\r")
