"""One pass over a log: literals first, patterns on the lines that have one, conditions on the lines around."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_autoremed.failures.cleaning import clean, spread_json
from airflow_autoremed.failures.deciding import Found, decide
from airflow_autoremed.failures.engines import LARGE, fastest_engine
from airflow_autoremed.failures.masking import mask_secrets
from airflow_autoremed.failures.quantities import parse_quantity
from airflow_autoremed.failures.rules import Condition, Rule
from airflow_autoremed.failures.signs import Sign, SignKind
from airflow_autoremed.types import Classification, EvidenceLine, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.loading import Catalogue

_Line = tuple[int, int]
"""Start and end of a line in its block."""
_Hit = tuple[int, int]
"""Start and end of a literal in its block."""

BLOCK = 256 * 1024
"""Bytes that are looked at together."""
AROUND = 30
"""Lines before and after a line that conditions look at."""
_LONGEST_PIECE = 1024 * 1024
"""A line that is longer is looked at in pieces of this many bytes."""
_OVERLAP = 1024
"""Bytes that a piece shares with the next, so that no literal is cut in two."""
_ENOUGH_BEFORE = 64 * 1024
"""Bytes of the blocks before that are kept at least; 30 lines of 2 KiB."""
_LONGEST_CONTEXT = 2000
"""Bytes of a neighbouring line that a condition is run on."""
_LONGEST_EVIDENCE = 2000
_MOST_MATCHES = 64
"""Matches of one rule that are looked at for sizes; more change nothing."""
_MOST_TRIES_PER_LINE = 16
_MOST_PENDING = 8
_PATIENCE_S = 2.0
"""A rule that has spent this long on lines that it did not match is left out for the rest of the log."""


_LEVEL = Condition(re.compile(r"\b(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|SEVERE|Normal|Warning)\b"), ())
"""The level of a log line: a message without one in sight was not written by a logger that may go on."""


@dataclass
class _Pending:
    """A match that waits for one of the lines after it."""

    rule: int
    found: Found
    lines_left: int


@dataclass
class _Text:
    """The text that is being read: one source from its beginning to its end."""

    source: Source | None
    buffer: list[bytes] = field(default_factory=list)
    buffered: int = 0
    lines: int = 0
    """Line ends seen so far."""
    before: bytes = b""
    """The end of the blocks before, for the lines before a line."""
    pending: list[_Pending] = field(default_factory=list)


class LogMatcher:
    """Reads texts block by block and tells at the end what they show. Memory does not grow with the log."""

    def __init__(self, catalogue: Catalogue, engine: str | None = None, assume_failed: bool = False) -> None:
        """
        :param engine: one of :data:`~airflow_autoremed.failures.engines.ENGINES`; default: the one that is ready
            soonest, and the fastest installed once the log turns out to be large. All find the same.
        :param assume_failed: the application is known to have failed, whatever the log says.
        """
        self._catalogue = catalogue
        self._index = catalogue.index(engine)
        self._may_change_engine = engine is None
        self._seen = 0
        self._found: dict[int, Found] = {}
        self._spent: dict[int, float] = {}
        self._signs: dict[SignKind, tuple[int, int]] = {}
        if assume_failed:
            self._signs[SignKind.FAILED] = (1 << 30, 0)
        self._text_number = 0
        self._text: _Text | None = None
        self._left_out: set[int] = set()

    # ------------------------------------------------------------------------------------------------ reading

    def feed(self, lines_or_block: str | bytes | Iterable[str], source: Source | None = None) -> None:
        """Read more of a text. A change of ``source`` begins a new one.

        :param lines_or_block: a block that may begin and end anywhere, or lines (with or without line ends).
        :param source: where the text comes from; ``None``: not known, as for a file on the command line.
        """
        if self._text is None or self._text.source != source:
            self.end_text()
            self._text = _Text(source)
        if isinstance(lines_or_block, str):
            self._add(lines_or_block.encode("utf-8", "replace"))
        elif isinstance(lines_or_block, bytes):
            self._add(lines_or_block)
        else:
            for line in lines_or_block:
                self._add((line if line.endswith("\n") else line + "\n").encode("utf-8", "replace"))

    def end_text(self) -> None:
        """The text is complete: look at its last line, and begin a new one with what is fed next."""
        text = self._text
        if text is None:
            return
        rest = b"".join(text.buffer)
        if rest:
            self._look(text, rest)
        self._text = None
        self._text_number += 1

    def classification(self) -> Classification:
        """The verdict on everything that was fed."""
        self.end_text()
        return decide(self._catalogue.rules, self._found, self._signs)

    def matched(self) -> tuple[str, ...]:
        """Ids of all rules that matched, before the verdict."""
        self.end_text()
        return tuple(self._catalogue.rules[index].id for index in sorted(self._found))

    def _add(self, data: bytes) -> None:
        if len(data) > BLOCK:  # one huge line or block: copy no more than a part of it at a time
            for start in range(0, len(data), BLOCK):
                self._add(data[start : start + BLOCK])
            return
        text = self._text
        assert text is not None
        text.buffer.append(data)
        text.buffered += len(data)
        if text.buffered < BLOCK:
            return
        joined = text.buffer[0] if len(text.buffer) == 1 else b"".join(text.buffer)
        end = joined.rfind(b"\n") + 1
        if end:
            self._look(text, joined[:end])
            joined = joined[end:]
        while len(joined) >= _LONGEST_PIECE:
            self._look(text, joined[:_LONGEST_PIECE])
            joined = joined[_LONGEST_PIECE - _OVERLAP :]
        text.buffer = [joined] if joined else []
        text.buffered = len(joined)

    # ----------------------------------------------------------------------------------------------- matching

    def _look(self, text: _Text, block: bytes) -> None:
        """Search one block: whole lines, or a piece of a very long one."""
        self._seen += len(block)
        if self._may_change_engine and self._seen >= LARGE:
            self._index, self._may_change_engine = self._catalogue.index(fastest_engine()), False
        block = clean(block)
        origins: list[int] | None = None
        spread = spread_json(block)
        line_ends = -1
        if spread is not None:
            line_ends = block.count(b"\n")
            block, origins = spread
        view = _Block(block, text, origins)
        if text.pending:
            self._settle(text, view)
        self._search(text, view)
        text.lines += line_ends if line_ends >= 0 else view.line_ends()
        text.before = block if len(block) >= _ENOUGH_BEFORE else (text.before + block)[-2 * _ENOUGH_BEFORE :]

    def _search(self, text: _Text, view: _Block) -> None:
        index = self._index
        tried: set[int] = set()
        tries: dict[int, int] = {}
        line = (0, -1)
        for literal, start, end in index.find(view.data):
            if start >= line[1]:
                line = view.line_at(start)
                tried.clear()
                tries.clear()
            for target in index.targets[literal]:
                if target in tried:
                    continue
                if target >= index.signs_from:
                    tried.add(target)
                    self._note(view, index.signs[target - index.signs_from], line, start)
                    continue
                found = self._found.get(target)
                if found is not None and found.count >= _MOST_MATCHES:
                    tried.add(target)  # nothing new but that it goes on
                    found.last = (self._text_number, view.number(line[0]))
                    continue
                rule = self._catalogue.rules[target]
                if target in self._left_out or (rule.source and not _allowed(rule.source, text.source)):
                    tried.add(target)
                    continue
                tries[target] = tries.get(target, 0) + 1
                if line[1] - line[0] <= rule.window or tries[target] >= _MOST_TRIES_PER_LINE:
                    tried.add(target)  # no other place in the line can say anything else, or enough is enough
                if self._confirm(text, view, target, rule, line, (start, end)):
                    tried.add(target)

    def _confirm(self, text: _Text, view: _Block, target: int, rule: Rule, line: _Line, hit: _Hit) -> bool:
        """Run the pattern and the conditions of ``rule`` on a line that has one of its literals."""
        began = time.perf_counter()
        piece, position = view.window(line, hit, rule.window)
        match = rule.regex.search(piece, position)
        if match is not None and rule.unless_regex is not None and rule.unless_regex.search(piece, position):
            match = None
        near: tuple[int, str] | None = None
        if (
            match is not None
            and rule.not_preceded is not None
            and view.before(line[0]).find(rule.not_preceded)
        ):
            match = None
        if match is not None and rule.preceded is not None:
            near = view.before(line[0]).find(rule.preceded)
            match = None if near is None else match
        if match is None:
            self._charge(target, time.perf_counter() - began)
            return False
        known = self._found.get(target)
        number = view.number(line[0])
        if known is not None:
            found = Found((), {}, (self._text_number, number))
        else:
            evidence = [_evidence(piece, position, match.start(), match.end(), number, text.source)]
            if near is not None:
                distance, other = near
                evidence.append(_evidence(other, 0, 0, 0, max(1, number - distance), text.source))
            found = Found(tuple(evidence), {}, (self._text_number, number))
        if rule.only_if_failed:
            found.bare = not _LEVEL.regex.search(piece) and view.before(line[0]).find(_LEVEL) is None
        if rule.sizes:
            found.sizes = _sizes(rule, match)
        if rule.followed is None:
            self._keep(target, found)
            return True
        after = view.after(line[1])
        if after.find(rule.followed, AROUND):
            self._keep(target, found)
            return True
        left = AROUND - after.count
        if left > 0 and sum(waiting.rule == target for waiting in text.pending) < _MOST_PENDING:
            text.pending.append(_Pending(target, found, left))
        return False

    def _settle(self, text: _Text, view: _Block) -> None:
        """Look at the first lines of a block for the matches of the block before that wait for them."""
        first = view.after(-1)
        still = []
        for waiting in text.pending:
            followed = self._catalogue.rules[waiting.rule].followed
            assert followed is not None
            if first.find(followed, waiting.lines_left):
                self._keep(waiting.rule, waiting.found)
            elif waiting.lines_left > first.count:
                still.append(_Pending(waiting.rule, waiting.found, waiting.lines_left - first.count))
        text.pending = still

    def _keep(self, target: int, found: Found) -> None:
        known = self._found.get(target)
        self._found[target] = found if known is None else known.joined(found)

    def _note(self, view: _Block, sign: Sign, line: _Line, start: int) -> None:
        piece, position = view.window(line, (start, start), _LONGEST_CONTEXT)
        if sign.regex.search(piece, position):
            where = (self._text_number, view.number(line[0]))
            self._signs[sign.kind] = max(self._signs.get(sign.kind, where), where)

    def _charge(self, target: int, seconds: float) -> None:
        """A safety net under the lint: what matches nothing and takes long is left out."""
        if seconds < 0.001:
            return
        self._spent[target] = self._spent.get(target, 0.0) + seconds
        if self._spent[target] > _PATIENCE_S:
            self._left_out.add(target)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Ids of rules that were left out because a hostile log made them slow."""
        return tuple(self._catalogue.rules[target].id for target in sorted(self._left_out))


def _allowed(sources: Sequence[Source], source: Source | None) -> bool:
    """Whether a rule for ``sources`` may match in a text from ``source``.

    What spark-submit prints carries the platform's reports, and the exception carries its tail: the three are
    one place. An executor's log and the event log are places of their own. A file of unknown origin may be any.
    """
    if source is None or source in sources:
        return True
    apart = (Source.EXECUTOR_LOG, Source.EVENT_LOG)
    return source not in apart and any(wanted not in apart for wanted in sources)


def _sizes(rule: Rule, match: re.Match[str]) -> dict[str, int]:
    """The quantities that a match states."""
    sizes = {}
    for name, unit in rule.sizes.items():
        value = parse_quantity(match[name], unit) if match[name] is not None else None
        if value is not None:
            sizes[name] = value
    return sizes


def _evidence(
    line: str, offset: int, start: int, end: int, number: int, source: Source | None
) -> EvidenceLine:
    text = line[offset:].strip()
    if len(text) > _LONGEST_EVIDENCE:
        middle = (start + end) // 2
        low = max(offset, min(start, middle - _LONGEST_EVIDENCE // 2))
        text = line[low : low + _LONGEST_EVIDENCE].strip()
    return EvidenceLine(number, mask_secrets(text), source or Source.DRIVER_LOG)


class _Block:
    """A cleaned block with its lines found on demand."""

    def __init__(self, data: bytes, text: _Text, origins: list[int] | None) -> None:
        self.data = data
        self._text = text
        self._origins = origins
        self._counted_to = 0
        self._counted = 0
        self._before: _Before | None = None
        self._before_of = 0
        self._after: _After | None = None
        self._after_of = 0

    def line_at(self, position: int) -> _Line:
        """Start and end of the line at ``position``."""
        start = self.data.rfind(b"\n", 0, position) + 1
        end = self.data.find(b"\n", position)
        return start, len(self.data) if end < 0 else end

    def number(self, line_start: int) -> int:
        """1-based number of the line in its text."""
        if line_start < self._counted_to:
            self._counted_to, self._counted = 0, 0
        self._counted += self.data.count(b"\n", self._counted_to, line_start)
        self._counted_to = line_start
        within = self._counted
        if self._origins is not None:
            within = self._origins[min(within, len(self._origins) - 1)]
        return self._text.lines + within + 1

    def line_ends(self) -> int:
        """How many the block has; continues the count that the last :meth:`number` left off."""
        return self._counted + self.data.count(b"\n", self._counted_to)

    def window(self, line: _Line, hit: _Hit, width: int) -> tuple[str, int]:
        """The line, or a piece of it around the hit, and where in it a search begins.

        A piece that does not begin where the line begins gets one character more in front, so that ``^`` does
        not match at its edge.
        """
        (line_start, line_end), (start, end) = line, hit
        low, high = line_start, line_end
        if line_end - line_start > width:
            room = max(0, width - (end - start)) // 2
            low = max(line_start, start - room)
            high = min(line_end, end + room)
        if high > low and self.data[high - 1] == 13 and high == line_end:
            high -= 1
        if low == line_start:
            return self.data[low:high].decode("utf-8", "replace"), 0
        return "\u2026" + self.data[low:high].decode("utf-8", "replace"), 1

    def before(self, line_start: int) -> _Before:
        """The lines before the line at ``line_start``."""
        if self._before is None or self._before_of != line_start:
            self._before, self._before_of = _Before(self.data, line_start, self._text.before), line_start
        return self._before

    def after(self, line_end: int) -> _After:
        """The lines after the line that ends at ``line_end``; -1: the first lines of the block."""
        if self._after is None or self._after_of != line_end:
            self._after, self._after_of = _After(self.data, line_end + 1), line_end
        return self._after


class _Before:
    """The lines before a line; taken apart only when one of them may meet a condition."""

    def __init__(self, data: bytes, line_start: int, earlier: bytes) -> None:
        start, count = _back(data, line_start, AROUND)
        self._region = data[start:line_start]
        if count < AROUND:
            self._region = earlier[_back(earlier, len(earlier), AROUND - count)[0] :] + self._region

    def find(self, condition: Condition) -> tuple[int, str] | None:
        """How many lines before the nearest line that meets ``condition`` is, and that line."""
        if not condition.can_hold(self._region):
            return None
        lines = self._region.removesuffix(b"\n").split(b"\n") if self._region else []
        for distance, line in enumerate(reversed(lines), start=1):
            text = _short(line[:_LONGEST_CONTEXT])
            if condition.regex.search(text):
                return distance, text
        return None


class _After:
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
        texts = (_short(line[:_LONGEST_CONTEXT]) for line in self._region.split(b"\n")[:lines])
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
    return line.decode("utf-8", "replace").rstrip("\r")
