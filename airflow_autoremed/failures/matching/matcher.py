"""One pass over a log: literals first, patterns on the lines that have one, conditions on the lines around."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_autoremed.failures.anatomy.events import EventLog, Reading
from airflow_autoremed.failures.matching.cleaning import clean, spread_json, unwrap
from airflow_autoremed.failures.matching.log_blocks import (
    AROUND,
    LONGEST_CONTEXT,
    OVERLAP,
    Block,
    Cutter,
    Hit,
    Line,
    Lines,
    Piece,
)
from airflow_autoremed.failures.matching.precedence import Found, as_evidence, decide
from airflow_autoremed.failures.rules import spark_conditions
from airflow_autoremed.failures.rules.literal_engines import LARGE, fastest_engine
from airflow_autoremed.failures.rules.outcome_signs import Sign, SignKind
from airflow_autoremed.failures.rules.quantities import parse_quantity
from airflow_autoremed.failures.rules.rule import Condition, Rule
from airflow_autoremed.redaction import mask_secrets
from airflow_autoremed.types import Classification, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue

_LONGEST_EVIDENCE = 2000
_MOST_MATCHES = 64
"""Matches of one rule that are looked at for sizes; more change nothing."""
_LATE = 6
"""Further matches of such a rule in a block that may be looked at after all ..."""
_LATE_BLOCKS = 3
"""... in the last blocks that have such: they may have ended the run."""
_MOST_TRIES_PER_LINE = 16
"""Tries of one rule on a line longer than its window; from then on one for every quarter of a window."""
_MOST_PENDING = 8
_SLACK = 512
"""Bytes by which the halves that two pieces look at may be off, where an escape sequence was cut in two."""
_PATIENCE_S = 2.0
"""A rule that has spent this long on lines that it did not match is left out for the rest of the log."""
_PATIENCE_WITH_ALL_S = 20.0
"""When all rules together have, a rule is left out after a twentieth of that."""


_LEVEL = Condition(re.compile(r"\b(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|SEVERE|Normal|Warning)\b"), ())
"""The level of a log line: a message without one in sight was not written by a logger that may go on."""
_FATAL = frozenset(("ERROR", "FATAL", "SEVERE"))
_QUIET = frozenset(("TRACE", "DEBUG", "INFO"))
"""Levels at which nobody logs a stack trace: an exception below such a line came from elsewhere."""
_NAMED = Condition(spark_conditions.NAMED_BEFORE, (b"[",))
"""A line that names one of Spark's own error conditions."""


@dataclass
class _Pending:
    """A match that waits for one of the lines after it."""

    rule: int
    found: Found
    reading: Reading
    line: str
    lines_left: int


@dataclass
class _Late:
    """Places in a block at which rules may match that have matched often enough."""

    view: Block
    places: dict[int, deque[tuple[Line, Hit, int]]]


@dataclass
class _Text:
    """The text that is being read: one source from its beginning to its end."""

    source: Source | None
    cutter: Cutter
    lines: Lines = field(default_factory=Lines)
    pending: list[_Pending] = field(default_factory=list)
    late: deque[_Late] = field(default_factory=lambda: deque(maxlen=_LATE_BLOCKS))


class _Tries:
    """Which rules are done with a line, and where in a long one they are tried again."""

    def __init__(self) -> None:
        self.done: set[int] = set()
        self._count: dict[int, int] = {}
        self._reach: dict[int, int] = {}

    def clear(self) -> None:
        """Begin a new line."""
        self.done.clear()
        if self._count:
            self._count.clear()
            self._reach.clear()

    def may(self, target: int, line: Line, start: int, width: int) -> bool:
        """Whether ``target``, which sees ``width`` bytes around a literal, is tried at the literal at ``start``."""
        if line[1] - line[0] <= width:
            self.done.add(target)  # no other place in the line can say anything else
            return True
        if self._count.setdefault(target, 0) < _MOST_TRIES_PER_LINE:
            self._count[target] += 1
            return True
        if start < self._reach.get(target, 0):
            return False
        self._reach[target] = start + width // 4
        return True


class LogMatcher:
    """Reads texts block by block and tells at the end what they show. Memory does not grow with the log."""

    def __init__(self, catalogue: Catalogue, engine: str | None = None, assume_failed: bool = False) -> None:
        """:param engine: one of :data:`~airflow_autoremed.failures.rules.literal_engines.ENGINES`; default: the one that is ready
            soonest, and the fastest installed once the log turns out to be large. All find the same.
        :param assume_failed: the application is known to have failed, whatever the log says.
        """
        self._catalogue = catalogue
        self._index = catalogue.index(engine)
        self._may_change_engine = engine is None
        self._seen = 0
        self._found: dict[int, Found] = {}
        self._rules = list(catalogue.rules)
        """The catalogue's rules, and after them those of the conditions that were seen."""
        self._numbers: dict[str, int] = {}
        """Id of a condition that was seen to its place in ``_rules``."""
        self._spent: dict[int, float] = {}
        self._wasted = 0.0
        self._signs: dict[SignKind, tuple[int, int]] = {}
        if assume_failed:
            self._signs[SignKind.FAILED] = (1 << 30, 0)
        self._text_number = 0
        self._text: _Text | None = None
        self._left_out: set[int] = set()
        self._events = EventLog()
        self._assume_failed = assume_failed
        self._readings: list[tuple[Reading, str]] = []
        """What rules read in the block that is being searched, with the line."""

    # ------------------------------------------------------------------------------------------------ reading

    def feed(self, lines_or_block: str | bytes | Iterable[str], source: Source | None = None) -> None:
        """Read more of a text. A change of ``source`` begins a new one.

        :param lines_or_block: a block that may begin and end anywhere, or lines (with or without line ends).
        :param source: where the text comes from; ``None``: not known, as for a file on the command line.
        """
        if self._text is None or self._text.source != source:
            self.end_text()
            self._text = _Text(source, Cutter(self._look))
        add = self._text.cutter.add
        if isinstance(lines_or_block, str):
            add(lines_or_block.encode("utf-8", "replace"))
        elif isinstance(lines_or_block, bytes):
            add(lines_or_block)
        else:
            for line in lines_or_block:
                add((line if line.endswith("\n") else line + "\n").encode("utf-8", "replace"))

    def end_text(self) -> None:
        """The text is complete: look at its last line, and begin a new one with what is fed next."""
        if self._text is None:
            return
        self._text.cutter.end()
        self._look_again(self._text)
        self._events.end_text()
        self._text = None
        self._text_number += 1

    def classification(self) -> Classification:
        """The verdict on everything that was fed."""
        self.end_text()
        catalogue = self._catalogue
        without_kinds = catalogue.silenced_categories if catalogue.conditions else None
        return decide(
            self._rules,
            self._found,
            self._signs,
            self._events,
            self._assume_failed,
            without_kinds=without_kinds,
        )

    def matched(self) -> tuple[str, ...]:
        """Ids of all rules that matched, before the verdict."""
        self.end_text()
        return tuple(self._rules[index].id for index in sorted(self._found))

    # ----------------------------------------------------------------------------------------------- matching

    def _look(self, piece: Piece) -> None:
        """Search one block: whole lines, or a piece of a very long one."""
        text = self._text
        assert text is not None
        self._seen += len(piece.data)
        if self._may_change_engine and self._seen >= LARGE:
            self._index, self._may_change_engine = self._catalogue.index(fastest_engine()), False
        data = clean(piece.data)
        low, high = 0, len(data)
        if piece.continued:  # of what two pieces share, each looks at the half that it sees more around
            low = len(clean(piece.data[:OVERLAP])) // 2 - _SLACK
        if piece.cut:
            high -= len(clean(piece.data[-OVERLAP:])) // 2
        if not piece.cut and not piece.continued:
            data = unwrap(data)
            high = len(data)
        spread = None if piece.cut else spread_json(data, piece.continued)
        data, origins = spread or (data, None)
        if spread is not None:
            high = len(data)
        view = Block(data, text.lines, origins, piece.continued, piece.cut)
        if text.pending:
            self._settle(text, view)
        self._search(text, view, low, high)
        text.lines.remember(data, view.line_ends(), piece.continued, piece.cut)

    def _search(self, text: _Text, view: Block, low: int, high: int) -> None:
        """Try the rules of the literals that begin from ``low`` to before ``high``."""
        index = self._index
        tries = _Tries()
        line = (0, -1)
        eventful: list[tuple[Line, int]] = []
        late: dict[int, deque[tuple[Line, Hit, int]]] = {}
        for literal, start, end in index.hits(view.data):
            if not low <= start < high:
                continue
            if start >= line[1]:
                line = view.line_at(start)
                tries.clear()
            for target in index.targets[literal]:
                if target in tries.done:
                    continue
                if target > index.conditions_from:
                    tries.done.add(target)
                    eventful.append((line, view.number(line[0])))
                    continue
                if target == index.conditions_from:
                    if tries.may(target, line, start, spark_conditions.WINDOW):
                        self._name(text, view, line, (start, end))
                    continue
                if target >= index.signs_from:
                    if tries.may(target, line, start, LONGEST_CONTEXT):
                        self._note(view, index.signs[target - index.signs_from], line, start)
                    continue
                found = self._found.get(target)
                if found is not None and found.count >= _MOST_MATCHES:
                    tries.done.add(target)  # nothing new but that it goes on
                    number = view.number(line[0])
                    found.last = (self._text_number, number)
                    late.setdefault(target, deque(maxlen=_LATE)).append((line, (start, end), number))
                    continue
                rule = self._catalogue.rules[target]
                if (
                    target in self._left_out
                    or (rule.source and not _allowed(rule.source, text.source))
                    or (
                        tries.may(target, line, start, rule.window)
                        and self._confirm(text, view, target, rule, line, (start, end))
                    )
                ):
                    tries.done.add(target)
        if late:
            text.late.append(_Late(view.kept(), late))
        self._events.begin_block(view)
        for place, number in eventful:
            self._events.note(view, place, number, self._text_number, text.source)
        if self._readings:
            self._readings.sort(key=lambda pair: pair[0].number)
            self._events.attach(self._readings, self._text_number, text.source)
            self._readings = []

    def _look_again(self, text: _Text) -> None:
        """At the end of a text: the last matches of rules that had matched often enough."""
        for late in text.late:
            for target, places in late.places.items():
                rule = self._catalogue.rules[target]
                if target in self._left_out or (rule.source and not _allowed(rule.source, text.source)):
                    continue
                for place, hit, number in places:
                    self._confirm(text, late.view, target, rule, place, hit, number)
        for reading, line in self._readings:
            self._events.attach_late(reading, line, self._text_number, text.source)
        self._readings = []

    def _confirm(
        self,
        text: _Text,
        view: Block,
        target: int,
        rule: Rule,
        line: Line,
        hit: Hit,
        number: int | None = None,
    ) -> bool:
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
        number = view.number(line[0]) if number is None else number
        raw = [(number, _around(piece, position, match.start(), match.end()))]
        if near is not None:
            distance, other = near
            raw.append((max(1, number - distance), other.strip()))
        found = Found((), {}, (self._text_number, number))
        if target not in self._found:
            found.lines = as_evidence(raw, text.source)
        if rule.only_if_failed:
            found.bare = not _LEVEL.regex.search(piece) and view.before(line[0]).find(_LEVEL) is None
        if rule.sizes:
            found.sizes = _sizes(rule, match)
        reading = Reading(target, number, tuple(raw), found.sizes)
        if rule.followed is None:
            self._keep(target, found)
            self._readings.append((reading, piece[position:]))
            return True
        after = view.after(line[1])
        if after.find(rule.followed, AROUND):
            self._keep(target, found)
            self._readings.append((reading, piece[position:]))
            return True
        left = AROUND - after.count
        if left > 0 and sum(waiting.rule == target for waiting in text.pending) < _MOST_PENDING:
            text.pending.append(_Pending(target, found, reading, piece[position:], left))
        return False

    def _settle(self, text: _Text, view: Block) -> None:
        """Look at the first lines of a block for the matches of the block before that wait for them."""
        first = view.first_lines()
        if first is None:
            return
        still = []
        for waiting in text.pending:
            followed = self._catalogue.rules[waiting.rule].followed
            assert followed is not None
            if first.find(followed, waiting.lines_left):
                self._keep(waiting.rule, waiting.found)
                self._events.attach_late(waiting.reading, waiting.line, self._text_number, text.source)
            elif waiting.lines_left > first.count:
                still.append(replace(waiting, lines_left=waiting.lines_left - first.count))
        text.pending = still

    def _keep(self, target: int, found: Found) -> None:
        known = self._found.get(target)
        self._found[target] = found if known is None else known.joined(found)

    def _note(self, view: Block, sign: Sign, line: Line, start: int) -> None:
        piece, position = view.window(line, (start, start), LONGEST_CONTEXT)
        if sign.regex.search(piece, position):
            where = (self._text_number, view.number(line[0]))
            self._signs[sign.kind] = max(self._signs.get(sign.kind, where), where)

    def _name(self, text: _Text, view: Block, line: Line, hit: Hit) -> None:
        """Note the error conditions of Spark's own that a line names, or that its message is one of."""
        piece, position = view.window(line, hit, spark_conditions.WINDOW)
        silenced = self._catalogue.silenced
        seen = False
        for named in spark_conditions.named_in(piece, position):
            table = spark_conditions.load_conditions()
            if named.state or table.knows(named.name, named.after_class):
                seen = True
                rule = table.rule(named.name, named.sub, named.state, silenced)
                self._add(
                    text, view, line, (piece, position), rule, (named.start, named.end), named.after_class
                )
        if seen:
            return
        state = spark_conditions.state_in(piece, position)
        if state is not None:
            above = view.before(line[0]).find(_NAMED)
            named_above = next(spark_conditions.named_in(above[1]), None) if above else None
            table = spark_conditions.load_conditions()
            if named_above is None or table.knows(named_above.name, after_class=True):
                return  # not of Spark's, or seen in its own line
            rule = table.rule(named_above.name, named_above.sub, state[0], silenced)
            thrown = named_above.after_class
            self._add(text, view, line, (piece, position), rule, (state[1], state[2]), thrown)
            return
        for message, sparks, start in spark_conditions.messages_in(piece, position):
            table = spark_conditions.load_conditions()
            name = table.named_by(message, sparks)
            if name:
                rule = table.rule(name, silenced=silenced)
                self._add(text, view, line, (piece, position), rule, (start, len(piece)), thrown=True)

    def _add(
        self,
        text: _Text,
        view: Block,
        line: Line,
        piece: tuple[str, int],
        rule: Rule | None,
        hit: Hit,
        thrown: bool,
    ) -> None:
        """Keep that a condition was named in a line."""
        if rule is None:
            return
        target = self._numbers.setdefault(rule.id, len(self._rules))
        if target == len(self._rules):
            self._rules.append(rule)
        number = view.number(line[0])
        known = self._found.get(target)
        if known is not None and known.count >= _MOST_MATCHES:
            known.last = (self._text_number, number)
            return
        raw = [(number, _around(*piece, *hit))]
        found = Found(() if known else as_evidence(raw, text.source), {}, (self._text_number, number))
        # A condition is what an exception is called, not what became of it. Logged below the level of an error, or
        # in the stack trace of a warning, or printed by the job without its class, it is taken for a trouble that
        # the application got over, unless the log shows otherwise.
        level = _LEVEL.regex.search(piece[0])
        own = level is not None
        if not own:
            above = view.before(line[0]).find(_LEVEL)
            level = _LEVEL.regex.search(above[1]) if above else None
        found.bare = level is None or level[0] in _FATAL or (thrown and not own and level[0] in _QUIET)
        self._keep(target, found)
        self._readings.append((Reading(target, number, tuple(raw), {}), piece[0][piece[1] :]))

    def _charge(self, target: int, seconds: float) -> None:
        """A safety net under the lint: what matches nothing and takes long is left out."""
        if seconds < 0.001:
            return
        self._spent[target] = self._spent.get(target, 0.0) + seconds
        self._wasted += seconds
        patience = _PATIENCE_S if self._wasted <= _PATIENCE_WITH_ALL_S else _PATIENCE_S / 20
        if self._spent[target] > patience:
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


def _around(line: str, offset: int, start: int, end: int) -> str:
    """The line, or of a long one the surroundings of what matched: without secrets, which could not be told any more
    once they are cut in two."""
    text = line[offset:].strip()
    if len(text) > _LONGEST_EVIDENCE:
        middle = (start + end) // 2
        low = max(offset, min(start, middle - _LONGEST_EVIDENCE // 2))
        text = line[low : low + _LONGEST_EVIDENCE].strip()
        wide = line[max(offset, low - _LONGEST_EVIDENCE) : low + 2 * _LONGEST_EVIDENCE].strip()
        masked = mask_secrets(wide)
        if masked != wide:
            return masked[: 2 * _LONGEST_EVIDENCE]
    return text
