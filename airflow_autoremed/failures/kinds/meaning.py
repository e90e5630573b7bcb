"""What a kind of error means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable

CODE, NAMED, ANCESTOR, NAME, PACKAGE = 29, 29, 28, 28, 23
"""Ranks: a code of the system that failed, a class listed by hand, its ancestor, words of its name, its package.

All stand below the rules that name a cause or a consequence (30 and up), and all but the last above the last resorts,
which only say that something failed.
"""


@dataclass(frozen=True)
class Kind:
    """What is known of an error without knowing its sentence."""

    id: str
    """For example ``kind-errno-econnrefused``; stands where a rule's id stands."""
    category: str
    restartable: Restartable
    why: str
    """One plain phrase."""
    rank: int
    side: str | None = None
    """``driver`` or ``executor``, where a thread or a frame says so."""
    pool: str | None = None
    """The memory that ran out, where that is what happened."""


@dataclass(frozen=True)
class Meaning:
    """One row of a table: what all its codes or names mean."""

    category: str
    why: str
    restartable: Restartable | None = None
    """``None``: the category's usual one."""

    @property
    def retry(self) -> Restartable:
        """What a retry brings."""
        return self.restartable or CATEGORIES[self.category].usual_restartable


def is_kind(rule: str | None) -> bool:
    """Whether what stands where a rule's id stands is a kind."""
    return rule is not None and rule.startswith("kind-")


Table = Mapping[str, Meaning]
Rows = tuple[tuple[str, str, str], ...]
"""``(category, or category:restartable; phrase; codes with spaces between)``."""

SILENT = "nothing"
"""In place of a category: the code is known, and says nothing of the cause."""


def rows(table: Rows) -> Iterator[tuple[Meaning | None, list[str]]]:
    """Each row's meaning with its codes; ``None`` for codes that say nothing."""
    for category, why, codes in table:
        name, _, retry = category.partition(":")
        meaning = None if name == SILENT else Meaning(name, why, Restartable(retry) if retry else None)
        yield meaning, codes.split()


def by_code(table: Rows) -> dict[str, Meaning | None]:
    """Code to meaning."""
    return {code: meaning for meaning, codes in rows(table) for code in codes}


def in_range(table: Mapping[str, Meaning | None], number: int) -> Meaning | None:
    """The meaning of a number in a table whose codes are numbers or ranges such as ``900-999``; a number wins."""
    if str(number) in table:
        return table[str(number)]
    for code, meaning in table.items():
        low, dash, high = code.partition("-")
        if dash and low and int(low) <= number <= int(high):
            return meaning
    return None
