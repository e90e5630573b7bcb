"""From two configurations to a patch, and from a patch to JSON and back."""

from __future__ import annotations

import json

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.patching import describe, diff, from_json, make_patch, to_json
from airflow_autoremed.types import Scope

DECLARED = {"spark.executor.memory": "600m", "spark.app.name": "daily"}
TARGET = {**DECLARED, "spark.executor.memory": "1624m", "spark.executor.memoryOverhead": "512m"}
SCOPE = Scope("etl", "manual__1", "aggregate", -1)

CONFS = st.dictionaries(st.text(max_size=8), st.text(max_size=5), max_size=6)


def test_what_the_author_declared_is_tested_before_it_is_replaced_and_the_rest_is_added() -> None:
    assert diff(DECLARED, TARGET) == (
        {"op": "test", "path": "/spark.executor.memory", "value": "600m"},
        {"op": "replace", "path": "/spark.executor.memory", "value": "1624m"},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": "512m"},
    )


def test_a_key_is_removed_only_when_the_target_lacks_it() -> None:
    assert diff(DECLARED, {"spark.executor.memory": "600m"}) == (
        {"op": "test", "path": "/spark.app.name", "value": "daily"},
        {"op": "remove", "path": "/spark.app.name"},
    )


def test_equal_configurations_need_no_patch() -> None:
    assert diff(TARGET, dict(reversed(TARGET.items()))) == ()


@given(CONFS, CONFS)
def test_the_operations_lead_from_any_configuration_to_any_other(
    declared: dict[str, str], target: dict[str, str]
) -> None:
    operations = [dict(operation) for operation in diff(declared, target)]
    assert jsonpatch.apply_patch(declared, operations) == target
    assert operations == [dict(operation) for operation in diff(dict(reversed(declared.items())), target)]


def test_a_patch_survives_json() -> None:
    patch = make_patch(DECLARED, TARGET, SCOPE, from_try=1)
    assert from_json(json.loads(json.dumps(to_json(patch)))) == patch
    assert (patch.scope, patch.from_try) == (SCOPE, 1)


def test_the_log_shows_each_change_in_a_line() -> None:
    assert describe(DECLARED, TARGET) == [
        "spark.executor.memory: 600m -> 1624m",
        "spark.executor.memoryOverhead: (not set) -> 512m",
    ]
    assert describe(TARGET, DECLARED)[1] == "spark.executor.memoryOverhead: 512m -> (not set)"


def _json(**changes: object) -> dict[str, object]:
    return {**to_json(make_patch(DECLARED, TARGET, SCOPE, from_try=1)), **changes}


def _scope(**changes: object) -> dict[str, object]:
    whole = {"kind": "run", "dag_id": "etl", "run_id": "r", "task_id": "t", "map_index": -1, **changes}
    return _json(scope={name: value for name, value in whole.items() if value != "absent"})


def _operation(**changes: object) -> dict[str, object]:
    whole = {"op": "add", "path": "/spark.executor.memory", "value": "1g", **changes}
    return _json(operations=[{name: value for name, value in whole.items() if value != "absent"}])


@pytest.mark.parametrize(
    "obj",
    [
        None,
        [],
        "{}",
        {},
        _json(extra=1),
        {name: part for name, part in _json().items() if name != "from_try"},
        _json(from_try=0),
        _json(from_try="1"),
        _json(from_try=True),
        _json(from_try=1.0),
        _json(from_try=10**5000),
        _json(scope=None),
        _json(scope=[]),
        *(_scope(**{name: "absent"}) for name in ("kind", "dag_id", "run_id", "task_id", "map_index")),
        *(
            _scope(**{name: bad})
            for name in ("dag_id", "run_id", "task_id")
            for bad in ("", " ", None, 1, "x" * 251)
        ),
        _scope(map_index=None),
        _scope(map_index="-1"),
        _scope(map_index=-2),
        _scope(map_index=True),
        _scope(kind="deployment"),
        _scope(kind=["run"]),
        _scope(owner="me"),
        _json(operations=None),
        _json(operations={}),
        _json(operations="add"),
        _json(operations=[]),
        _json(operations=[None]),
        _json(operations=["add"]),
        _json(operations=[{}]),
        _json(operations=[{"op": "test", "path": "/spark.executor.memory", "value": "1g"}] * 129),
        *(_operation(op=bad) for bad in ("remove", "move", "copy", "ADD", "", None, 1, ["add"])),
        _operation(**{"from": "/spark.app.name"}),
        *(_operation(**{name: "absent"}) for name in ("op", "path", "value")),
        *(_operation(path=bad) for bad in (None, 1, ["spark"], "/" + "x" * 300)),
        *(_operation(value=bad) for bad in (None, 1, 1.5, True, ["1g"], {"a": "b"}, 10**5000, "9" * 10_000)),
    ],
)
def test_what_is_not_of_the_form_of_a_patch_is_rejected_in_one_line(obj: object) -> None:
    with pytest.raises(PatchRejectedError) as caught:
        from_json(obj)
    assert 0 < len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_json_makes_reading_a_patch_fail_otherwise_than_by_rejection(obj: object) -> None:
    with pytest.raises(PatchRejectedError):
        from_json(obj)
