"""The catalogue: the package's rules and the user's, checked, in order, ready to match."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_autoremed.failures import caching, conditions
from airflow_autoremed.failures.engines import Engine, make_engine
from airflow_autoremed.failures.rules import CatalogueError, InvalidRuleError, Rule, RuleError, make_rule
from airflow_autoremed.failures.signs import Sign, make_signs

if TYPE_CHECKING:
    from airflow_autoremed.failures.matching import LogMatcher

CATALOGUE_DIR = Path(__file__).with_name("catalogue")
_PART = 256 * 1024
_ENTRY = re.compile(r"^- ", re.MULTILINE)


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
    """The number that stands for a place where one of Spark's own error conditions may be named."""
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
    warnings: tuple[RuleError, ...] = ()
    """What is wrong with the user's rules; the rest of them is in force."""
    signs: tuple[Sign, ...] = field(default_factory=make_signs)
    conditions: bool = False
    """Whether Spark's own error conditions count besides the rules."""
    silenced: frozenset[str] = frozenset()
    """Ids of conditions that the user's rules replace or remove."""
    _indexes: dict[str | None, Index] = field(default_factory=dict, repr=False)

    def get(self, identifier: str) -> Rule:
        """The rule of that id.

        :raises KeyError: with the nearest known id.
        """
        for rule in self.rules:
            if rule.id == identifier:
                return rule
        if self.conditions and identifier.startswith(conditions.PREFIXES):
            condition = conditions.load_conditions().get(identifier, self.silenced)
            if condition is not None:
                return condition
        import difflib

        known = [rule.id for rule in self.rules]
        if self.conditions and identifier.startswith(conditions.PREFIXES):
            known += conditions.load_conditions().ids()
        close = difflib.get_close_matches(identifier, known, n=1)
        raise KeyError(f"no rule {identifier!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def matcher(self, engine: str | None = None, assume_failed: bool = False) -> LogMatcher:
        """A new matcher for one failure. See :class:`~airflow_autoremed.failures.matching.LogMatcher`."""
        from airflow_autoremed.failures.matching import LogMatcher

        return LogMatcher(self, engine, assume_failed)

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
            wanted.append(conditions.literals())
        for number, literals in enumerate(wanted):
            for literal in literals:
                targets.setdefault(literal.encode("utf-8"), []).append(number)
        return targets


def load_catalogue(rules_paths: Sequence[Path | str] = ()) -> Catalogue:
    """The package's rules with the user's in front, cached per process.

    :param rules_paths: files or directories with rules of the user's. A broken rule is reported in
        :attr:`Catalogue.warnings` and left out.
    :raises CatalogueError: the package's own rules cannot be read.
    """
    return _load(tuple(Path(path).expanduser() for path in rules_paths), _stamp(rules_paths))


def _stamp(paths: Sequence[Path | str]) -> tuple[tuple[str, int, int], ...]:
    """Changes when a user's rule file changes, so that a long-lived process sees it."""
    stamps = []
    for file in _files(paths, []):
        try:
            state = file.stat()
        except OSError:
            continue
        stamps.append((str(file), state.st_mtime_ns, state.st_size))
    return tuple(stamps)


@lru_cache(maxsize=8)
def _load(paths: tuple[Path, ...], _stamp: tuple[tuple[str, int, int], ...]) -> Catalogue:
    ours, signs = _package()
    errors: list[RuleError] = []
    users: list[Rule] = []
    seen: set[str] = set()
    for file in _files(paths, errors):
        rules, faults = read_rules(file)
        errors.extend(faults)
        for rule in rules:
            if rule.id in seen:
                errors.append(
                    RuleError(rule.path, rule.line, rule.id, "has an id that an earlier rule has; rename one")
                )
                continue
            seen.add(rule.id)
            users.append(rule.as_users())
    known = {rule.id for rule in ours}
    named = frozenset(identifier for identifier in seen if identifier.startswith(conditions.PREFIXES))
    if named:
        known.update(conditions.load_conditions().ids())
    for rule in users:
        if rule.silence and rule.id not in known:
            import difflib

            close = difflib.get_close_matches(rule.id, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            errors.append(
                RuleError(rule.path, rule.line, rule.id, "silences a rule that does not exist" + hint)
            )
    kept = [rule for rule in users if not rule.silence]
    in_force = (*kept, *(rule for rule in ours if rule.id not in seen))
    return Catalogue(in_force, tuple(errors), signs, conditions=True, silenced=named)


@lru_cache(maxsize=1)
def _package() -> tuple[tuple[Rule, ...], tuple[Sign, ...]]:
    """The package's rules and the signs, from the cache where it holds them."""
    files, key = _package_files()
    kept = caching.read(key)
    if kept is not None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            rules = tuple(
                Rule.from_dict({**plain, "path": str(CATALOGUE_DIR / plain["path"])})
                for plain in kept["rules"]
            )
            return rules, tuple(map(Sign.from_list, kept["signs"]))
    rules, signs = _compile(files)
    caching.write(key, _as_json(rules, signs))
    return rules, signs


def compiled_package() -> bytes:
    """The package's catalogue as it is shipped beside the rules, see :mod:`~airflow_autoremed.failures.caching`.

    :raises CatalogueError: the package's own rules cannot be read.
    """
    files, key = _package_files()
    return caching.seal(key, _as_json(*_compile(files)))


def _package_files() -> tuple[list[Path], str]:
    files = sorted(CATALOGUE_DIR.glob("*.yaml"))
    if not files:
        raise CatalogueError(f"no rules in {CATALOGUE_DIR}; reinstall airflow-autoremed")
    try:
        return files, caching.fingerprint(files)
    except OSError as error:
        raise CatalogueError(f"the rules cannot be read ({error}); reinstall airflow-autoremed") from error


def _compile(files: Sequence[Path]) -> tuple[tuple[Rule, ...], tuple[Sign, ...]]:
    by_id: dict[str, Rule] = {}
    for file in files:
        for rule in read_rules(file)[0]:
            by_id.setdefault(rule.id, rule)
    return tuple(by_id.values()), make_signs()


def _as_json(rules: Sequence[Rule], signs: Sequence[Sign]) -> dict[str, Any]:
    """Plain JSON; paths without the directory, which is another where the package is installed."""
    return {
        "rules": [{**rule.to_dict(), "path": Path(rule.path).name} for rule in rules],
        "signs": [sign.to_list() for sign in signs],
    }


def _files(paths: Iterable[Path | str], errors: list[RuleError]) -> list[Path]:
    files: list[Path] = []
    for entry in paths:
        path = Path(entry).expanduser()
        if path.is_dir():
            files.extend(sorted([*path.glob("*.yaml"), *path.glob("*.yml")]))
        elif path.exists():
            files.append(path)
        else:
            errors.append(
                RuleError(str(path), 0, "", "does not exist; write a YAML file or a directory of them")
            )
    return files


def read_rules(path: Path) -> tuple[list[Rule], list[RuleError]]:
    """All good rules of one file, and what is wrong with the others."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], [RuleError(str(path), 0, "", f"cannot be read: {error}")]
    rules: list[Rule] = []
    errors: list[RuleError] = []
    entries = _entries(text, path, errors)
    for plain, line in entries:
        try:
            rules.append(make_rule(plain, path, line))
        except InvalidRuleError as fault:  # noqa: PERF203 - one broken rule takes no other down
            identifier = plain.get("id", "") if isinstance(plain, dict) else ""
            errors.append(RuleError(str(path), line, str(identifier), str(fault)))
    return rules, errors


def _entries(text: str, path: Path, errors: list[RuleError]) -> list[tuple[Any, int]]:
    """The entries of the list with their lines; one with a YAML error takes no other down."""
    import yaml

    try:
        return _parse(text, 0)
    except yaml.YAMLError as error:
        pieces = _pieces(text)
        if len(pieces) < 2:
            errors.append(_yaml_error(error, path, 0))
            return []
    except _NotAListError as error:
        errors.append(
            RuleError(str(path), 1, "", f"holds {error}; write a list: every rule begins with '- id: ...'")
        )
        return []
    entries: list[tuple[Any, int]] = []
    for piece, offset in pieces:
        try:
            entries.extend(_parse(piece, offset))
        except yaml.YAMLError as error:  # noqa: PERF203 - as above
            errors.append(_yaml_error(error, path, offset))
        except _NotAListError as error:
            errors.append(RuleError(str(path), offset + 1, "", f"holds {error}; write '- id: ...'"))
    return entries


class _NotAListError(ValueError):
    pass


def _parse(text: str, offset: int) -> list[tuple[Any, int]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise _NotAListError("a single value or mapping")
        return [(loader.construct_document(item), item.start_mark.line + offset + 1) for item in node.value]
    finally:
        loader.dispose()


def _pieces(text: str) -> list[tuple[str, int]]:
    starts = [match.start() for match in _ENTRY.finditer(text)]
    ends = [*starts[1:], len(text)] if starts else []
    return [(text[start:end], text.count("\n", 0, start)) for start, end in zip(starts, ends, strict=True)]


def _yaml_error(error: Exception, path: Path, offset: int) -> RuleError:
    mark = getattr(error, "problem_mark", None)
    line = offset + mark.line + 1 if mark is not None else offset
    problem = getattr(error, "problem", None) or str(error)
    return RuleError(
        str(path), line, "", f"is not YAML ({problem}); quote texts with ': ' or '#' in single quotes"
    )
