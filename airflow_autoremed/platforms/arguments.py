"""The arguments of ``spark-submit``, as several platforms take them: options first, then the application and its own.

Names and arities are those of ``org.apache.spark.launcher.SparkSubmitOptionParser`` (2.4 to 4.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

FLAGS = {
    "spark.driver.memory": "--driver-memory",
    "spark.executor.memory": "--executor-memory",
    "spark.executor.cores": "--executor-cores",
    "spark.driver.cores": "--driver-cores",
    "spark.executor.instances": "--num-executors",
    "spark.cores.max": "--total-executor-cores",
}
_KEYS = {flag: key for key, flag in FLAGS.items()}
_WITHOUT_VALUE = frozenset(("--verbose", "-v", "--supervise", "--usage-error", "--version", "--help", "-h"))
_CONF = ("--conf", "-c")
_WITH_EQUALS = re.compile(r"(--[^=\s]+)=(.*)", re.DOTALL)


def read(arguments: Sequence[str]) -> dict[str, str]:
    """The configuration that *arguments* declare; a flag wins over ``--conf``, as in spark-submit."""
    conf: dict[str, str] = {}
    flags: dict[str, str] = {}
    for option, value, _, _ in _options(arguments):
        if option in _CONF and value is not None:
            key, equals, text = value.partition("=")
            if equals:
                conf[key.strip()] = text
        elif option in _KEYS and value is not None:
            flags[_KEYS[option]] = value
    return {**conf, **flags}


def write(arguments: Sequence[str], changes: Mapping[str, str], *, at: int = 0) -> list[str]:
    """*arguments* with *changes* where the author set the same key, flag or ``--conf`` or both; others are added.

    :param at: where new options go: behind what comes before the options.
    """
    changed = list(arguments)
    left = dict(changes)
    for option, value, start, length in reversed(list(_options(arguments))):
        if value is None:
            continue
        key = _KEYS.get(option)
        if option in _CONF:
            key = value.partition("=")[0].strip()
        if key is None or key not in changes:
            continue
        written = f"{key}={changes[key]}" if option in _CONF else changes[key]
        changed[start : start + length] = [option, written] if length == 2 else [f"{option}={written}"]
        left.pop(key, None)
    for key in sorted(left, reverse=True):
        changed[at:at] = ["--conf", f"{key}={left[key]}"]
    return changed


def application(arguments: Sequence[str]) -> dict[str, str]:
    """The application and its main class, as far as *arguments* say."""
    found = {}
    end = 0
    for option, value, start, length in _options(arguments):
        end = start + length
        if option == "--class" and value is not None:
            found["class"] = value
    if end < len(arguments):
        found["application"] = arguments[end]
    return found


def _options(arguments: Sequence[str]) -> list[tuple[str, str | None, int, int]]:
    """Each option with its value, where it begins and of how many arguments it is. What comes after the first
    argument that is none belongs to the application."""
    found: list[tuple[str, str | None, int, int]] = []
    at = 0
    while at < len(arguments):
        word = str(arguments[at])
        joined = _WITH_EQUALS.fullmatch(word)
        if joined is not None:
            found.append((joined[1], joined[2], at, 1))
            at += 1
        elif word in _WITHOUT_VALUE:
            found.append((word, None, at, 1))
            at += 1
        elif word.startswith("-"):
            value = str(arguments[at + 1]) if at + 1 < len(arguments) else None
            found.append((word, value, at, 2 if value is not None else 1))
            at += 2
        else:
            break
    return found
