"""From an error template to a rule in YAML, checked against what it must match and what it must not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log, sqrt
from pathlib import Path

from airflow_autoremed.errors import InvalidRuleError, PatternError
from airflow_autoremed.failures.authoring.check import faults_of, judge
from airflow_autoremed.failures.error_templates import Template
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.pattern_literals import analyse
from airflow_autoremed.failures.rules.rule import Rule, make_rule
from airflow_autoremed.log_text import mask
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import UNKNOWN, Classification

HEALTHY_LINES = Path(__file__).parents[1] / "healthy_lines.txt"
"""Lines of applications that succeeded, many of them alarming; ours, in Spark's style."""

DEFAULT_CATEGORY = "user_code_error"
"""Where nothing hints at a category. With ``restartable: as_is``, which every draft has, it changes no retry."""

_PLACEHOLDER = re.compile(r"<(?:time|uuid|url|path|host|name|hex|id|num)>|\*\*\*")
_GAPS = {
    "<num>": r".{1,80}",
    "<name>": r".{1,120}",
    "<time>": r".{1,40}",
    "<url>": r".{1,300}",
    "<path>": r".{1,300}",
}
_GAP = r".{1,120}"
_WIDE = r".{1,200}"
_SHORTEST_TEXT = 4
"""Characters of text between two gaps that are worth keeping; shorter, the gaps become one."""
_MOST_GAPS = 4
_LONGEST_PATTERN = 180
_FEWEST_LETTERS = 10
_RANKS = (25, 29, 60)
"""A last resort, so that no rule of ours loses to it, unless its own example is then lost to another."""
_NEAR = 0.3
"""Cosine from which on the nearest rule is worth a look. It is a pointer and no guess at the category: of rules that
were held out in turn, 37% had the category of their nearest other rule, however near that was."""


@dataclass(frozen=True)
class Hint:
    """A category with where it comes from, in words."""

    category: str
    why: str


@dataclass(frozen=True)
class Draft:
    """A rule for one template. Without ``rule``, ``not_ready`` says why."""

    template: Template
    rule: Rule | None
    yaml: str
    """The entry of a rule file; empty where there is no rule."""
    category: Hint
    notes: tuple[str, ...] = ()
    not_ready: str = ""


Judge = Callable[[Catalogue], Classification]
"""What a catalogue says about one text, wherever that comes from."""


@dataclass(frozen=True)
class HealthyText:
    """Something that no rule may name a failure in."""

    name: str
    judge: Judge = field(repr=False)


def draft(
    template: Template, catalogue: Catalogue, healthy: Sequence[HealthyText], hint: Hint | None = None
) -> Draft:
    """A rule for ``template``, ready to be put into a file once its category is confirmed.

    :param catalogue: all rules in force: the draft must not lose its example to them.
    :param hint: what its category may be.
    """
    category = hint or Hint(DEFAULT_CATEGORY, "nothing hints at one")
    pattern = pattern_of(template.text)
    if pattern is None:
        return Draft(
            template, None, "", category, not_ready="it has too little text to be told from other lines"
        )
    pattern = _fitted(pattern, template.line)
    entry = _Entry(
        id=_id_of(template),
        category=category.category,
        rank=_RANKS[0],
        pattern=pattern,
        summary=_summary(template),
        example=_printable(template.text),
    )
    notes: list[str] = []
    try:
        entry = _ranked(entry, catalogue)
        rule = entry.rule()
    except InvalidRuleError as error:
        return Draft(template, None, "", category, not_ready=f"its pattern {error}")
    faults = faults_of(rule)
    alarms = alarms_of(rule, healthy)
    if alarms and not faults:
        entry = replace(entry, only_if_failed=True)
        rule = entry.rule()
        notes.append(
            f"its text stands in {_listed(alarms)} too: it counts only where the log shows a failure"
        )
        faults, alarms = faults_of(rule), alarms_of(rule, healthy)
    not_ready = ""
    if faults:
        not_ready = f"it {faults[0]}"
    elif alarms:
        not_ready = f"it would name a failure in {_listed(alarms)}, which succeeded; add an 'unless'"
    return Draft(template, rule, entry.yaml(), category, tuple(notes), not_ready)


def alarms_of(rule: Rule, healthy: Sequence[HealthyText]) -> list[str]:
    """The names of those in which the rule would find a failure."""
    alone = Catalogue((rule.as_users(),))
    return [text.name for text in healthy if text.judge(alone).rule is not None]


def pattern_of(text: str) -> str | None:
    """A pattern for lines that mask to ``text``: its literal pieces with bounded gaps between.

    It matches the masked line too, which can so serve as an example that gives nothing away. ``None`` where there is
    too little text, or none that the matcher could look for.
    """
    pieces: list[str] = []
    gap = ""
    end = 0
    for found in [*_PLACEHOLDER.finditer(text), None]:
        literal = text[end : found.start() if found else len(text)]
        words = literal.lstrip() if not pieces else literal
        if words and (len(words) >= _SHORTEST_TEXT or (not pieces and len(words.strip()) >= _SHORTEST_TEXT)):
            if pieces:
                pieces.append(gap)
            pieces.append(_escaped(_clipped(words)))
            gap = ""
        elif words and gap:
            gap = _WIDE
        if found is None or len(pieces) // 2 >= _MOST_GAPS or sum(map(len, pieces)) >= _LONGEST_PATTERN:
            break
        gap = _WIDE if gap else _GAPS.get(found[0], _GAP)
        end = found.end()
    pattern = "".join(pieces).rstrip()
    if sum(map(str.isalpha, pattern)) < _FEWEST_LETTERS:
        return None
    try:
        return pattern if analyse(pattern).literals else None
    except PatternError:
        return pieces[0] if sum(map(str.isalpha, pieces[0])) >= _FEWEST_LETTERS else None


def _fitted(pattern: str, line: str) -> str:
    """With any white space for a blank, where the line has more of it than its masked form."""
    loose = pattern.replace(" ", r"\s{1,9}")
    if re.search(pattern, line) is not None or re.search(loose, line) is None:
        return pattern
    try:
        return loose if analyse(loose).literals else pattern
    except PatternError:
        return pattern


def _clipped(text: str) -> str:
    if len(text) <= _LONGEST_PATTERN:
        return text
    return text[:_LONGEST_PATTERN].rpartition(" ")[0] or text[:_LONGEST_PATTERN]


def _escaped(text: str) -> str:
    """Only what must be: the pattern is for people too. What cannot be printed matches anything."""
    return "".join(
        "\\" + character if character in "\\.^$*+?{}[]|()" else character if character.isprintable() else "."
        for character in text
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


@dataclass(frozen=True)
class _Entry:
    id: str
    category: str
    rank: int
    pattern: str
    summary: str
    example: str
    only_if_failed: bool = False

    def rule(self) -> Rule:
        """:raises InvalidRuleError: with why it is none."""
        import yaml

        return make_rule(yaml.safe_load(self.yaml())[0]).as_users()

    def yaml(self) -> str:
        lines = [
            f"- id: {self.id}",
            f"  category: {self.category}",
            f"  rank: {self.rank}",
            f"  pattern: {_quoted(self.pattern)}",
            *(["  only_if_failed: true"] if self.only_if_failed else []),
            "  restartable: as_is",
            f"  summary: {_quoted(self.summary)}",
            "  examples:",
            f"    - {_quoted(self.example)}",
        ]
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _id_of(template: Template) -> str:
    """Words of the template, with digits of its digest so that no two are alike."""
    words: list[str] = []
    for word in re.findall(r"[A-Za-z]{2,40}", _PLACEHOLDER.sub(" ", template.text)):
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", word)
        words.extend(part.lower() for part in parts)
    skipped = {
        "org",
        "com",
        "java",
        "apache",
        "spark",
        "lang",
        "the",
        "of",
        "in",
        "to",
        "is",
        "io",
        "util",
        "a",
    }
    kept = [word for word in words if word not in skipped and len(word) > 1][:5]
    return "-".join(["suggested", *kept, template.id[:6]])


def _summary(template: Template) -> str:
    text = _printable(template.text)
    return "A failure that reads: " + (text if len(text) <= 120 else text[:117] + "...")


def _ranked(entry: _Entry, catalogue: Catalogue) -> _Entry:
    """With the lowest of the ranks at which its example is its own among all rules.

    Of equal ranks the user's rule comes first, as the draft will.
    """
    verdict = judge(catalogue, entry.rule(), entry.example, assume_failed=True)
    taken = 0 if verdict.rule is None else catalogue.get(verdict.rule).rank
    return replace(entry, rank=next((rank for rank in _RANKS if rank >= taken), _RANKS[0]))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ---------------------------------------------------------------------------------------------- the nearest rule


class RuleExamples:
    """The examples of all rules, to find the one that a template reads most like. Building it takes about 0.2 s."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        texts = [
            (rule, _words(mask(example)))
            for rule in rules
            if rule.category in CATEGORIES and rule.category != UNKNOWN
            for example in rule.examples
        ]
        frequency = Counter(word for _, words in texts for word in set(words))
        self._rarity = {word: log((1 + len(texts)) / (1 + count)) + 1 for word, count in frequency.items()}
        self._vectors = [(rule, _vector(words, self._rarity)) for rule, words in texts]

    def nearest(self, template: Template) -> Rule | None:
        """The rule whose example reads most like ``template``, if one is near."""
        mine = _vector(_words(template.text), self._rarity)
        best, nearness = None, 0.0
        for rule, vector in self._vectors:
            likeness = sum(value * vector.get(word, 0.0) for word, value in mine.items())
            if likeness > nearness:
                best, nearness = rule, likeness
        return best if nearness >= _NEAR else None


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Za-z]{3,}", _PLACEHOLDER.sub(" ", text))]


def _vector(words: Iterable[str], rarity: dict[str, float]) -> dict[str, float]:
    most = max(rarity.values(), default=1.0)
    values = {word: rarity.get(word, most) for word in set(words)}
    length = sqrt(sum(value * value for value in values.values()))
    return {word: value / length for word, value in values.items()} if length else {}
