"""What a person wrote, as the value that the code works with: from configuration, command line and Dag files alike.

Each parser takes the value and the name under which its error speaks of it (``"[autoremed] brake_pause"``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from airflow_autoremed.errors import SettingsError
from airflow_autoremed.spark.sizes import GIB, KIB, MIB, format_bytes
from airflow_autoremed.types import Mode

T = TypeVar("T")

_LEAST_MEMORY = 64 * MIB
"""No JVM starts Spark in less: a smaller limit is a number whose unit was forgotten."""
_SIZE = r"([0-9]{1,19})(\.[0-9]{1,9})?\s*(?:([kmgtp])i?)?b?"
"""Compiled on first use, as is the next one: a Dag file seldom needs either."""
_SIZE_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1024**4, "p": 1024**5}
_DURATION = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]*)"
_DURATION_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNLIMITED = ("none", "unlimited", "off")
_DURATIONS = "write a duration, for example '90d', '6h', '15m' or '30s'"


def text(value: Any, _label: str) -> str:
    """Text as it is."""
    return str(value)


def mode(value: Any, label: str) -> Mode:
    """A mode by its name."""
    try:
        return Mode(value.lower() if isinstance(value, str) else value)
    except (ValueError, AttributeError):
        raise SettingsError(
            f"{label} is {value!r}; write one of {', '.join(repr(m.value) for m in Mode)}"
        ) from None


def switch(value: Any, label: str) -> Mode:
    """On, shadow or off."""
    lowered = str(value).strip().lower()
    found = {"on": Mode.ACT, "true": Mode.ACT, "shadow": Mode.SHADOW, "off": Mode.OFF, "false": Mode.OFF}
    if lowered not in found:
        raise SettingsError(f"{label} is {value!r}; write on, shadow or off")
    return found[lowered]


def boolean(value: Any, label: str) -> bool:
    """True or false, in the spellings that Airflow accepts."""
    lowered = str(value).strip().lower()
    if lowered in ("true", "t", "1", "yes", "on"):
        return True
    if lowered in ("false", "f", "0", "no", "off"):
        return False
    raise SettingsError(f"{label} is {value!r}; write True or False")


def count(value: Any, label: str) -> int:
    """A whole number of at least 1."""
    return _whole(value, label, at_least=1)


def count_or_zero(value: Any, label: str) -> int:
    """A whole number; ``never`` is 0."""
    return 0 if str(value).strip().lower() == "never" else _whole(value, label, at_least=0)


def _whole(value: Any, label: str, *, at_least: int) -> int:
    try:
        number = int(value) if not isinstance(value, bool) else at_least - 1
    except (TypeError, ValueError, OverflowError):
        number = at_least - 1
    if number < at_least or (isinstance(value, float) and value != number):
        raise SettingsError(f"{label} is {value!r}; write a whole number of at least {at_least}")
    return number


def number(value: Any, label: str) -> float:
    """A number above 0."""
    return _number(value, label, 0.0)


def factor(value: Any, label: str) -> float:
    """A number of at least 1."""
    if value is None or str(value).strip().lower() in _UNLIMITED:
        raise SettingsError(f"{label} cannot be unlimited; write a number, for example 8")
    return _number(value, label, 1.0)


def _number(value: Any, label: str, at_least: float) -> float:
    found = _float(value)
    if not at_least <= found < float("inf") or found == 0:
        raise SettingsError(
            f"{label} is {value!r}; write a number{f' of at least {at_least:g}' if at_least else ' above 0'}"
        )
    return found


def fraction(value: Any, label: str) -> float:
    """A number from 0 to 1."""
    found = _float(value)
    if not 0 <= found <= 1:
        raise SettingsError(f"{label} is {value!r}; write a number from 0 to 1, for example 0.9")
    return found


def price(value: Any, label: str) -> float:
    """What an hour of something costs; nothing is a price, too."""
    found = _float(value)
    if not 0 <= found < 1e9:
        raise SettingsError(f"{label} is {value!r}; write the price of one hour, for example 0.004445")
    return found


def _float(value: Any) -> float:
    """The number, or -1 where it is none."""
    try:
        return float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError, OverflowError):
        return -1.0


def currency(value: Any, label: str) -> str:
    """The name or sign of a currency."""
    if not re.fullmatch(r"\w{1,16}|\S{1,3}", str(value)):
        raise SettingsError(f"{label} is {value!r}; write the code of a currency, for example 'EUR'")
    return str(value)


def size(value: Any, label: str) -> int:
    """Bytes from ``16g``, ``16Gi``, ``16GiB``, ``1.5g``, ``512m`` (units of 1024) or a whole number of bytes.

    :raises SettingsError: for anything else, and for less than 64 MiB: that is a number whose unit was forgotten.
    """
    found = 0
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and (match := re.fullmatch(_SIZE, value.strip().lower())):
        whole, part, unit = match.groups()
        times = _SIZE_UNITS[unit or ""]
        found = int(whole) * times + int(float(part or 0) * times)
    if found <= 0:
        raise SettingsError(f"{label} is {value!r}; write a size, for example '16g', or a number of bytes")
    if found < _LEAST_MEMORY:
        bare = str(value).strip().isdigit()
        meant = (f"'{found}g'" if found < 1024 else f"'{found}m'") if bare else "'16g'"
        raise SettingsError(
            f"{label} is {value!r}, which is {found} bytes{' because it has no unit' if bare else ''}; write a size "
            f"of at least {format_bytes(_LEAST_MEMORY)} with its unit, for example {meant}"
        )
    return found


def parse_duration(value: Any, *, where: str) -> float | None:
    """Seconds from ``90d``, ``6h``, ``15m``, ``30s``, a ``timedelta`` or, in Python code, a number of seconds.

    ``None`` for ``None``, an empty text and ``none``.

    :raises SettingsError: for anything else, also for a text without a unit: nobody can tell 90 days from 90 seconds.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none")):
        return None
    seconds = -1.0
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        match = re.fullmatch(_DURATION, value.strip().lower())
        if match and not match[2]:
            bare = match[1]
            raise SettingsError(
                f"{where} is {value!r}, which has no unit; write '{bare}d', '{bare}h', '{bare}m' or '{bare}s'"
            )
        if match and match[2] in _DURATION_UNITS:
            seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    else:
        seconds = _float(value)
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"{where} is {value!r}; {_DURATIONS}")
    return seconds


def duration(value: Any, label: str) -> float:
    """Seconds, as :func:`parse_duration` reads them."""
    seconds = parse_duration(value, where=label)
    if seconds is None:
        raise SettingsError(f"{label} needs a value; {_DURATIONS}")
    return seconds


def duration_or_none(value: Any, label: str) -> float | None:
    """Seconds, or ``None`` for never."""
    return parse_duration(value, where=label)


def or_none(parse: Callable[[Any, str], T]) -> Callable[[Any, str], T | None]:
    """*parse*, with ``None`` for ``none``, ``unlimited`` and ``off``."""

    def parsed(value: Any, label: str) -> T | None:
        return None if value is None or str(value).strip().lower() in _UNLIMITED else parse(value, label)

    return parsed


def patterns(value: Any, _label: str) -> tuple[str, ...]:
    """The parts of a text with commas."""
    return tuple(part.strip() for part in str(value).split(",") if part.strip())


def path(value: Any, _label: str) -> Path:
    """A path, with ``~`` for the home directory."""
    return Path(value).expanduser()


def paths(value: Any, label: str) -> tuple[Path, ...]:
    """Paths with commas between them."""
    return tuple(path(part, label) for part in patterns(value, label))


def limits_by_place(
    check: Callable[[Mapping[str, Any], str], object],
) -> Callable[[Any, str], dict[str, dict[str, Any]]]:
    """A parser of JSON such as ``{"pool=small": {"max_container_memory": "8g"}}``; *check* judges the limits."""
    example = '{"pool=small": {"max_container_memory": "8g"}}'

    def parsed(value: Any, label: str) -> dict[str, dict[str, Any]]:
        try:
            given = json.loads(value)
        except ValueError as error:
            raise SettingsError(f"{label} is not JSON ({error}); write for example {example}") from None
        if not isinstance(given, dict):
            raise SettingsError(f"{label} is {value!r}; write for example {example}")
        for place, limits in given.items():
            kind, _, name = place.partition("=")
            if kind not in ("pool", "queue", "connection") or not name:
                raise SettingsError(
                    f"{label} names {place!r}; write pool=NAME, queue=NAME or connection=NAME"
                )
            check(limits, f"{label} {place}")
        return given

    return parsed
