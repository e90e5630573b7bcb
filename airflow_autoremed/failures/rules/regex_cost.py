"""How many steps ``re`` may take for a pattern on hostile text: an upper bound, read off the parse tree.

``re`` goes through every way in which a pattern can match up to where it fails. So each part gets two numbers: the
steps to go through all its ways from one place, and how many ways there are; both multiply along a sequence. A
repetition has one way only where what follows it cannot begin with what it repeats: then there is only one place
to stop.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as _c
else:  # pragma: no cover - the same module under its old name
    import sre_constants as _c

_MOST = 1e30
_FEW = 12
_CHARACTERS = [chr(code) for code in range(128)] + [
    "\u00e9",
    "\u00df",
    "\u4e2d",
    "\u2026",
    "\u00a0",
    "\u0663",
]
"""What texts are made of, as far as classes tell characters apart."""
_END = 1 << len(_CHARACTERS)
"""The end of the text, as a member of a set of characters."""
_ANYTHING = 2 * _END - 1
_CATEGORIES = {
    _c.CATEGORY_DIGIT: r"\d",
    _c.CATEGORY_NOT_DIGIT: r"\D",
    _c.CATEGORY_SPACE: r"\s",
    _c.CATEGORY_NOT_SPACE: r"\S",
    _c.CATEGORY_WORD: r"\w",
    _c.CATEGORY_NOT_WORD: r"\W",
}
_ONE = (_c.LITERAL, _c.NOT_LITERAL, _c.IN, _c.ANY)
"""What matches one character."""
_ATOMIC = getattr(_c, "ATOMIC_GROUP", None)
_POSSESSIVE = getattr(_c, "POSSESSIVE_REPEAT", None)

Item = tuple[Any, Any]
"""Opcode and value."""


@dataclass(frozen=True)
class _Effort:
    steps: float
    ways: float


def is_repeat(op: Any) -> bool:
    """Whether an item repeats another."""
    return op in (_c.MAX_REPEAT, _c.MIN_REPEAT) or (_POSSESSIVE is not None and op is _POSSESSIVE)


def effort(tree: Any, window: int) -> float:
    """Most steps of a search on a text of ``window`` characters.

    :param tree: as ``re`` parses a pattern.
    """
    alternatives = [tree]
    items = _flat(tree)
    if len(items) == 1 and items[0][0] is _c.BRANCH:
        alternatives = list(items[0][1][1])
    ignore_case = bool(tree.state.flags & re.IGNORECASE)
    return min(_MOST, sum(_of_search(_flat(each), window, ignore_case) for each in alternatives))


def _of_search(items: list[Item], window: int, ignore_case: bool) -> float:
    anchored = (
        bool(items) and items[0][0] is _c.AT and items[0][1] in (_c.AT_BEGINNING, _c.AT_BEGINNING_STRING)
    )
    distance, compared = _apart(items, ignore_case)
    starts = 1.0 if anchored else window / distance + 1
    return window * compared + _sequence(items, 0, window, ignore_case, starts).steps


def _flat(tree: Any) -> list[Item]:
    """The items of a sequence with plain groups opened."""
    items: list[Item] = []
    for op, value in tree:
        if op is _c.SUBPATTERN and not value[1] & re.IGNORECASE:
            items.extend(_flat(value[3]))
        else:
            items.append((op, value))
    return items


# ------------------------------------------------------------------------------------------------- steps and ways


def _sequence(
    items: Sequence[Item], follow: int, window: int, ignore_case: bool, starts: float = 1.0
) -> _Effort:
    """:param follow: what may come after it; 0: nothing, with its end the search is over.
    :param starts: at how many places it is tried.
    """
    steps, ways = 0.0, starts
    places = starts  # how many of the ways are different places: those of the last gap
    barrier = 0  # the characters of which one stands there, since the last gap
    for index, item in enumerate(items):
        op, value = item
        rest = items[index + 1 :]
        after = _first(rest, follow, ignore_case)
        if op in _ONE:
            steps, barrier = min(_MOST, steps + ways), _members(op, value, ignore_case)
            continue
        if op is _c.AT:
            continue
        if not is_repeat(op):
            part = _single(item, after, window, ignore_case)
            steps, ways = min(_MOST, steps + ways * part.steps), min(_MOST, ways * part.ways)
            places, barrier = 1.0, 0
            continue
        part = _repeat(item, after, _apart(rest, ignore_case), window, ignore_case)
        repeated = _first([item], 0, ignore_case)
        if part.ways == 1 and len(_flat(value[2])) == 1 and barrier and not barrier & repeated:
            # Behind different places come different stretches, so that together they are no longer than the text.
            steps = min(_MOST, steps + ways / places * (min(places * part.steps, window + places)))
        else:
            steps = min(_MOST, steps + ways * part.steps)
            ways = min(_MOST, ways * part.ways)
            places = part.ways
        barrier = 0
    return _Effort(steps, ways / starts)


def _single(item: Item, after: int, window: int, ignore_case: bool) -> _Effort:
    op, value = item
    if op is _c.SUBPATTERN:
        return _sequence(_flat(value[3]), after, window, ignore_case or bool(value[1] & re.IGNORECASE))
    if op is _c.BRANCH:
        return _branch(value[1], after, window, ignore_case)
    if op in (_c.ASSERT, _c.ASSERT_NOT):
        return _Effort(1 + _sequence(_flat(value[1]), 0, window, ignore_case).steps, 1)
    if _ATOMIC is not None and op is _ATOMIC:
        return _Effort(_sequence(_flat(value), 0, window, ignore_case).steps, 1)
    return _Effort(1, 1)


def _branch(alternatives: Sequence[Any], after: int, window: int, ignore_case: bool) -> _Effort:
    """Of the alternatives only those that begin alike can match at one place."""
    parts = []
    for alternative in alternatives:
        items = _flat(alternative)
        parts.append((_beginning(items, ignore_case), _sequence(items, after, window, ignore_case)))
    alike = [
        [
            part
            for other, part in parts
            if all(left & right for left, right in zip(beginning, other, strict=False))
        ]
        for beginning, _ in parts
    ]
    tried = sum(1 + len(beginning) for beginning, _ in parts)
    return _Effort(
        min(_MOST, tried + max(sum(part.steps for part in group) for group in alike)),
        min(_MOST, max(sum(part.ways for part in group) for group in alike)),
    )


def _repeat(item: Item, after: int, apart: tuple[int, float], window: int, ignore_case: bool) -> _Effort:
    op, (low, high, tree) = item
    items = _flat(tree)
    shortest = max(1, _shortest(items))
    most = min(int(high), window // shortest)
    least = min(int(low), most)
    begins = _first(items, 0, ignore_case)
    again = after | begins if most > 1 else after
    body = _sequence(items, again, window, ignore_case)
    if not after and body.ways == 1:  # where it has matched often enough, the search is over
        return _Effort(min(_MOST, 1 + least * body.steps), 1)
    stops = 1.0 if not begins & after else most - least + 1.0
    if body.ways > 1:
        ways = sum(min(_MOST, _power(body.ways, count)) for count in range(least, min(most, 200) + 1))
        steps = sum(min(_MOST, _power(body.ways, count)) for count in range(min(most, 200))) * body.steps
    else:
        steps = most * body.steps + (most - least + 1.0) * apart[1]
        ways = stops
        if len(items) == 1 and stops > 1:
            ways = 1 + stops / apart[0]
    if _POSSESSIVE is not None and op is _POSSESSIVE:
        ways = 1.0
    return _Effort(min(_MOST, steps), min(_MOST, ways))


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return _MOST


# ------------------------------------------------------------------------------------------------ what begins how


def _shortest(items: Sequence[Item]) -> int:
    """Fewest characters that a sequence matches."""
    length = 0
    for op, value in items:
        if is_repeat(op):
            length += int(value[0]) * _shortest(_flat(value[2]))
        elif op is _c.SUBPATTERN:
            length += _shortest(_flat(value[3]))
        elif op is _c.BRANCH:
            length += min(_shortest(_flat(each)) for each in value[1])
        elif _ATOMIC is not None and op is _ATOMIC:
            length += _shortest(_flat(value))
        elif op not in (_c.AT, _c.ASSERT, _c.ASSERT_NOT):
            length += 1
    return length


def _first(items: Sequence[Item], follow: int, ignore_case: bool) -> int:
    """The characters that may come first where a sequence begins, and ``follow`` where it may be empty."""
    found = 0
    for op, value in items:
        if is_repeat(op):
            found |= _first(_flat(value[2]), 0, ignore_case)
            if value[0] and _shortest(_flat(value[2])):
                return found
        elif op is _c.SUBPATTERN:
            found |= _first(_flat(value[3]), 0, ignore_case or bool(value[1] & re.IGNORECASE))
            if _shortest(_flat(value[3])):
                return found
        elif op is _c.BRANCH:
            found |= _union(_first(_flat(each), 0, ignore_case) for each in value[1])
            if all(_shortest(_flat(each)) for each in value[1]):
                return found
        elif op is _c.AT:
            return found | (_END if value in (_c.AT_END, _c.AT_END_STRING) else _ANYTHING)
        elif op in (_c.ASSERT, _c.ASSERT_NOT) or (_ATOMIC is not None and op is _ATOMIC):
            return _ANYTHING
        else:
            return found | _members(op, value, ignore_case)
    return found | follow


def _union(sets: Any) -> int:
    union = 0
    for each in sets:
        union |= each
    return union


def _members(op: Any, value: Any, ignore_case: bool) -> int:
    """The characters that an item of one character matches."""
    if op is _c.LITERAL:
        return _literal(value, ignore_case)
    if op is _c.NOT_LITERAL:
        return (_END - 1) & ~_literal(value, ignore_case)
    if op is _c.IN:
        return _class(tuple(value), ignore_case)
    return _END - 1


@lru_cache(maxsize=1024)
def _literal(code: int, ignore_case: bool) -> int:
    wanted = {chr(code), chr(code).swapcase()} if ignore_case else {chr(code)}
    found = _union(1 << index for index, character in enumerate(_CHARACTERS) if character in wanted)
    return found or _union(1 << index for index in range(128, len(_CHARACTERS)))  # any that is not ASCII


@lru_cache(maxsize=1024)
def _class(members: tuple[Any, ...], ignore_case: bool) -> int:
    found, negated = 0, False
    for op, value in members:
        if op is _c.NEGATE:
            negated = True
        elif op is _c.LITERAL:
            found |= _literal(value, ignore_case)
        elif op is _c.RANGE:
            low, high = value
            codes = [code for code in range(128) if low <= code <= high]
            found |= _union(_literal(code, ignore_case) for code in codes)
            if high > 127:
                found |= _union(1 << index for index in range(128, len(_CHARACTERS)))
        elif op is _c.CATEGORY and value in _CATEGORIES:
            found |= _category(_CATEGORIES[value])
        else:
            return _END - 1
    return (_END - 1) & ~found if negated else found


@lru_cache(maxsize=16)
def _category(text: str) -> int:
    return _union(
        1 << index for index, character in enumerate(_CHARACTERS) if re.fullmatch(text, character) is not None
    )


def _apart(items: Sequence[Item], ignore_case: bool) -> tuple[int, float]:
    """How far apart the places are at least where a sequence can get past the characters that it begins with.

    :return: the distance, and the steps per place to compare the characters there, on average.
    """
    beginnings = [_beginning(items, ignore_case)]
    first = next((item for item in items if item[0] is not _c.AT), None)
    if first is not None and first[0] is _c.BRANCH:
        beginnings = [_beginning(_flat(each), ignore_case) for each in first[1][1]]
    return _distance(tuple(beginnings)), sum(map(_compared, beginnings))


def _beginning(items: Sequence[Item], ignore_case: bool) -> tuple[int, ...]:
    """The sets of characters at the first places of a sequence, up to where it may vary."""
    sets: list[int] = []
    for op, value in items:
        if op in _ONE:
            sets.append(_members(op, value, ignore_case))
        elif is_repeat(op) and len(_flat(value[2])) == 1 and _flat(value[2])[0][0] in _ONE:
            sets.extend([_members(*_flat(value[2])[0], ignore_case)] * min(int(value[0]), _FEW))
            break
        elif op is not _c.AT or value in (_c.AT_END, _c.AT_END_STRING):
            break
        if len(sets) >= 2 * _FEW:
            break
    return tuple(sets)


@lru_cache(maxsize=4096)
def _compared(beginning: tuple[int, ...]) -> float:
    """Steps per place: its first character everywhere, its first two no closer than those two can be, and so on."""
    ends = range(2, min(len(beginning), _FEW) + 1)
    return 1.0 + sum(1.0 / _overlap(beginning[:end], beginning[:end]) for end in ends)


@lru_cache(maxsize=4096)
def _distance(beginnings: tuple[tuple[int, ...], ...]) -> int:
    """Fewest characters between two places where one of ``beginnings`` matches."""
    if not all(beginnings):
        return 1
    return min(_overlap(left, right) for left in beginnings for right in beginnings)


@lru_cache(maxsize=65536)
def _overlap(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Fewest characters after the beginning of ``left`` where ``right`` can begin."""
    for shift in range(1, len(left)):
        if all(a & b for a, b in zip(left[shift:], right, strict=False)):
            return shift
    return len(left)
