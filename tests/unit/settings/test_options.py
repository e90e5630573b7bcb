"""The one table of options: complete, readable in its own spelling, and what Airflow and the docs are told."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import AutoRemediationPolicy, RemediatedSparkSubmitOperator, remediate, settings
from airflow_autoremed.airflow.provider_info import get_provider_info
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings.options import GROUPS, OPTIONS, Option

_ROOT = Path(__file__).parents[3]


def test_every_field_of_the_settings_is_an_option_and_the_other_way_round() -> None:
    in_groups = {group.name for group in GROUPS if group.name}
    for group in GROUPS:
        listed = sorted(option.name for option in OPTIONS if option.group is group)
        held = {each.name for each in fields(group.type)} - in_groups
        assert listed == sorted(held), group.title
    assert in_groups <= {each.name for each in fields(settings.Settings)}


def test_writing_every_default_down_changes_nothing() -> None:
    written = {option.name: option.default for option in OPTIONS if option.default}
    assert len(written) > 20
    assert settings.from_options(written) == settings.from_options({}) == settings.Settings()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_example_is_taken_and_says_something_else_than_the_default(option: Option) -> None:
    assert option.example
    changed = settings.from_options({option.name: option.example})
    assert changed != settings.Settings()


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS if each.kind.airflow_type != "string" or "duration" in each.kind.name],
    ids=lambda option: option.name,
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_option(option: Option) -> None:
    with pytest.raises(SettingsError, match=rf"\[autoremed\] {option.name} is 'soon'.*; write"):
        settings.from_options({option.name: "soon"})


def test_airflow_is_told_every_option_in_the_form_that_it_asks_for() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    airflow = pytest.importorskip("airflow")
    info = get_provider_info()
    schema = Path(airflow.__file__).parent / "provider_info.schema.json"
    jsonschema.validate(info, json.loads(schema.read_text(encoding="utf-8")))
    told = info["config"]["autoremed"]["options"]
    assert list(told) == [option.name for option in OPTIONS]
    assert told["brake_pause"]["default"] == "6h"
    assert told["max_container_memory"]["default"] == "64g"
    assert [name for name, each in told.items() if each.get("sensitive")] == ["store"]


def test_provider_information_stays_cheap_for_every_process_of_airflow() -> None:
    program = (
        "import sys\n"
        "from airflow_autoremed.airflow.provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'airflow', 'sqlalchemy', 'numpy', 'yaml', 'sklearn', 'pyspark', 'fastapi', 'httpx', 'typer', 'dataclasses'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("way", "prefix"),
    [
        (remediate, ""),
        (AutoRemediationPolicy.__init__, ""),
        (RemediatedSparkSubmitOperator.__init__, "remediation_"),
    ],
)
def test_every_public_way_to_opt_in_takes_the_same_options(way: Callable[..., Any], prefix: str) -> None:
    taken = {
        name
        for name, each in inspect.signature(way).parameters.items()
        if each.kind is each.KEYWORD_ONLY and name.startswith(prefix)
    }
    assert taken == {prefix + name for name in settings.PER_TASK}


def test_the_page_of_options_and_what_airflow_is_told_are_what_the_table_says() -> None:
    program = [sys.executable, str(_ROOT / "scripts" / "make_options.py"), "--check"]
    done = subprocess.run(program, cwd=_ROOT, env={"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
