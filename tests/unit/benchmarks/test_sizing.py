"""The arithmetic of the sizing benchmark: what is charged, and when it may leave the floor."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "sizing", Path(__file__).parents[3] / "benchmarks" / "sizing.py"
)
assert spec is not None
assert spec.loader is not None
sizing = importlib.util.module_from_spec(spec)
sys.modules["sizing"] = sizing
spec.loader.exec_module(sizing)

GB = sizing.GB


def execution(peak=4.0, hours=2.0, **changes):
    values = {"preset": 8 * GB, "submitted": 0.0, "completed": 1.0, "input": None} | changes
    return sizing.Execution("w", "p", peak=peak * GB, hours=hours, **values)


def test_enough_memory_wastes_what_is_not_used():
    assert sizing.charge(6 * GB, execution()) == (pytest.approx(4.0), 0)


def test_a_failure_is_charged_in_full_and_doubles():
    wasted, failures = sizing.charge(1.5 * GB, execution())  # 1.5, 3, then 6 GB for two hours each
    assert failures == 2
    assert wasted == pytest.approx(1.5 * 2 + 3 * 2 + (6 - 4) * 2)


def test_it_leaves_the_floor_only_for_what_was_clearly_better_often_enough():
    task = sizing.Task()
    task.tally["Tovar"] = [(0.9, 1.0)] * 7
    assert sizing.choose(task) == sizing.FLOOR
    task.tally["Tovar"] = [(0.9, 1.0)] * 8
    assert sizing.choose(task) == "Tovar"
    task.tally["model"] = [(0.5, 1.0)] * 8
    assert sizing.choose(task) == "model"
    task.tally = {name: [(0.97, 1.0)] * 50 for name in sizing.CONTENDERS}
    assert sizing.choose(task) == sizing.FLOOR


def test_without_a_past_every_method_falls_back_to_the_preset():
    for name, rule in sizing.RULES.items():
        assert rule(sizing.Task(), execution()) == 8 * GB, name


def test_tovar_takes_the_peak_with_the_least_expected_holding():
    task = sizing.Task(peaks=[1.0 * GB] * 99 + [10.0 * GB], hours=[1.0] * 100, inputs=[None] * 100)
    assert sizing.tovar(task, execution()) == 1 * GB
    task = sizing.Task(peaks=[9.0 * GB] * 50 + [10.0 * GB] * 50, hours=[1.0] * 100, inputs=[None] * 100)
    assert sizing.tovar(task, execution()) == 10 * GB
