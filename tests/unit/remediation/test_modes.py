"""Which mode holds where several people set one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_autoremed.remediation.modes import by_category, effective
from airflow_autoremed.types import Mode, Override

ACT, SHADOW, OFF = Mode.ACT, Mode.SHADOW, Mode.OFF
NOON = datetime(2026, 12, 1, 12, tzinfo=timezone.utc)


def task(mode: Mode, number: int = 0) -> Override:
    return Override(mode, "ada", "why", NOON, "d", "t", id=number)


def dag(mode: Mode) -> Override:
    return Override(mode, "ada", "why", NOON, "d")


def cause(mode: Mode, category: str = "heap") -> Override:
    return Override(mode, "ada", "why", NOON, category=category)


def everything(mode: Mode) -> Override:
    return Override(mode, "ada", "why", NOON)


@pytest.mark.parametrize(
    ("declared", "overrides", "mode"),
    [
        (ACT, [], ACT),
        (SHADOW, [dag(ACT)], ACT),
        (ACT, [dag(ACT), task(SHADOW)], SHADOW),
        (ACT, [dag(OFF), task(ACT)], ACT),
        (ACT, [task(OFF, 1), task(SHADOW, 2)], SHADOW),
        (SHADOW, [cause(ACT)], ACT),
        (SHADOW, [cause(ACT, "other")], SHADOW),
        (ACT, [cause(SHADOW)], SHADOW),
        (ACT, [task(SHADOW), cause(ACT)], SHADOW),
        (ACT, [task(ACT), cause(OFF)], OFF),
        (ACT, [everything(OFF), task(ACT)], OFF),
        (ACT, [everything(SHADOW), task(OFF)], OFF),
        (SHADOW, [everything(ACT)], SHADOW),
        (OFF, [task(ACT), everything(ACT)], OFF),
    ],
)
def test_the_narrowest_holds_a_stop_holds_over_all_and_off_in_the_dag_file_stays(
    declared: Mode, overrides: list[Any], mode: Mode
) -> None:
    found, by = effective(declared, overrides, "heap")
    assert found is mode
    assert by is None or by.mode is mode


def test_a_category_counts_only_for_its_failures() -> None:
    assert effective(ACT, [cause(OFF)]) == (ACT, None)
    assert by_category(ACT, [cause(OFF), task(SHADOW)]) == {"heap": OFF}


def test_a_place_is_told_in_words() -> None:
    assert [each.place for each in (task(ACT), dag(ACT), cause(ACT), everything(ACT))] == [
        "the task d.t",
        "the Dag d",
        "failures of the category heap",
        "everything",
    ]
