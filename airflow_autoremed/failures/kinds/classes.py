"""What an exception class says: listed by hand, by its ancestor, by the words of its name, by its package."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from airflow_autoremed.failures.kinds.class_tables import CLASSES, PACKAGES, WORD_EXCEPTIONS, WORDS
from airflow_autoremed.failures.kinds.codes import databases
from airflow_autoremed.failures.kinds.meaning import ANCESTOR, CODE, NAME, NAMED, PACKAGE, Meaning, rows

ANCESTORS = Path(__file__).with_name("classes.txt")
"""``package<TAB>ancestor:Name,Name;ancestor:Name`` a line; see ``scripts/make_kinds.py``."""
_LONGEST_NAME = 100


def judge_class(name: str) -> tuple[str, Meaning, int] | None:
    """What a class says, how it is known and with which rank; ``None``: nothing.

    :param name: as a log has it: with its package, or without.
    """
    named = listed()
    outer = name.replace("$", ".") if "$" in name else name
    if name in named or outer in named:
        return _known(name, named.get(name) or named.get(outer), NAMED)
    if "." not in name and name in _simple():
        return _known(name, named[_simple()[name]], NAMED)
    ancestor = ancestor_of(name)
    if ancestor is not None:
        if ancestor.startswith("SQLSTATE:"):
            meaning = databases.sqlstate(ancestor[9:])
            if meaning is not None:
                return name, meaning, CODE
        elif named.get(ancestor) is not None:
            return _known(name, named[ancestor], ANCESTOR)
    by_words = judge_words(name)
    if by_words is not None:
        return name, by_words, NAME
    for package, meaning in _packages():
        if name.startswith(package):
            return name, meaning, PACKAGE
    return None


def judge_words(name: str) -> Meaning | None:
    """What the words of a name say."""
    simple = name.rpartition(".")[2].rpartition("$")[2][:_LONGEST_NAME]
    if _exceptions().search(simple):
        return None
    for pattern, meaning in _words():
        if pattern.search(simple):
            return meaning
    return None


def _known(name: str, meaning: Meaning | None, rank: int) -> tuple[str, Meaning, int] | None:
    return (name, meaning, rank) if meaning is not None else None


@lru_cache(maxsize=1)
def listed() -> dict[str, Meaning | None]:
    """Class to what it means; ``None``: it says nothing."""
    table: dict[str, Meaning | None] = {}
    for category, why, names in CLASSES:
        for each in names.split():
            name, _, other = each.partition(":")
            table[name] = next(meaning for meaning, _ in rows(((other or category, why, ""),)))
    return table


@lru_cache(maxsize=1)
def _simple() -> dict[str, str]:
    """Class without its package to the class, where only one listed class is called so or a builtin is."""
    found: dict[str, str] = {}
    for name, meaning in listed().items():
        simple = name.rpartition(".")[2].rpartition("$")[2]
        if simple == name or (simple not in found and name.startswith(("java.", "org.apache.", "com."))):
            found[simple] = name
        elif simple in found and found[simple] != simple and listed()[found[simple]] != meaning:
            found[simple] = "java.lang.Exception"
    return found


@lru_cache(maxsize=1)
def _words() -> list[tuple[re.Pattern[str], Meaning]]:
    return [
        (re.compile("|".join(patterns)), meaning) for meaning, patterns in rows(WORDS) if meaning is not None
    ]


@lru_cache(maxsize=1)
def _exceptions() -> re.Pattern[str]:
    return re.compile(WORD_EXCEPTIONS)


@lru_cache(maxsize=1)
def _packages() -> list[tuple[str, Meaning]]:
    return [(package, meaning) for meaning, names in rows(PACKAGES) if meaning for package in names]


@lru_cache(maxsize=1)
def _ancestors() -> str:
    return "\n" + ANCESTORS.read_text(encoding="ascii")


def ancestor_of(name: str) -> str | None:
    """The nearest ancestor of a class that the tables know; ``None``: the class is not known, or has none."""
    package, _, simple = name.rpartition(".")
    if not simple:
        return None
    text = _ancestors()
    start = text.find(f"\n{package}\t")
    if start < 0:
        return None
    line = text[start + len(package) + 2 : text.find("\n", start + 1)]
    for group in line.split(";"):
        ancestor, _, names = group.rpartition("=")
        if simple in names.split(","):
            return ancestor
    return None
