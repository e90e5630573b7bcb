"""The catalogue: the package's rules and the user's, checked, in order, ready to match.

One bad entry costs one entry, whatever is in it. A rule file is small and flat: what is not is not parsed, because the
parser itself can be brought down by deep nesting, and by aliases of aliases.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow_autoremed.errors import CatalogueError, InvalidRuleError, UnreadableRulesError
from airflow_autoremed.failures.rules import compiled_cache, spark_conditions
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.outcome_signs import Sign, make_signs
from airflow_autoremed.failures.rules.rule import Rule, RuleProblem, make_rule

MAX_FILE = 4 * 1024**2
"""Bytes of a rule file. Ours have a tenth of it."""
_LONGEST_FAULT = 500
_DEEPEST = 12
"""Levels of nesting within an entry. The deepest of ours has three."""

CATALOGUE_DIR = Path(__file__).parents[1] / "catalogue"
_ENTRY = re.compile(r"^- ", re.MULTILINE)


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
    errors: list[RuleProblem] = []
    users: list[Rule] = []
    seen: set[str] = set()
    for file in _files(paths, errors):
        rules, faults = read_rules(file)
        errors.extend(faults)
        for rule in rules:
            if rule.id in seen:
                errors.append(
                    RuleProblem(
                        rule.path, rule.line, rule.id, "has an id that an earlier rule has; rename one"
                    )
                )
                continue
            seen.add(rule.id)
            users.append(rule.as_users())
    known = {rule.id for rule in ours}
    named = frozenset(identifier for identifier in seen if identifier.startswith(spark_conditions.PREFIXES))
    if named:
        known.update(spark_conditions.load_conditions().ids())
    for rule in users:
        if rule.silence and rule.id not in known:
            import difflib

            close = difflib.get_close_matches(rule.id, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            errors.append(
                RuleProblem(rule.path, rule.line, rule.id, "silences a rule that does not exist" + hint)
            )
    kept = [rule for rule in users if not rule.silence]
    in_force = (*kept, *(rule for rule in ours if rule.id not in seen))
    gone = {rule.id for rule in users if rule.silence}
    silenced = frozenset(rule.category for rule in ours if rule.id in gone)
    return Catalogue(
        in_force, tuple(errors), signs, conditions=True, silenced=named, silenced_categories=silenced
    )


@lru_cache(maxsize=1)
def _package() -> tuple[tuple[Rule, ...], tuple[Sign, ...]]:
    """The package's rules and the signs, from the cache where it holds them."""
    files, key = _package_files()
    kept = compiled_cache.read(key)
    if kept is not None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            rules = tuple(
                Rule.from_dict({**plain, "path": str(CATALOGUE_DIR / plain["path"])})
                for plain in kept["rules"]
            )
            return rules, tuple(map(Sign.from_list, kept["signs"]))
    rules, signs = _compile(files)
    compiled_cache.write(key, _as_json(rules, signs))
    return rules, signs


def compiled_package() -> bytes:
    """The package's catalogue as it is shipped beside the rules, see :mod:`~airflow_autoremed.failures.rules.compiled_cache`.

    :raises CatalogueError: the package's own rules cannot be read.
    """
    files, key = _package_files()
    return compiled_cache.seal(key, _as_json(*_compile(files)))


def _package_files() -> tuple[list[Path], str]:
    files = sorted(CATALOGUE_DIR.glob("*.yaml"))
    if not files:
        raise CatalogueError(f"no rules in {CATALOGUE_DIR}; reinstall airflow-autoremed")
    try:
        return files, compiled_cache.fingerprint(files)
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


def _files(paths: Iterable[Path | str], errors: list[RuleProblem]) -> list[Path]:
    files: list[Path] = []
    for entry in paths:
        path = Path(entry).expanduser()
        if path.is_dir():
            files.extend(sorted([*path.glob("*.yaml"), *path.glob("*.yml")]))
        elif path.exists():
            files.append(path)
        else:
            errors.append(
                RuleProblem(str(path), 0, "", "does not exist; write a YAML file or a directory of them")
            )
    return files


def read_rules(path: Path) -> tuple[list[Rule], list[RuleProblem]]:
    """All good rules of one file, and what is wrong with the others."""
    try:
        text = _text_of(path)
    except (OSError, ValueError) as error:
        return [], [RuleProblem(str(path), 0, "", f"cannot be read: {error}")]
    rules: list[Rule] = []
    errors: list[RuleProblem] = []
    entries = _entries(text, path, errors)
    for plain, line in entries:
        identifier = str(plain.get("id", ""))[:100] if isinstance(plain, dict) else ""
        try:
            if isinstance(plain, _Odd):
                raise InvalidRuleError(
                    f"has a value that is none ({plain.why}); quote texts in single quotes"
                )
            rules.append(make_rule(plain, path, line))
        except InvalidRuleError as fault:
            errors.append(RuleProblem(str(path), line, identifier, str(fault)[:_LONGEST_FAULT]))
        except Exception as fault:  # noqa: BLE001 - values that nobody thought of
            told = f"cannot be used ({type(fault).__name__}: {str(fault)[:_LONGEST_FAULT]})"
            errors.append(RuleProblem(str(path), line, identifier, told))
    return rules, errors


def _text_of(path: Path) -> str:
    """The text of a regular file of a sensible size. Whatever else stands there (a pipe, a device) is not waited for.

    :raises OSError: when it cannot be read. :raises ValueError: when it is no text, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ValueError(f"it is larger than {MAX_FILE:,} bytes")
    return raw.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _entries(text: str, path: Path, errors: list[RuleProblem]) -> list[tuple[Any, int]]:
    """The entries of the list with their lines; one with a YAML error takes no other down."""
    import yaml

    try:
        return _parse(text, 0)
    except (yaml.YAMLError, UnreadableRulesError) as error:
        pieces = _pieces(text)
        if len(pieces) < 2:
            errors.append(_problem(error, path, 0))
            return []
    except InvalidRuleError as error:
        errors.append(
            RuleProblem(str(path), 1, "", f"holds {error}; write a list: every rule begins with '- id: ...'")
        )
        return []
    entries: list[tuple[Any, int]] = []
    for piece, offset in pieces:
        try:
            entries.extend(_parse(piece, offset))
        except (yaml.YAMLError, UnreadableRulesError) as error:  # noqa: PERF203 - as above
            errors.append(_problem(error, path, offset))
        except InvalidRuleError as error:
            errors.append(RuleProblem(str(path), offset + 1, "", f"holds {error}; write '- id: ...'"))
    return entries


def _parse(text: str, offset: int) -> list[tuple[Any, int]]:
    import yaml

    _check_shape(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise InvalidRuleError("a single value or mapping")
        found = []
        for item in node.value:
            line = item.start_mark.line + offset + 1
            try:
                found.append((loader.construct_document(item), line))
            except yaml.YAMLError:
                raise
            except Exception as error:  # noqa: BLE001 - a date that no calendar has, a number that is none
                found.append((_Odd(" ".join(str(error).split())[:200]), line))
        return found
    finally:
        loader.dispose()


class _Odd:
    """An entry with a value that YAML cannot make: a date that no calendar has, a number that is none."""

    def __init__(self, why: str) -> None:
        self.why = why


def _check_shape(text: str) -> None:
    """Read the events of *text* one by one, before anything is built of them.

    :raises UnreadableRulesError: when it is nested deeper than any rule, which can bring the parser down, or has an anchor on
        more than a text, of which a few lines can make gigabytes.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise UnreadableRulesError(f"lists and mappings more than {_DEEPEST} levels deep")
            if event.anchor is not None:
                raise UnreadableRulesError(
                    "an anchor (&) on a list or mapping; write it out where it is used"
                )
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1


def _pieces(text: str) -> list[tuple[str, int]]:
    starts = [match.start() for match in _ENTRY.finditer(text)]
    ends = [*starts[1:], len(text)] if starts else []
    return [(text[start:end], text.count("\n", 0, start)) for start, end in zip(starts, ends, strict=True)]


def _problem(error: Exception, path: Path, offset: int) -> RuleProblem:
    if isinstance(error, UnreadableRulesError):
        return RuleProblem(str(path), offset + 1, "", f"holds {error}")
    mark = getattr(error, "problem_mark", None)
    line = offset + mark.line + 1 if mark is not None else offset
    problem = getattr(error, "problem", None) or str(error)
    return RuleProblem(
        str(path), line, "", f"is not YAML ({problem}); quote texts with ': ' or '#' in single quotes"
    )
