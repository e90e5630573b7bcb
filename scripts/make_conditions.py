"""Write the table of Spark's error conditions from the installed pyspark and the hand-written mapping.

``python scripts/make_conditions.py`` writes ``conditions.json`` and ``words.txt`` beside
``airflow_autoremed/failures/catalogue_conditions/mapping.yaml``; ``--check`` only says whether they are up to date.
It fails where the installed pyspark has a condition that the mapping does not cover, or the mapping a name that is
none. Logs come from more than one version: ``--add HOME`` reads the conditions of another pyspark's directory (as
unpacked from its archive) and keeps those that the installed one lacks in ``scripts/other_conditions.json.gz``.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from airflow_autoremed.failures.rules.spark_conditions import TABLE, WORDS, identifier_of, shorten
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable

MAPPING = TABLE.with_name("mapping.yaml")
OTHERS = Path(__file__).with_name("other_conditions.json.gz")
"""Conditions and sub-conditions of other versions of Spark: message, SQLSTATE and the versions looked at."""
LEGACY = "_LEGACY_ERROR_TEMP_"


class MappingError(ValueError):
    """The mapping does not cover the installed pyspark, or does not fit it."""


@dataclass(frozen=True)
class Source:
    """The conditions of the installed pyspark."""

    version: str
    jvm: Mapping[str, Any]
    python: Mapping[str, Any]
    states: Mapping[str, Any]
    classes: Mapping[str, str]


@dataclass
class Mapped:
    """The mapping, ready to look up."""

    ranks: Mapping[str, int]
    hints: Mapping[str, str]
    pyspark: dict[str, Any]
    families: Mapping[str, dict[str, Any]]
    classes: Mapping[str, dict[str, Any]]
    sqlstates: Mapping[str, dict[str, Any]]
    names: dict[str, dict[str, Any]] = field(default_factory=dict)
    elsewhere: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, name: str, sub: str, state: str, python: bool) -> dict[str, Any]:
        """The most exact entry for a condition.

        :raises MappingError: there is none.
        """
        for key in (f"{name}.{sub}", name) if sub else (name,):
            if key in self.names:
                return self.names[key]
        if python:
            return self.pyspark
        if state:
            for key, entries in ((state, self.sqlstates), (state[:2], self.classes)):
                if key in entries:
                    return entries[key]
        for prefix, entry in self.families.items():
            if name.startswith(prefix):
                return entry
        where = f"SQLSTATE {state}" if state else "no SQLSTATE"
        raise MappingError(
            f"{name} ({where}) is not covered; add it to a group of conditions in {MAPPING.name}"
            + (f", or its class {state[:2]!r} to classes" if state else "")
        )


def read_source(home: Path | None = None) -> Source:
    """Read the conditions of a pyspark: the JVM's from its jars, Python's from the package.

    :param home: the directory of the package; default: the installed one.
    :raises MappingError: pyspark is not installed, or its conditions are nowhere to be found.
    """
    if home is None:
        spec = find_spec("pyspark")
        if spec is None or spec.origin is None:
            raise MappingError("pyspark is not installed")
        home = Path(spec.origin).parent
    for jar in sorted(home.glob("**/spark-c*_2.1*.jar"), key=lambda jar: ("-core_" in jar.name, jar.name)):
        with zipfile.ZipFile(jar) as archive:
            parts = _parts(archive)
        if parts is not None:
            conditions, states, classes = parts
            return Source(jar.stem.rsplit("-", 1)[1], conditions, _python(home), states, classes)
    raise MappingError(f"no jar with error conditions in {home}")


def _parts(archive: zipfile.ZipFile) -> tuple[Any, Any, Any] | None:
    """Conditions, SQLSTATEs and their classes in a jar; up to Spark 3.5 the conditions are called classes."""
    names = archive.namelist()

    def read(name: str) -> Any:
        return json.loads(archive.read(name)) if name in names else {}

    if "error/error-conditions.json" in names:
        return tuple(read(f"error/error-{part}.json") for part in ("conditions", "states", "classes"))
    conditions = read("error/error-classes.json")
    return (conditions, {}, {}) if "DIVIDE_BY_ZERO" in conditions else None


def _python(home: Path) -> Any:
    """The Python side's own conditions; up to Spark 3.5 a text in a module, before 3.4 there were none."""
    for path in home.glob("**/errors/error-conditions.json"):
        return json.loads(path.read_text(encoding="utf-8"))
    for path in home.glob("**/errors/error_classes.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ERROR_CLASSES_JSON":
                return json.loads(ast.literal_eval(node.value))
    return {}


def with_others(source: Source, path: Path = OTHERS) -> Source:
    """``source`` with the conditions that only other versions have."""
    others = _kept(path)
    return replace(
        source,
        jvm=_merged(source.jvm, others.get("jvm", {})),
        # The other way round: pyspark and pyspark-client bring this file in one place, and which of the two is
        # there depends on which was installed last.
        python=_merged(others.get("python", {}), source.python),
    )


def _kept(path: Path) -> dict[str, Any]:
    """What was kept of other versions before; nothing without the file."""
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}
    return found


def add_others(installed: Source, other: Source, path: Path = OTHERS) -> None:
    """Keep what ``other`` has and neither ``installed`` nor a version that was added before; all of Python's."""
    known = {"versions": [], **_kept(path)}
    for side, here, there in (
        ("jvm", installed.jvm, other.jvm),
        ("python", installed.python, other.python),
    ):
        kept = known.setdefault(side, {})
        for name, condition in ({**there, **here} if side == "python" else there).items():
            if side == "python":
                if name not in installed.jvm:
                    kept.setdefault(name, {key: condition[key] for key in condition if key != "sqlState"})
                continue
            subs = {
                sub: {"message": inner["message"]}
                for sub, inner in _subs(condition).items()
                if sub not in _subs(here.get(name, {}))
            }
            if name in here and not subs:
                continue
            entry = kept.setdefault(name, {"message": condition["message"]})
            if condition.get("sqlState") and name not in here:
                entry.setdefault("sqlState", condition["sqlState"])
            if subs:
                entry["subClass"] = subs | entry.get("subClass", {})
    known["versions"] = sorted({*known["versions"], other.version})
    text = json.dumps(known, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def _merged(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(here)
    for name, other in there.items():
        condition = merged.get(name)
        if condition is None:
            merged[name] = other
        elif _subs(other):
            merged[name] = {**condition, "subClass": {**_subs(other), **_subs(condition)}}
    return merged


def _subs(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    return condition.get("subClass") or condition.get("sub_class") or {}


def read_mapping(path: Path = MAPPING) -> Mapped:
    """Read and check the hand-written mapping.

    :raises MappingError: with what is wrong.
    """
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    mapped = Mapped(
        *(plain[key] for key in ("ranks", "hints", "pyspark", "families", "classes", "sqlstates"))
    )
    for group in plain["conditions"]:
        if not group.get("why"):
            raise MappingError(f"a group of {group.get('category')} lacks 'why'")
        names = [*group.get("names", ()), *(f"{LEGACY}{number}" for number in group.get("legacy", ()))]
        for into, added in ((mapped.names, names), (mapped.elsewhere, group.get("elsewhere", ()))):
            for name in added:
                if name in mapped.names or name in mapped.elsewhere:
                    raise MappingError(f"{name} is listed twice")
                into[name] = group
    everything = (
        mapped.pyspark,
        *mapped.families.values(),
        *mapped.classes.values(),
        *mapped.sqlstates.values(),
        *plain["conditions"],
    )
    for entry in everything:
        category = entry.get("category")
        if category not in CATEGORIES:
            raise MappingError(f"unknown category {category!r}")
        if entry.get("restartable") is not None:
            Restartable(entry["restartable"])
        if category != "unknown" and category not in mapped.ranks and "rank" not in entry:
            raise MappingError(f"no rank for {category}")
    return mapped


def make(source: Source, mapped: Mapped) -> tuple[str, str]:
    """The content of ``conditions.json`` and of ``words.txt``.

    :raises MappingError: a condition is not covered, or the mapping names one that is not there.
    """
    groups: dict[str, int] = {}

    def number(entry: Mapping[str, Any]) -> int:
        category = entry["category"]
        rank = entry.get("rank", mapped.ranks.get(category, 1))
        hint = entry.get("hint", mapped.hints.get(category, ""))
        key = json.dumps([category, entry.get("restartable") or "", rank, hint])
        return groups.setdefault(key, len(groups))

    faults: list[str] = []
    lines: dict[str, list[Any]] = {}
    templates: dict[str, str] = {}
    known: set[str] = set()
    for conditions, python in ((source.jvm, False), (source.python, True)):
        for name, condition in sorted(conditions.items()):
            if python and name in source.jvm:
                continue  # Spark's own meaning; the few that are in both say the same
            state = condition.get("sqlState") or ""
            message = " ".join(condition["message"])
            subs = _subs(condition)
            known.update([name, *(f"{name}.{sub}" for sub in subs)])
            try:
                group = number(mapped.of(name, "", state, python))
                if name.startswith(LEGACY):
                    lines[name] = [group, ""]
                    templates[name] = condition["message"][0] if condition["message"] else ""
                    continue
                entry: list[Any] = [group, shorten(message)]
                if subs:
                    entry.append({})
                for sub, inner in sorted(subs.items()):
                    own = number(mapped.of(name, sub, state, python))
                    text = shorten(" ".join(inner["message"]))
                    entry[2][sub] = text if own == group else [own, text]
                lines[name] = entry
            except MappingError as fault:
                faults.append(str(fault))
    faults += [
        f"{name} is no condition of pyspark {source.version}, nor of a version that was added; if it is one of another "
        "version, keep that version's conditions with --add HOME (the directory of its pyspark)"
        for name in mapped.names
        if name not in known
    ]
    for name, elsewhere in mapped.elsewhere.items():
        if name in known:
            faults.append(f"{name} is a condition of pyspark; move it from elsewhere to names")
        lines[name] = [number(elsewhere), ""]
    ids: dict[str, str] = {}
    for name, entry in lines.items():
        for sub in ["", *(entry[2] if len(entry) > 2 else ())]:
            identifier = identifier_of(name, sub)
            if identifier in ids:
                faults.append(f"{name}.{sub} and {ids[identifier]} have the same id {identifier}")
            ids[identifier] = f"{name}.{sub}"
    if faults:
        raise MappingError("\n".join(faults))
    states = {}
    for key, entry in [*mapped.classes.items(), *mapped.sqlstates.items()]:
        meaning = source.classes.get(key) or source.states.get(key, {}).get("description", "")
        states[key] = [number(entry), " ".join(meaning.split()).strip(" .").lower()]
    python_only = [name for name in lines if name in source.python and name not in source.jvm]
    return _written(source.version, groups, states, python_only, lines, templates), _words(lines)


def _written(
    version: str,
    groups: Mapping[str, int],
    states: Mapping[str, Any],
    python: list[str],
    lines: Mapping[str, Any],
    templates: Mapping[str, str],
) -> str:
    """JSON with one condition per line, so that a new version of Spark gives a readable difference."""

    def rows(plain: Mapping[str, Any]) -> str:
        return ",\n".join(f"{json.dumps(key)}:{_compact(value)}" for key, value in sorted(plain.items()))

    return (
        f'{{"spark":"{version}",\n"groups":[\n'
        + ",\n".join(_compact(json.loads(group)) for group in groups)
        + '],\n"states":{\n'
        + rows(states)
        + '},\n"python":'
        + _compact(sorted(python))
        + ',\n"conditions":{\n'
        + rows(lines)
        + '},\n"templates":{\n'
        + rows({name: text for name, text in templates.items() if lines[name][0] is not None})
        + "}}\n"
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_BEGINNING = 7


def _words(names: Mapping[str, Any]) -> str:
    """How every name begins: few beginnings, each with its bracket as long as hyperscan likes a literal to be.

    Of shorter ones (``[V2_``) it needs a quarter longer for a log, see ``failures/rules/literal_rarity.py``.
    """
    return "\n".join(sorted({name[:_BEGINNING] for name in names})) + "\n"


def main() -> int:
    """Write the files, or check them; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the files are stale")
    parser.add_argument("--add", type=Path, action="append", default=[], help="directory of another pyspark")
    arguments = parser.parse_args()
    try:
        source = read_source()
        for home in arguments.add:
            add_others(source, read_source(home))
        made = make(with_others(source), read_mapping())
    except MappingError as fault:
        print(fault, file=sys.stderr)
        return 1
    for path, content in zip((TABLE, WORDS), made, strict=True):
        if arguments.check:
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                print(f"{path} is stale; run python scripts/make_conditions.py", file=sys.stderr)
                return 1
        else:
            path.write_text(content, encoding="utf-8")
    count = sum(len(v.get("subClass", ())) for v in source.jvm.values())
    print(
        f"Spark {source.version}: {len(source.jvm)} conditions, {count} sub-conditions, "
        f"{len(source.python)} of PySpark; {len(made[0]) / 1000:.0f} kB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
