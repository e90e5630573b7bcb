"""Sizes and durations as Spark writes and reads them (``org.apache.spark.network.util.JavaUtils``)."""

from __future__ import annotations

import re

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_BYTE_UNITS = {"": 1, "b": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1024**4, "p": 1024**5}
_SECOND_UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_QUANTITY = re.compile(r"\s*(-?[0-9]{1,19})\s*([a-zA-Z]{0,3})\s*")


def parse_bytes(text: str, default_unit: str = "b") -> int:
    """The bytes that *text* stands for, by Spark's rules.

    :param text: such as ``4g``, ``512M`` or ``2GB``; a bare number counts in *default_unit*.
    :param default_unit: ``b``, ``k``, ``m`` or ``g``: Spark's for the key the value belongs to.
    :raises ValueError: when Spark would not read it either, saying what to write.
    """
    found = _QUANTITY.fullmatch(text)
    if found is not None:
        number, unit = found.groups()
        unit = unit.lower() or default_unit
        if len(unit) == 2 and unit.endswith("b"):
            unit = unit[0]
        if unit in _BYTE_UNITS:
            return int(number) * _BYTE_UNITS[unit]
    raise ValueError(f"{text!r} is not a size; write a whole number with a unit, for example '512m' or '4g'")


def format_bytes(size: int) -> str:
    """*size* bytes as Spark reads them: whole GiB as ``4g``, anything else rounded up to whole MiB as ``1536m``."""
    if size > 0 and size % GIB == 0:
        return f"{size // GIB}g"
    return f"{-(-size // MIB)}m"


def parse_seconds(text: str, default_unit: str = "s") -> float:
    """The seconds that *text* stands for: ``120s``, ``10min``, ``500ms``; a bare number counts in *default_unit*.

    :raises ValueError: when Spark would not read it either, saying what to write.
    """
    found = _QUANTITY.fullmatch(text)
    if found is not None:
        number, unit = found.groups()
        factor = _SECOND_UNITS.get(unit.lower() or default_unit)
        if factor is not None:
            return int(number) * factor
    raise ValueError(
        f"{text!r} is not a duration; write a whole number with a unit, for example '120s' or '10min'"
    )
