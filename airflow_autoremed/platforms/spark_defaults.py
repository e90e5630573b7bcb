"""What a run gets from files on this machine: ``properties_file``, else ``spark-defaults.conf``.

They stand below what the task itself declares, and hold what an administrator, or the author, has chosen: a patch must
know it in order not to fall below it. Only settings that a patch may change are read, and of JVM options only sized
flags ever leave this module: these files hold passwords too.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_autoremed.spark.keys import PATCHABLE, SIZED_FLAGS

_MOST = 1024 * 1024
_FILE = "spark-defaults.conf"
_LINE = re.compile(r"([^\s=:]+)(?:\s*[=:]\s*|\s+)(.*)")
"""A line of a properties file, as java.util.Properties splits it."""


@dataclass(frozen=True)
class Defaults:
    """What a file sets."""

    conf: Mapping[str, str] = field(default_factory=dict)
    """Settings that a patch may change; of JVM options the sized flags alone."""
    seen: bool = True
    """Whether the file that holds is known; ``False`` where it is not, or cannot be read from here."""
    options: Mapping[str, str] = field(default_factory=dict)
    """By key, the other JVM options of the file, where all are flags such as ``-XX:+UseG1GC``. They have to be repeated
    beside a changed size, because ``--conf`` replaces the whole of them."""
    left_alone: frozenset[str] = frozenset()
    """JVM options among which others stand, system properties for example: they may hold a password, so they are
    never repeated, and nothing of theirs is changed."""


def defaults_of(properties_file: str | None, binary: str | None, env: Mapping[str, str]) -> Defaults:
    """What a spark-submit of this worker takes from files.

    :param properties_file: of the task; it replaces ``spark-defaults.conf`` as a whole.
    :param binary: the command that is run, for finding Spark's home as the command itself does.
    :param env: the environment that it is given.
    """
    if properties_file:
        return _read(Path(str(properties_file)), must_be_there=True)
    folder = _conf_folder(binary, env)
    if folder is None:
        return Defaults(seen=False)
    return _read(folder / _FILE, must_be_there=False)


def sized_flags(options: str) -> str:
    """Of JVM options those that set one of the sizes that a patch may change."""
    return " ".join(word for word in options.split() if word.startswith(SIZED_FLAGS))


def other_options(options: str) -> str:
    """All others."""
    return " ".join(word for word in options.split() if not word.startswith(SIZED_FLAGS))


def _conf_folder(binary: str | None, env: Mapping[str, str]) -> Path | None:
    if env.get("SPARK_CONF_DIR"):
        return Path(env["SPARK_CONF_DIR"])
    home = env.get("SPARK_HOME") or _home_of(binary, env)
    return Path(home) / "conf" if home else None


def _home_of(binary: str | None, env: Mapping[str, str]) -> str | None:
    """Spark's home, as its own scripts find it: above ``bin/``, or the package that pip installed beside it."""
    found = shutil.which(binary or "spark-submit", path=env.get("PATH"))
    if found is None:
        return None
    command = Path(found).resolve()
    above = command.parent.parent
    if (above / "jars").is_dir():
        return str(above)
    if (command.parent / "find_spark_home.py").is_file() and command.parent == Path(
        sys.prefix
    ).resolve() / "bin":
        package = importlib.util.find_spec("pyspark")
        return str(Path(package.origin).parent) if package is not None and package.origin else None
    return None


def _read(path: Path, *, must_be_there: bool) -> Defaults:
    try:
        if not path.is_file():
            return Defaults(seen=not must_be_there and not path.exists())
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST + 1)
    except OSError:
        return Defaults(seen=False)
    if len(text) > _MOST:
        return Defaults(seen=False)
    conf: dict[str, str] = {}
    options: dict[str, str] = {}
    left_alone: set[str] = set()
    for line in re.sub(r"\\\r?\n[ \t]*", "", text).splitlines():
        if line.lstrip().startswith(("#", "!")):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or found[1] not in PATCHABLE:
            continue
        key, value = found[1], found[2].strip()
        if key.endswith("Options"):
            others = other_options(value)
            if all(word.startswith("-X") for word in others.split()):
                options[key] = others
            else:
                left_alone.add(key)
            value = sized_flags(value)
        if value:
            conf[key] = value
    return Defaults(conf, options=options, left_alone=frozenset(left_alone))


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The worker's environment, with what the task changes of it."""
    return {**os.environ, **{str(name): str(value) for name, value in (changes or {}).items()}}
