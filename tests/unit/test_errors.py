"""One tree of errors: everything that this package raises on purpose can be caught by one name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from airflow_autoremed import errors

PACKAGE = Path(errors.__file__).parent


def test_every_exception_of_the_package_is_in_the_tree() -> None:
    strays = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(_is_exception(ast.unparse(base)) for base in node.bases)
    ]
    assert not strays


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"^(?:  · |    - )?(\w+)(?: \((\w+)\))?$", errors.__doc__ or "", re.MULTILINE)
    classes = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    assert sorted(name for name, _ in drawn) == sorted(classes)
    for name, builtin in drawn:
        each = classes[name]
        assert issubclass(each, errors.AutoremedError)
        own = {base.__name__ for base in each.__bases__ if base.__module__ == "builtins"} - {"Exception"}
        inherited = issubclass(each, errors.RulesError) and each is not errors.RulesError
        assert inherited or own == ({builtin} if builtin else set()), name


def test_code_that_catches_the_builtin_error_still_catches_ours() -> None:
    assert issubclass(errors.SettingsError, ValueError)
    assert issubclass(errors.InvalidRuleError, ValueError)
    assert issubclass(errors.PrivateApiError, RuntimeError)


def _is_exception(base: str) -> bool:
    return base in ("Exception", "BaseException") or base.endswith(("Error", "Warning"))
