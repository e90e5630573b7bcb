"""Whatever a log says, no pattern of ours is slow on it: the time of a search grows with the text, and no faster.

The patterns of rules are held to that by the check of the catalogue; these are all others.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import errors

LENGTH = 3_000
"""A quadratic pattern takes 4.5 million steps on it, a tenth of a second; a linear one some milliseconds at most."""
MOST_S = 0.08
OF_OUR_OWN_MAKING = ("airflow_autoremed.failures.authoring", "airflow_autoremed.failures.rules.regex_cost")
"""They read rules and source, not what a job prints."""
ROOMS = (
    "failures",
    "redaction",
    "log_text",
    "database_urls",
    "spark",
    "learning",
    "patching",
    "recommending",
    "remediation",
    "ingestion",
    "platforms",
)


def _is_searched_for(module: str, name: str) -> bool:
    """Whether the pattern is looked for from every place of a text, and not only at one."""
    source = Path(str(sys.modules[module].__file__)).read_text()
    used = set(re.findall(rf"\b{name}\.(match|fullmatch|search|finditer|findall|sub|subn|split)\(", source))
    return not used or bool(used - {"match", "fullmatch"})


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled pattern that a module holds, in whatever it holds it."""
    for info in pkgutil.walk_packages([str(Path(errors.__file__).parent)], "airflow_autoremed."):
        room = info.name.split(".")[1]
        if room not in ROOMS or info.name.startswith(OF_OUR_OWN_MAKING):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # of an extra
            continue
        for name, value in vars(module).items():
            for number, found in enumerate(_inside(value, 4)):
                yield f"{info.name}.{name}.{number}", found


def _inside(value: Any, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, tuple | list | frozenset | set):
        for each in value:
            yield from _inside(each, depth - 1)
    elif depth and isinstance(value, dict):
        for each in value.values():
            yield from _inside(each, depth - 1)


def seeds(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Texts that lead far into the pattern: what it begins with, its words, and what its classes take."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    words = re.findall(r"[A-Za-z]{3,}[\w ]*", re.sub(r"\\.|\(\?P?<?\w*>?", " ", source))
    yield from dict.fromkeys(word[:30] for word in words[:12])
    yield from (f"{word[:30]} " for word in words[:4])
    yield from (
        "a",
        "A",
        " ",
        "1",
        ".",
        "a.",
        "a ",
        "1.",
        "/a",
        "'",
        '"',
        "(",
        "[",
        "<",
        "{",
        "a=",
        "a: ",
        "\t",
        "-",
        "\n",
    )


FOUND = {pattern.pattern: (name, pattern) for name, pattern in patterns()}


def test_the_patterns_are_found() -> None:
    assert len(FOUND) > 100


@pytest.mark.parametrize(("name", "pattern"), FOUND.values(), ids=[name for name, _ in FOUND.values()])
def test_a_search_takes_linear_time(name: str, pattern: re.Pattern[Any]) -> None:
    module, variable, _ = name.rsplit(".", 2)
    look = pattern.search if _is_searched_for(module, variable) else pattern.match
    for seed in seeds(pattern):
        text = (seed * LENGTH)[:LENGTH] + "\x01"
        subject = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
        began = time.process_time()
        look(subject)
        took = time.process_time() - began
        assert took < MOST_S, f"{name}: {took:.1f} s on {seed!r}"
