"""The rules in force, in their order, with an index over all their literals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from airflow_autoremed.failures.anatomy import events
from airflow_autoremed.failures.rules import spark_conditions
from airflow_autoremed.failures.rules.literal_engines import Engine, make_engine
from airflow_autoremed.failures.rules.outcome_signs import Sign, make_signs
from airflow_autoremed.failures.rules.rule import Rule, RuleProblem

_PART = 256 * 1024


@dataclass(frozen=True)
class Index:
    """All literals of a catalogue with an engine that finds them."""

    engine: str
    find: Engine
    targets: tuple[tuple[int, ...], ...]
    """Literal to the rules (and, from ``signs_from``, the signs) that it stands for."""
    signs_from: int
    signs: tuple[Sign, ...]
    conditions_from: int
    """The number that stands for a place where one of Spark's own error conditions may be named; the one after it
    stands for a line at which an event may begin."""
    longest: int
    """Bytes of the longest literal."""

    def hits(self, data: bytes) -> Iterable[tuple[int, int, int]]:
        """All literals in ``data``; of long data a part at a time, because a hostile one may be full of them."""
        return self.find(data) if len(data) <= 2 * _PART else self._hits_in_parts(data)

    def _hits_in_parts(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        for offset in range(0, len(data), _PART):
            for literal, start, end in self.find(data[offset : offset + _PART + self.longest]):
                if start < _PART:
                    yield literal, offset + start, offset + end


@dataclass
class Catalogue:
    """Rules in their order: the user's first, then the package's by file name."""

    rules: tuple[Rule, ...]
    warnings: tuple[RuleProblem, ...] = ()
    """What is wrong with the user's rules; the rest of them is in force."""
    signs: tuple[Sign, ...] = field(default_factory=make_signs)
    conditions: bool = False
    """Whether Spark's own error conditions count besides the rules."""
    silenced: frozenset[str] = frozenset()
    """Ids of conditions that the user's rules replace or remove."""
    silenced_categories: frozenset[str] = frozenset()
    """Of the rules that the user removes: no kind of these is named in their place."""
    _indexes: dict[str | None, Index] = field(default_factory=dict, repr=False)

    def get(self, identifier: str) -> Rule:
        """The rule of that id.

        :raises KeyError: with the nearest known id.
        """
        for rule in self.rules:
            if rule.id == identifier:
                return rule
        if self.conditions and identifier.startswith(spark_conditions.PREFIXES):
            condition = spark_conditions.load_conditions().get(identifier, self.silenced)
            if condition is not None:
                return condition
        import difflib

        known = [rule.id for rule in self.rules]
        if self.conditions and identifier.startswith(spark_conditions.PREFIXES):
            known += spark_conditions.load_conditions().ids()
        close = difflib.get_close_matches(identifier, known, n=1)
        raise KeyError(f"no rule {identifier!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def index(self, engine: str | None = None) -> Index:
        """The literals of all rules and signs, built once per engine."""
        if engine not in self._indexes:
            targets = self._targets()
            name, find = make_engine(list(targets), engine)
            numbers = tuple(map(tuple, targets.values()))
            longest = max(map(len, targets), default=0)
            self._indexes[engine] = Index(
                name, find, numbers, len(self.rules), self.signs, self._last(), longest
            )
        return self._indexes[engine]

    def literals(self) -> tuple[bytes, ...]:
        """What every index of this catalogue looks for."""
        return tuple(self._targets())

    def _last(self) -> int:
        return len(self.rules) + len(self.signs)

    def _targets(self) -> dict[bytes, list[int]]:
        """Every literal with the rules, from the number of rules on the signs, and at last the conditions."""
        targets: dict[bytes, list[int]] = {}
        wanted = [*(rule.literals for rule in self.rules), *(sign.literals for sign in self.signs)]
        if self.conditions:
            wanted.append(spark_conditions.literals())
        else:
            wanted.append(())
        wanted.append(events.LITERALS)
        for number, literals in enumerate(wanted):
            for literal in literals:
                targets.setdefault(literal.encode("utf-8"), []).append(number)
        return targets
