"""An operator who searches a task's log for ``[autoremed]`` finds every line of ours, and one logger holds them all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from airflow_autoremed import errors
from airflow_autoremed.failures import stalls

_PACKAGE = Path(errors.__file__).parent
_PASS_ON = ("airflow/attempt/stall_watch.py", "platforms/spark_sql.py")
"""Modules that also log a text made elsewhere: a stall's line, which begins with the prefix, and a provider's line."""
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def _calls() -> Iterator[tuple[str, ast.Call, ast.Attribute]]:
    for path in sorted(_PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield f"{path.relative_to(_PACKAGE)}:{node.lineno}", node, node.func


def test_every_log_line_begins_with_the_one_prefix() -> None:
    lines = {
        where: call.args[0]
        for where, call, func in _calls()
        if func.attr in _LEVELS
        and ast.unparse(func.value).rpartition(".")[2].lstrip("_") in ("log", "logger")
    }
    assert len(lines) > 30
    wrong = [
        where
        for where, text in lines.items()
        if not (isinstance(text, ast.Constant) and str(text.value).startswith("[autoremed] "))
        if not where.startswith(_PASS_ON)
    ]
    assert stalls.MARK.startswith("[autoremed] ")
    assert not wrong


def test_every_module_logs_under_the_name_of_the_package() -> None:
    names = {
        where: ast.unparse(call.args[0])
        for where, call, func in _calls()
        if func.attr == "getLogger" and "migrations" not in where
    }
    assert names
    assert {where: name for where, name in names.items() if name != "'airflow_autoremed'"} == {}
