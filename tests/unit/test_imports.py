"""The rule for lazy imports in docs/architecture.md, and what a Dag file loads on our account."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_autoremed"

DOORS = {
    "airflow/opt_in/": "opting in -> attempt",
    "airflow/options.py": "opting in -> attempt",
    "airflow/training_operators.py": "opting in -> attempt: the Dag file that trains is parsed, too",
    "airflow/attempt/": "success -> failure",
    "airflow/ui/doors.py": "worker -> page",
    "failures/matching/by_kind.py": "success -> failure",
    "failures/matching/log_tap.py": "success -> failure",
    "history/store.py": "success -> failure",
    "history/opening.py": "success -> failure",
    "history/queries/promoted_patch.py": "success -> failure",
    "history/queries/write_attempts.py": "success -> failure",
    "platforms/spark_submit.py": "success -> failure",
    "remediation/pipeline.py": "success -> failure",
    "cli/": "a command loads what it needs itself",
    "distributed/": "runs on the cluster, where only pyspark and this package are",
    "ingestion/": "a heavy package behind it: SQLAlchemy",
    "learning/": "a heavy package behind it: numpy, scikit-learn, matplotlib",
}
"""The only places that may import a module of ours inside a function, and why."""

HEAVY = {
    "ahocorasick_rs",
    "alembic",
    "fastapi",
    "jsonpatch",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pyspark",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "typer",
    "yaml",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(statement: ast.AST) -> Iterator[str]:
    """The modules that an import statement loads, their packages not counted."""
    if isinstance(statement, ast.Import):
        yield from (each.name for each in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        yield statement.module
        yield from (f"{statement.module}.{each.name}" for each in statement.names)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def at_the_top(node: ast.AST) -> Iterator[str]:
    """What a module loads when it is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if is_for_types(child):
            continue
        yield from imported(child)
        yield from at_the_top(child)


def loads(module: str) -> set[str]:
    """Everything that importing one of our modules loads: ours by their names, others by their top level."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for part in [".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1)]:
            if part in MODULES and part not in found:
                found.add(part)
                waiting.extend(at_the_top(ast.parse(MODULES[part].read_text(encoding="utf-8"))))
        if not name.startswith(PACKAGE):
            found.add(name.partition(".")[0])
    return found


def lazy_imports() -> Iterator[tuple[str, int]]:
    """File and line of each import of ours inside a function."""
    for path in MODULES.values():
        place = path.relative_to(ROOT / PACKAGE).as_posix()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    if any(name.startswith(PACKAGE) for name in imported(node)):
                        yield place, node.lineno  # type: ignore[attr-defined]


def test_imports_stand_at_the_top_of_their_module_except_at_the_doors() -> None:
    outside = sorted(
        {f"{place}:{line}" for place, line in lazy_imports() if not place.startswith(tuple(DOORS))}
    )
    assert outside == [], "move them to the top, or read the rule for lazy imports in docs/architecture.md"


def test_no_door_is_kept_that_nobody_goes_through() -> None:
    used = {place for place, _ in lazy_imports()}
    assert [door for door in DOORS if not any(place.startswith(door) for place in used)] == []


@pytest.mark.parametrize(
    "module",
    [
        "airflow_autoremed",
        "airflow_autoremed.airflow.opt_in.attach",
        "airflow_autoremed.airflow.opt_in.operators",
        "airflow_autoremed.airflow.opt_in.retry_policy",
        "airflow_autoremed.airflow.opt_in.cluster_policy",
        "airflow_autoremed.airflow.opt_in.listener",
        "airflow_autoremed.airflow.plugin",
        "airflow_autoremed.airflow.provider_info",
        "airflow_autoremed.airflow.training_operators",
    ],
)
def test_what_a_dag_file_or_the_scheduler_imports_loads_nothing_heavy(module: str) -> None:
    loaded = loads(module)
    assert module in loaded
    assert loaded & HEAVY == set()


def test_what_is_heavy_is_found_behind_other_modules_of_ours() -> None:
    assert {"numpy", "sqlalchemy"} <= loads("airflow_autoremed.learning.training_run") | loads(
        "airflow_autoremed.history.export"
    )
