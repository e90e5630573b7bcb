"""A patch for people: what it changes, and what would make it part of the Dag file."""

from __future__ import annotations

from airflow_autoremed.types import ANY, Patch


def changes(patch: Patch) -> tuple[tuple[str, str | None, str], ...]:
    """What it changes: (setting, declared value or ``None``, new value)."""
    declared = {each.get("path"): each.get("value") for each in patch.operations if each.get("op") == "test"}
    return tuple(
        (_setting(each.get("path")), declared.get(each.get("path")), str(each.get("value")))
        for each in patch.operations
        if each.get("op") in ("add", "replace")
    )


def for_the_dag_file(patch: Patch) -> tuple[tuple[str, str], ...]:
    """The lines of a difference that make it part of the task's ``conf=``: (``-`` or ``+``, line)."""
    lines: list[tuple[str, str]] = []
    for key, before, after in changes(patch):
        if before is not None:
            lines.append(("-", f'"{key}": "{before}",'))
        lines.append(("+", f'"{key}": "{after}",'))
    return tuple(lines)


def whom(patch: Patch) -> str:
    """Which attempts it is for."""
    scope = patch.scope
    return "every run" if scope.run_id == ANY else f"attempt {patch.from_try + 1} of run {scope.run_id}"


def _setting(pointer: object) -> str:
    return str(pointer or "")[1:].replace("~1", "/").replace("~0", "~")
