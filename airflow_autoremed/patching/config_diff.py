"""From two configurations to a patch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_autoremed.spark.keys import carried
from airflow_autoremed.types import Conf, Patch, Scope

_NOT_SET = "(not set)"


def make_patch(declared: Conf, target: Conf, scope: Scope, from_try: int) -> Patch:
    """The patch that turns *declared* into *target* for the try after *from_try* of *scope*."""
    return Patch(operations=diff(declared, target), scope=scope, from_try=from_try)


def diff(declared: Conf, target: Conf) -> tuple[Mapping[str, Any], ...]:
    """RFC 6902 operations that turn *declared* into *target*, in the order of their keys.

    Whatever the author declared is tested before it is changed, so that the patch no longer applies once the
    author has changed it. A key that *target* lacks is removed; :func:`airflow_autoremed.patching.apply` refuses
    such a patch, because nothing a playbook does needs it. Of JVM options only sized flags are carried.
    """
    return tuple(_operations(declared, target, carried(declared), carried(target)))


def describe(declared: Conf, target: Conf) -> list[str]:
    """One line for each difference, such as ``spark.executor.memory: 600m -> 1624m``."""
    before, after = carried(declared), carried(target)
    return [
        f"{key}: {before.get(key, _NOT_SET)} -> {after.get(key, _NOT_SET)}"
        for key in _changed(declared, target)
    ]


def _changed(declared: Conf, target: Conf) -> list[str]:
    return sorted(key for key in {*declared, *target} if declared.get(key) != target.get(key))


def _operations(declared: Conf, target: Conf, before: Conf, after: Conf) -> Iterator[Mapping[str, Any]]:
    for key in _changed(declared, target):
        path = _pointer(key)
        if key not in declared:
            yield {"op": "add", "path": path, "value": after[key]}
            continue
        yield {"op": "test", "path": path, "value": before[key]}
        if key in target:
            yield {"op": "replace", "path": path, "value": after[key]}
        else:
            yield {"op": "remove", "path": path}


def _pointer(key: str) -> str:
    """*key* as a JSON Pointer (RFC 6901, section 3): ``~`` and ``/`` have to be spelled differently."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
