"""What a rule's pattern demands of a line, read off its parse tree: literals, a lint, and a bounded line length.

The matcher looks for literals first and runs a pattern only where one of them was found. ``re`` is not a
linear-time engine, so a pattern also gets the longest piece of a line that it may see: the more gaps it has that
a hostile line could stretch, the shorter the piece.
"""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from itertools import combinations
from string import ascii_letters
from typing import Any

from airflow_autoremed.errors import PatternError
from airflow_autoremed.failures.rules.literal_rarity import cost, without_common_end
from airflow_autoremed.failures.rules.regex_cost import effort, is_repeat

if sys.version_info >= (3, 11):
    from re import _constants as _c
    from re import _parser as _p
else:  # pragma: no cover - the same two modules under their old names
    import sre_constants as _c
    import sre_parse as _p

SHORTEST_LITERAL = 3
LONGEST_WINDOW = 16 * 1024
SHORTEST_WINDOW = 512
_STEPS = 2e8
"""Most steps one search may take; ``re`` does 2e8 of them a second and more."""

_MANY = 16
"""Most spellings one required piece of text may have before the derivation gives up on it."""
_LONG_ENOUGH = 8
"""Characters that two texts must share to be looked for as one."""
_KEPT = 5
"""Characters that a stretch of text keeps of what comes before it where all of it has too many spellings."""


@dataclass(frozen=True)
class Analysis:
    """What a pattern demands of a line."""

    literals: tuple[str, ...]
    """One of them stands in every line that matches; empty: cannot be derived."""
    window: int
    """Longest piece of a line, in characters, that the pattern may be run on."""


def analyse(pattern: str) -> Analysis:
    """Parse ``pattern``, refuse what could hang, derive literals and the line length it may see.

    :raises PatternError: not a regular expression, or one that the lint refuses.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _p.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"is not a regular expression: {error}") from error
    _refuse(tree, inside=False)
    window = LONGEST_WINDOW
    while effort(tree, window) > _STEPS:
        window //= 2
        if window < SHORTEST_WINDOW:
            raise PatternError(
                "could take too long on a hostile line; use fewer and shorter gaps, for example .{0,80}"
            )
    literals: tuple[str, ...] = ()
    if not tree.state.flags & re.IGNORECASE:
        best = _required(tree)
        literals = _merged(best) if best else ()
    return Analysis(literals, window)


def _children(op: Any, value: Any) -> list[Any]:
    if op is _c.SUBPATTERN:
        return [value[3]]
    if op is _c.BRANCH:
        return list(value[1])
    if is_repeat(op):
        return [value[2]]
    if op in (_c.ASSERT, _c.ASSERT_NOT):
        return [value[1]]
    if op is getattr(_c, "ATOMIC_GROUP", None):
        return [value]
    return []


def _refuse(tree: Any, inside: bool) -> None:
    for op, value in tree:
        if op in (_c.GROUPREF, _c.GROUPREF_EXISTS):
            raise PatternError("has a back-reference; spell the text out, or use two rules")
        if op in (_c.ASSERT, _c.ASSERT_NOT) and value[0] < 0:
            raise PatternError("has a look-behind; put the text before it into the pattern, or use 'unless'")
        variable = is_repeat(op) and value[0] != value[1]
        if variable and inside:
            raise PatternError("repeats a repetition, as in (a+)+; repeat a plain character or class instead")
        for child in _children(op, value):
            _refuse(child, inside or (is_repeat(op) and value[1] > _MANY))


# ---------------------------------------------------------------------------------------- what must be in a line


def _required(tree: Any) -> set[str] | None:
    """The best set of texts of which every match contains one, or ``None``."""
    candidates = [*_runs(tree, _MANY), *_runs(tree, 1)]
    for op, value in tree:
        inner = _required_of(op, value)
        if inner is not None:
            candidates.append(inner)
    usable = [texts for texts in candidates if min(len(text) for text in texts) >= SHORTEST_LITERAL]
    return min(usable, key=cost) if usable else None


def _runs(tree: Any, most: int) -> list[set[str]]:
    """Stretches of a sequence that have at most ``most`` spellings."""
    runs: list[set[str]] = []
    current = {""}
    for op, value in tree:
        spellings = _spellings(op, value)
        if spellings is not None and len(spellings) * len(current) <= most:
            current = {left + right for left in current for right in spellings}
            continue
        runs.append(current)
        ends = {text[-_KEPT:] for text in current}
        if spellings is None or len(spellings) > most:
            current = {""}
        elif len(spellings) * len(ends) <= most:
            current = {left + right for left in ends for right in spellings}
        else:
            current = set(spellings)
    return [*runs, current]


def _required_of(op: Any, value: Any) -> set[str] | None:
    if op is _c.SUBPATTERN:
        return None if value[1] & re.IGNORECASE else _required(value[3])
    if op is _c.BRANCH:
        union: set[str] = set()
        for branch in value[1]:
            texts = _required(branch)
            if texts is None:
                return None
            union |= texts
        return union
    if is_repeat(op) and value[0] >= 1:
        return _required(value[2])
    return None


def _spellings(op: Any, value: Any) -> set[str] | None:
    """All texts that an item can stand for, when they are few."""
    if op is _c.LITERAL:
        return {chr(value)}
    if op in (_c.AT, _c.ASSERT, _c.ASSERT_NOT):
        return {""}
    if op is _c.IN and len(value) <= 4 and all(kind is _c.LITERAL for kind, _ in value):
        return {chr(code) for _, code in value}
    if op is _c.SUBPATTERN and not value[1] & re.IGNORECASE:
        return _spellings_of(value[3])
    if op is _c.BRANCH:
        union: set[str] = set()
        for branch in value[1]:
            texts = _spellings_of(branch)
            if texts is None:
                return None
            union |= texts
        return union if len(union) <= _MANY else None
    if is_repeat(op) and value[1] <= 1:
        texts = _spellings_of(value[2])
        return None if texts is None else texts | ({""} if value[0] == 0 else set())
    return None


def _spellings_of(tree: Any) -> set[str] | None:
    current = {""}
    for op, value in tree:
        texts = _spellings(op, value)
        if texts is None or len(texts) * len(current) > _MANY:
            return None
        current = {left + right for left in current for right in texts}
    return current


def _without_longer(texts: set[str]) -> set[str]:
    """Without those of which another one is a part: that one stands wherever they do."""
    return {text for text in texts if not any(other != text and other in text for other in texts)}


def _merged(texts: set[str]) -> tuple[str, ...]:
    """Fewer texts that still stand in every line that has one of ``texts``, where that costs less."""
    kept = _without_longer(texts)
    while True:
        savings = [
            (cost(pair) - cost([part]), part, pair)
            for pair in combinations(sorted(kept), 2)
            for part in [_common_part(*pair)]
            if len(part) >= _LONG_ENOUGH
        ]
        saved, part, pair = max(savings, default=(0.0, "", ("", "")))
        if saved <= 0:
            return tuple(sorted(_without_longer(set(map(without_common_end, kept)))))
        kept = _without_longer((kept - {*pair}) | {part})


def _common_part(left: str, right: str) -> str:
    """The longest text that begins or ends both, without the part of a word at its edge."""
    both = 0
    while both < min(len(left), len(right)) and left[both] == right[both]:
        both += 1
    start = left[:both].rstrip(ascii_letters)
    both = 0
    while both < min(len(left), len(right)) and left[-both - 1] == right[-both - 1]:
        both += 1
    end = left[len(left) - both :].lstrip(ascii_letters)
    return max(start, end, key=len)


def better(given: tuple[str, ...], derived: tuple[str, ...]) -> tuple[str, ...]:
    """Of two sets of literals the one that fewer lines will have; either may be empty."""
    given = tuple(map(without_common_end, given))
    if not given or not derived:
        return given or derived
    return min(given, derived, key=cost)
