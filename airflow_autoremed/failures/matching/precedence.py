"""From everything that matched to one verdict, with the reasons why the others lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_autoremed.failures.rules.outcome_signs import SignKind
from airflow_autoremed.failures.rules.rule import Rule
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import UNKNOWN, Classification, EvidenceLine, Match

Position = tuple[int, int]
"""Number of the text, number of the line."""

LAST_RESORT = 30
"""A user's rule of a lower rank competes by rank; from here on it comes before all of ours."""
_MOST_RUNNERS_UP = 20
_MOST_LINES = 4


@dataclass
class Found:
    """Where a rule matched, and what it captured."""

    lines: tuple[EvidenceLine, ...]
    sizes: Mapping[str, int]
    last: Position
    first: Position = field(default=(-1, -1))
    count: int = 1
    bare: bool = False
    """No log level in sight: a report of the platform or an exception, not a line of a program that may go on."""

    def __post_init__(self) -> None:
        if self.first == (-1, -1):
            self.first = self.last

    def joined(self, other: Found) -> Found:
        """With a further match: its lines stay the first, a size is the largest stated."""
        sizes = dict(self.sizes)
        for name, value in other.sizes.items():
            sizes[name] = max(value, sizes.get(name, value))
        return Found(
            self.lines,
            sizes,
            max(self.last, other.last),
            min(self.first, other.first),
            self.count + 1,
            self.bare or other.bare,
        )


def decide(
    rules: Sequence[Rule], found: Mapping[int, Found], signs: Mapping[SignKind, Position]
) -> Classification:
    """The verdict: the highest rank, then the order of the catalogue, then the first line.

    :param rules: the catalogue in its order.
    :param found: index into ``rules`` to where it matched.
    :param signs: the last place of each kind of sign.
    """
    winner: int | None = None
    runners_up: list[Match] = []
    for index in sorted(found, key=lambda index: _order(rules[index], index)):
        why_not = _disqualified(rules[index], found[index], signs)
        if winner is None and not why_not:
            winner = index
            continue
        if not why_not and winner is not None:
            why_not = _outranked(rules[index], rules[winner])
        runners_up.append(_match(rules[index], found[index], why_not))
    runners = tuple(runners_up[:_MOST_RUNNERS_UP])
    if winner is None:
        return unknown(runners)
    rule, where = rules[winner], found[winner]
    category = CATEGORIES[rule.category]
    return Classification(
        category=rule.category,
        rule=rule.id,
        restartable=rule.restartable or category.usual_restartable,
        memory_configuration=category.memory_configuration,
        lines=where.lines[:_MOST_LINES],
        summary=rule.summary,
        hint=rule.hint,
        reference=rule.reference,
        sizes=where.sizes,
        runners_up=runners,
    )


def unknown(runners_up: tuple[Match, ...] = ()) -> Classification:
    """The verdict that no rule applies."""
    usual = CATEGORIES[UNKNOWN].usual_restartable
    return Classification(UNKNOWN, None, usual, memory_configuration=False, runners_up=runners_up)


def _order(rule: Rule, index: int) -> tuple[bool, int, int]:
    first = rule.users and rule.rank >= LAST_RESORT
    return not first, -rule.rank, index


def _match(rule: Rule, found: Found, why_not: str) -> Match:
    return Match(rule.id, rule.category, rule.rank, found.lines[:_MOST_LINES], found.sizes, why_not)


def _disqualified(rule: Rule, found: Found, signs: Mapping[SignKind, Position]) -> str:
    failed = signs.get(SignKind.FAILED)
    seems_failed = signs.get(SignKind.SEEMS_FAILED)
    succeeded = signs.get(SignKind.SUCCEEDED)
    went_on = signs.get(SignKind.WENT_ON)
    if succeeded is not None and (failed is None or failed < succeeded) and found.last < succeeded:
        return f"the application succeeded after it (line {succeeded[1]})"
    over = max(found.last, seems_failed or found.last)
    if failed is None and went_on is not None and over < went_on:
        return f"nothing failed, and a job finished after it (line {went_on[1]})"
    if rule.only_if_failed and failed is None and seems_failed is None and not found.bare:
        return "counts only where the log also shows that the application failed"
    return ""


def _outranked(rule: Rule, winner: Rule) -> str:
    if winner.users and winner.rank >= LAST_RESORT and not rule.users:
        return f"the rule {winner.id} of your own comes first"
    if rule.rank < winner.rank:
        return f"rank {rule.rank} is below the {winner.rank} of {winner.id}"
    return f"of the same rank {rule.rank} as {winner.id}, but later in the catalogue"
