"""Code that several test modules use lives in tests/support, where a change is seen to concern them all."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]

WHOLE_SUITES = {
    "tests/integration/test_store_servers.py": "tests.unit.history.test_store",  # the same tests, on servers
    "tests/unit/platforms/test_docs.py": "tests.integration.test_platforms_over_the_wire",  # lists its suites
}
"""Who may look at another module of tests, because it is about that module's tests."""


def test_no_test_module_imports_from_another_one() -> None:
    found = {}
    for path in sorted(TESTS.rglob("*.py")):
        place = path.relative_to(TESTS.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names)):
                    last = name.rpartition(".")[2]
                    is_module = (TESTS.parent / f"{name.replace('.', '/')}.py").is_file()
                    if is_module and (last.startswith("test_") or last == "conftest"):
                        found[place] = name
    assert found == WHOLE_SUITES
