"""Quantities in messages: ``1029.0 MiB``, ``4g``, ``(1048576 bytes)``, ``3 secs`` as whole numbers."""

from __future__ import annotations

import re

UNITS = ("bytes", "mebibytes", "seconds", "count")
"""What a rule may say about a captured quantity."""

_QUANTITY = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*([A-Za-z]*)")
_BYTES = {"": 1, "b": 1, "byte": 1, "bytes": 1}
_BYTES |= {
    prefix + suffix: 1024**power
    for power, prefix in enumerate(("k", "m", "g", "t", "p"), start=1)
    for suffix in ("", "b", "ib")
}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS |= dict.fromkeys(("sec", "secs", "second", "seconds"), 1.0)
_SECONDS |= dict.fromkeys(("milliseconds", "millis"), 0.001)
_SECONDS |= dict.fromkeys(("minute", "minutes"), 60.0)


def parse_quantity(text: str, unit: str) -> int | None:
    """Read ``text`` as ``unit``: bytes for memory, whole seconds or a count otherwise; ``None``: not a quantity.

    Spark's units are binary whatever their spelling (``KB``, ``KiB`` and ``k`` are 1024 bytes), see
    ``org.apache.spark.network.util.JavaUtils``.
    """
    found = _QUANTITY.search(text)
    if found is None:
        return None
    number = float(found[1].replace(",", ""))
    suffix = found[2].lower()
    if unit == "bytes":
        factor: float | None = _BYTES.get(suffix)
    elif unit == "mebibytes":
        factor = _BYTES.get(suffix) if suffix else 1024**2
    elif unit == "seconds":
        factor = _SECONDS.get(suffix)
    else:
        factor = 1
    return None if factor is None else round(number * factor)
