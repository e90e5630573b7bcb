"""The file of ancestors is what the tables and the extraction say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from airflow_autoremed.failures.kinds.classes import ANCESTORS

SCRIPT = Path(__file__).parents[4] / "scripts" / "make_kinds.py"


def _script():
    spec = importlib.util.spec_from_file_location("make_kinds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_of_ancestors_is_fresh():
    assert ANCESTORS.read_text(encoding="ascii") == _script().text()


def test_the_tables_name_only_classes_that_there_are():
    assert _script().strangers() == []
