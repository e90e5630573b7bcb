"""A rule: how one failure is recognised, and what is said about it. See ``docs/rules.md`` for the YAML form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from airflow_autoremed.errors import InvalidRuleError, PatternError
from airflow_autoremed.failures.rules.pattern_literals import SHORTEST_LITERAL, analyse, better
from airflow_autoremed.failures.rules.quantities import UNITS
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Pool, Restartable, Side, Source

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TEXTS = ("id", "category", "pattern", "summary", "hint", "reference")
_CONDITIONS = ("unless", "preceded_by", "not_preceded_by", "followed_by")
_LISTS = ("literals", "examples", "counter_examples")
_KEYS = (
    *_TEXTS,
    *_CONDITIONS,
    *_LISTS,
    *("rank", "source", "only_if_failed", "restartable", "sizes", "silence"),
    *("side", "pool", "setting", "indivisible"),
)


@dataclass(frozen=True)
class RuleProblem:
    """One thing wrong with a rule file, said so that the author can mend it."""

    path: str
    line: int
    """1-based; 0: the file as a whole."""
    rule: str
    """Id of the rule, empty where there is none."""
    reason: str

    def __str__(self) -> str:
        name = f" rule {self.rule!r}" if self.rule else ""
        return f"{self.path}:{self.line}:{name} {self.reason}"


@dataclass(frozen=True)
class Condition:
    """A pattern that is looked for in the lines around a match."""

    regex: re.Pattern[str]
    literals: tuple[bytes, ...]
    """One of them stands in every line that meets it; empty: not known."""

    def can_hold(self, region: bytes) -> bool:
        """Whether some line of ``region`` may meet it: a quick look before the lines are gone through."""
        return not self.literals or any(literal in region for literal in self.literals)


@dataclass(frozen=True)
class Rule:
    """One rule of the catalogue, checked."""

    id: str
    category: str
    rank: int
    pattern: str
    literals: tuple[str, ...]
    """One of them stands in every line that matches."""
    window: int
    """Longest piece of a line, in characters, that the pattern is run on."""
    source: tuple[Source, ...] = ()
    """Where it may be found; empty: anywhere."""
    unless: str = ""
    preceded_by: str = ""
    not_preceded_by: str = ""
    followed_by: str = ""
    condition_literals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a condition to literals of which one stands in every line that meets it, where they are known."""
    only_if_failed: bool = False
    restartable: Restartable | None = None
    """``None``: the category's usual one."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Named group of the pattern to unit."""
    side: Side | None = None
    """``None``: the category's, where it has one."""
    pool: Pool | None = None
    setting: str = ""
    """The Spark setting whose limit was hit."""
    indivisible: bool = False
    """What ran out is needed at once by one task: more partitions do not help."""
    summary: str = ""
    hint: str = ""
    reference: str = ""
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    path: str = ""
    line: int = 0
    users: bool = False
    """From the user's ``rules_paths``, not from the package."""
    silence: bool = False
    """A user's rule that only removes ours of the same id."""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled pattern; compiled when first needed, because most rules never are."""
        return re.compile(self.pattern)

    @cached_property
    def unless_regex(self) -> re.Pattern[str] | None:
        """The compiled ``unless``."""
        return re.compile(self.unless) if self.unless else None

    @cached_property
    def preceded(self) -> Condition | None:
        """``preceded_by``, ready to look."""
        return self._condition("preceded_by")

    @cached_property
    def not_preceded(self) -> Condition | None:
        """``not_preceded_by``, ready to look."""
        return self._condition("not_preceded_by")

    @cached_property
    def followed(self) -> Condition | None:
        """``followed_by``, ready to look."""
        return self._condition("followed_by")

    def _condition(self, name: str) -> Condition | None:
        pattern = getattr(self, name)
        if not pattern:
            return None
        literals = self.condition_literals.get(name, ())
        return Condition(re.compile(pattern), tuple(literal.encode() for literal in literals))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, for the cache."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["source"] = [source.value for source in self.source]
        plain["restartable"] = self.restartable.value if self.restartable else None
        plain["sizes"] = dict(self.sizes)
        plain["side"] = self.side.value if self.side else None
        plain["pool"] = self.pool.value if self.pool else None
        plain["condition_literals"] = dict(self.condition_literals)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Rule:
        """The inverse of :meth:`to_dict`."""
        values = dict(plain)
        values["source"] = tuple(Source(name) for name in values["source"])
        restartable = values["restartable"]
        values["restartable"] = Restartable(restartable) if restartable else None
        values["side"] = Side(values["side"]) if values["side"] else None
        values["pool"] = Pool(values["pool"]) if values["pool"] else None
        for name in _LISTS:
            values[name] = tuple(values[name])
        values["condition_literals"] = {
            name: tuple(texts) for name, texts in values["condition_literals"].items()
        }
        return cls(**values)

    def as_users(self) -> Rule:
        """The same rule, marked as the user's."""
        return replace(self, users=True)


def make_rule(plain: Any, path: Path | str = "", line: int = 0) -> Rule:
    """Check one entry of a rule file.

    :param plain: what YAML made of the entry.
    :raises InvalidRuleError: with what to write instead.
    """
    if not isinstance(plain, Mapping):
        raise InvalidRuleError(
            f"is a {type(plain).__name__}; write a mapping with id, category, rank, pattern, summary"
        )
    identifier = plain.get("id")
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
        raise InvalidRuleError(
            f"has the id {identifier!r}; write a name in kebab-case, for example my-team-quota"
        )
    problems = [
        f"has the unknown key {key!r}; {_did_you_mean(key, _KEYS)}" for key in plain if key not in _KEYS
    ]
    if not isinstance(plain.get("silence"), bool | None):
        problems.append(f"has silence: {plain['silence']!r}; write true or false")
    if plain.get("silence") is True:
        _raise(problems)
        return Rule(identifier, "", 0, "", (), 0, path=str(path), line=line, silence=True)
    problems += [
        f"has {name}: {plain[name]!r}; write a text (quote it)"
        for name in (*_TEXTS, *_CONDITIONS)
        if name in plain and not isinstance(plain[name], str)
    ]
    _raise(problems)

    def checked(read: Callable[[], T], otherwise: T) -> T:
        """What *read* makes of a field; a problem is kept, so that all are told at once."""
        try:
            return read()
        except InvalidRuleError as error:
            problems.append(str(error))
            return otherwise

    checked(lambda: _need(plain, "category", "pattern", "summary"), None)
    category = checked(lambda: _category(plain.get("category", "")), "")
    pattern = plain.get("pattern", "")
    none: tuple[str, ...] = ()
    literals, window = checked(lambda: _literals(plain), (none, 0)) if pattern else (none, 0)
    conditions = {name: checked(partial(_condition, plain, name), none) for name in _CONDITIONS}
    rule = Rule(
        id=identifier,
        category=category,
        rank=checked(lambda: _rank(plain.get("rank")), 0),
        pattern=pattern,
        literals=literals,
        window=window,
        source=checked(lambda: _sources(plain.get("source")), ()),
        unless=plain.get("unless", ""),
        preceded_by=plain.get("preceded_by", ""),
        not_preceded_by=plain.get("not_preceded_by", ""),
        followed_by=plain.get("followed_by", ""),
        condition_literals={name: texts for name, texts in conditions.items() if texts},
        only_if_failed=checked(lambda: _flag(plain, "only_if_failed"), False),
        restartable=checked(lambda: _restartable(plain.get("restartable")), None),
        sizes=checked(lambda: _sizes(plain), {}) if literals else {},
        side=checked(lambda: _word(plain, "side", Side), None),
        pool=checked(lambda: _word(plain, "pool", Pool), None),
        setting=checked(lambda: _setting(plain), ""),
        indivisible=checked(lambda: _flag(plain, "indivisible"), False),
        summary=plain.get("summary", ""),
        hint=plain.get("hint", ""),
        reference=plain.get("reference", ""),
        examples=checked(lambda: _texts(plain, "examples"), ()),
        counter_examples=checked(lambda: _texts(plain, "counter_examples"), ()),
        path=str(path),
        line=line,
    )
    _raise(problems)
    return rule


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidRuleError(". It also ".join(problems))


def _category(category: Any) -> str:
    if category and category not in CATEGORIES:
        raise InvalidRuleError(f"has the category {category!r}; {_did_you_mean(category, CATEGORIES)}")
    return str(category)


def _did_you_mean(word: Any, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else "write one of: " + ", ".join(sorted(known))


def _need(plain: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if not plain.get(name)]
    if missing:
        raise InvalidRuleError(f"lacks {', '.join(missing)}; add {'them' if len(missing) > 1 else 'it'}")


def _rank(rank: Any) -> int:
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= 99:
        raise InvalidRuleError(
            f"has the rank {rank!r}; write a number from 1 to 99, see the table in docs/rules.md"
        )
    return rank


def _flag(plain: Mapping[str, Any], name: str) -> bool:
    value = plain.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRuleError(f"has {name}: {value!r}; write true or false")
    return value


def _texts(plain: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = plain.get(name) or []
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise InvalidRuleError(
            f"has {name} that are not a list of texts; write them as '- ...' lines, quoted"
        )
    return tuple(value)


def _sources(value: Any) -> tuple[Source, ...]:
    names = [value] if isinstance(value, str) else (value or [])
    known = [source.value for source in Source]
    if not isinstance(names, list):
        raise InvalidRuleError(f"has source: {value!r}; write a list of: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise InvalidRuleError(f"has the source {name!r}; {_did_you_mean(name, known)}")
    return tuple(Source(name) for name in names)


def _restartable(value: Any) -> Restartable | None:
    if value is None:
        return None
    if value is False:  # YAML 1.1 reads a bare no as false
        return Restartable.NO
    try:
        return Restartable(value)
    except ValueError:
        raise InvalidRuleError(f"has restartable: {value!r}; write as_is, with_changes or no") from None


def _word(plain: Mapping[str, Any], name: str, words: type[E]) -> E | None:
    value = plain.get(name)
    if value is None:
        return None
    try:
        return words(value)
    except ValueError:
        known = [word.value for word in words]
        raise InvalidRuleError(f"has {name}: {value!r}; {_did_you_mean(value, known)}") from None


def _setting(plain: Mapping[str, Any]) -> str:
    value = plain.get("setting", "")
    if not isinstance(value, str) or (value and not value.startswith("spark.")):
        raise InvalidRuleError(
            f"has setting: {value!r}; write the name of a Spark setting, for example spark.driver.memory"
        )
    return value


def _condition(plain: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The literals of a condition, which has to be as harmless as a pattern."""
    text = plain.get(name, "")
    if not text:
        return ()
    try:
        return analyse(text).literals
    except PatternError as error:
        raise InvalidRuleError(f"has a {name} that {error}") from error


def _literals(plain: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    try:
        analysis = analyse(plain["pattern"])
    except PatternError as error:
        raise InvalidRuleError(f"has a pattern that {error}") from error
    given = _texts(plain, "literals")
    for literal in given:
        if len(literal) < SHORTEST_LITERAL:
            raise InvalidRuleError(
                f"has the literal {literal!r}; write at least {SHORTEST_LITERAL} characters"
            )
    if not given and not analysis.literals:
        raise InvalidRuleError(
            "has a pattern of which no literal text can be derived; add literals: [...] of which one stands in "
            "every line that the pattern matches"
        )
    return better(given, analysis.literals), analysis.window


def _sizes(plain: Mapping[str, Any]) -> dict[str, str]:
    value = plain.get("sizes") or {}
    if not isinstance(value, Mapping):
        raise InvalidRuleError(f"has sizes: {value!r}; write a mapping, for example {{needed: bytes}}")
    groups = re.compile(plain["pattern"]).groupindex
    for name, unit in value.items():
        if name not in groups:
            raise InvalidRuleError(
                f"has the size {name!r}, but no group of that name; write (?P<{name}>...) in the pattern"
            )
        if unit not in UNITS:
            raise InvalidRuleError(f"has the unit {unit!r}; {_did_you_mean(unit, UNITS)}")
    return dict(value)
