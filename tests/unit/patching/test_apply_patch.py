"""A patch is applied only where it belongs, only to what patches may change, and only within the limits."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.patching import apply, from_json, make_patch, to_json
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import AttemptId, Limits, Patch, Scope

DECLARED = {
    "spark.master": "yarn",
    "spark.app.name": "daily",
    "spark.executor.memory": "600m",
    "spark.executor.cores": "2",
    "spark.jars": "s3://bucket/daily.jar",
}
TARGET = {**DECLARED, "spark.executor.memory": "1624m", "spark.executor.memoryOverhead": "512m"}
SCOPE = Scope("etl", "manual__1", "aggregate", -1)
PATCH = make_patch(DECLARED, TARGET, SCOPE, from_try=1)
TRY_2 = AttemptId("etl", "manual__1", "aggregate", -1, 2)
LIMITS = Limits(max_container_memory=8 * 1024**3, max_cores_per_executor=4, max_growth=3.0)
MEMORY = "/spark.executor.memory"


def applied(
    patch: Patch, declared: dict[str, str] = DECLARED, attempt: AttemptId = TRY_2, **kwargs: Any
) -> object:
    return apply(patch, declared, attempt=attempt, limits=kwargs.pop("limits", LIMITS), **kwargs)


def with_operations(*operations: Any) -> Patch:
    return replace(PATCH, operations=operations)


def test_the_next_try_gets_what_was_decided() -> None:
    before = dict(DECLARED)
    assert applied(PATCH) == TARGET
    assert before == DECLARED, "the declared configuration itself stays as it is"


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (replace(TRY_2, dag_id="other"), "dag_id"),
        (replace(TRY_2, run_id="manual__2"), "run_id"),
        (replace(TRY_2, task_id="other"), "task_id"),
        (replace(TRY_2, map_index=0), "map_index"),
        (replace(TRY_2, try_number=1), "try"),
        (replace(TRY_2, try_number=3), "try"),
    ],
)
def test_a_patch_that_belongs_elsewhere_is_not_applied(attempt: AttemptId, told: str) -> None:
    with pytest.raises(PatchRejectedError, match=told):
        applied(PATCH, attempt=attempt)


@pytest.mark.parametrize("part", ["dag_id", "run_id", "task_id"])
@pytest.mark.parametrize("nothing", ["", " ", None])
def test_a_scope_with_a_missing_part_matches_nothing_not_even_an_attempt_that_misses_it_too(
    part: str, nothing: Any
) -> None:
    scope, attempt = replace(SCOPE, **{part: nothing}), replace(TRY_2, **{part: nothing})
    for of_whom in (TRY_2, attempt):
        with pytest.raises(PatchRejectedError, match=part):
            applied(replace(PATCH, scope=scope), attempt=of_whom)


@pytest.mark.parametrize("map_index", [None, "-1", "", True, -2, 1.0])
def test_a_scope_without_a_map_index_matches_nothing(map_index: Any) -> None:
    with pytest.raises(PatchRejectedError, match="map_index"):
        applied(replace(PATCH, scope=replace(SCOPE, map_index=map_index)))


def test_a_patch_without_a_scope_matches_nothing() -> None:
    with pytest.raises(PatchRejectedError, match="no scope"):
        applied(replace(PATCH, scope=None))  # type: ignore[arg-type]


def test_after_lost_workers_a_patch_serves_a_later_try_but_never_an_earlier_one() -> None:
    assert applied(PATCH, attempt=replace(TRY_2, try_number=4), again=True) == TARGET
    with pytest.raises(PatchRejectedError, match="try"):
        applied(PATCH, attempt=replace(TRY_2, try_number=1), again=True)


def test_what_the_author_has_changed_since_wins_over_the_patch() -> None:
    with pytest.raises(
        PatchRejectedError, match=r"declared spark\.executor\.memory = '600m'; by now it declares '2g'"
    ):
        applied(PATCH, {**DECLARED, "spark.executor.memory": "2g"})
    with pytest.raises(PatchRejectedError, match="by now it declares nothing"):
        applied(PATCH, {"spark.executor.cores": "2"})
    with pytest.raises(PatchRejectedError, match=r"did not declare spark\.executor\.memoryOverhead"):
        applied(PATCH, {**DECLARED, "spark.executor.memoryOverhead": "1g"})


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "spark.executor.memory",
        "/spark.executor.memory/",
        "/spark.executor.memory/0",
        "//spark.executor.memory",
        "/spark.executor.memory ",
        "/ spark.executor.memory",
        "/SPARK.EXECUTOR.MEMORY",
        "/spark.executor~0memory",
        "/spark.executor~1memory",
        "/~",
        "/-",
        "/spark.executor.memory\n",
        "/spark.driver.extraClassPath",
        "/spark.executor.extraClassPath",
        "/spark.driver.extraLibraryPath",
        "/spark.jars",
        "/spark.jars.packages",
        "/spark.jars.ivySettings",
        "/spark.files",
        "/spark.submit.pyFiles",
        "/spark.archives",
        "/spark.app.name",
        "/spark.master",
        "/spark.plugins",
        "/spark.extraListeners",
        "/spark.sql.extensions",
        "/spark.pyspark.python",
        "/spark.executorEnv.LD_PRELOAD",
        "/spark.yarn.appMasterEnv.PATH",
        "/spark.authenticate",
        "/spark.authenticate.secret",
        "/spark.ssl.keyPassword",
        "/spark.hadoop.fs.s3a.access.key",
        "/spark.kubernetes.driver.podTemplateFile",
        "/spark.kubernetes.executor.container.image",
        "/spark.yarn.queue",
        "/spark.redaction.regex",
        "/spark.eventLog.dir",
        "/__proto__",
    ],
)
@pytest.mark.parametrize("op", ["add", "replace", "test"])
def test_only_settings_of_resources_can_be_patched(path: str, op: str) -> None:
    declared = {**DECLARED, path.removeprefix("/"): "1g"} if op == "test" else DECLARED
    operation = {"op": op, "path": path, "value": "1g"}
    with pytest.raises(PatchRejectedError, match="not a setting that a patch may change"):
        applied(with_operations(operation, *PATCH.operations), declared)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": MEMORY},
        {"op": "move", "from": "/spark.jars", "path": MEMORY},
        {"op": "copy", "from": "/spark.jars", "path": MEMORY},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": "1g", "from": "/spark.jars"},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": 1024},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": ["1g"]},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": {"": "1g"}},
        {"op": "add", "path": "/spark.executor.memoryOverhead", "value": None},
        {"op": "add", "path": "/spark.executor.memoryOverhead"},
        "remove",
        None,
    ],
)
def test_operations_that_we_never_write_are_refused_even_from_memory(operation: Any) -> None:
    with pytest.raises(PatchRejectedError):
        applied(with_operations(operation))


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "lots",
        "-1g",
        "0",
        "1g\n",
        "1g\x00",
        "1g --class Evil",
        "1g;reboot",
        "$(reboot)",
        "1e3g",
        "٣g",
        "NaN",
        "Infinity",
        "9" * 5000,
        "999999t",
        "4g",  # over 3 times Spark's default of 1g, which is more than the declared 600m
    ],
)
def test_a_value_that_spark_cannot_read_or_the_limits_forbid_is_refused(value: str) -> None:
    test = {"op": "test", "path": MEMORY, "value": "600m"}
    with pytest.raises(PatchRejectedError) as caught:
        applied(with_operations(test, {"op": "replace", "path": MEMORY, "value": value}))
    assert "\n" not in str(caught.value)


def test_a_replacement_needs_the_test_of_what_it_replaces() -> None:
    with pytest.raises(PatchRejectedError, match="without testing"):
        applied(with_operations({"op": "replace", "path": MEMORY, "value": "1g"}))


def test_a_key_is_changed_only_once() -> None:
    add = {"op": "add", "path": "/spark.executor.memoryOverhead", "value": "512m"}
    with pytest.raises(PatchRejectedError, match="more than once"):
        applied(with_operations(add, {**add, "value": "1g"}))


def test_each_part_within_the_limits_but_together_beyond_them_is_refused() -> None:
    parts = (
        {"op": "test", "path": MEMORY, "value": "600m"},
        {"op": "replace", "path": MEMORY, "value": "3g"},
    )
    overhead = {"op": "add", "path": "/spark.executor.memoryOverhead", "value": "1g"}
    narrow = replace(LIMITS, max_container_memory=int(3.5 * 1024**3))
    assert applied(with_operations(*parts, overhead))
    with pytest.raises(PatchRejectedError, match="limits"):
        applied(with_operations(*parts, overhead), limits=narrow)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-Xss1m -Dkey=value", "-Xss4m -Dkey=other"),
        ("-Xss1m", "-Xss4m -javaagent:/tmp/evil.jar"),
        ("-Xss1m", "-Xss4m -XX:OnOutOfMemoryError=reboot"),
        ("-Xss1m -Dsafe=yes", "-Xss4m"),
        ("", "-agentlib:jdwp=transport=dt_socket,server=y"),
    ],
)
@pytest.mark.parametrize("side", ["driver", "executor"])
def test_jvm_options_can_change_in_nothing_but_sizes(side: str, before: str, after: str) -> None:
    key = f"spark.{side}.extraJavaOptions"
    declared = {**DECLARED, key: before} if before else DECLARED
    with pytest.raises(PatchRejectedError):
        applied(make_patch(declared, {**declared, key: after}, SCOPE, from_try=1), declared)


# -- random patches

HOSTILE = [
    "spark.driver.extraClassPath",
    "spark.jars",
    "spark.app.name",
    "",
    "a/b",
    "~0",
    "spark.plugins",
    "-",
]
KEYS = st.sampled_from(sorted(PATCHABLE)) | st.sampled_from([*HOSTILE, *DECLARED]) | st.text(max_size=10)
SIZES = st.builds(
    "{}{}".format, st.integers(-5, 10**6) | st.integers(), st.sampled_from(["", "k", "m", "g", "t", "x"])
)
VALUES = (
    SIZES
    | st.sampled_from(
        ["600m", "1624m", "1g", "4g", "2", "4", "0.4", "true", "false", "yarn", "-Xss4m", "-javaagent:x"]
    )
    | st.sampled_from(list(DECLARED.values()))
    | st.text(max_size=10)
    | st.none()
    | st.integers()
    | st.lists(st.text(max_size=3), max_size=2)
)
ANY_OPERATION = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "replace", "test", "remove", "move", "copy", "", "Add"]),
        "path": st.builds("{}{}".format, st.sampled_from(["/", "/", "/", "", "//"]), KEYS),
        "value": VALUES,
    },
    optional={"from": KEYS},
)


def _plausible(key: str, value: Any) -> list[dict[str, Any]]:
    """The operations that an honest patch would hold for this change."""
    path = f"/{key}"
    if key in DECLARED:
        test = {"op": "test", "path": path, "value": DECLARED[key]}
        return [test, {"op": "replace", "path": path, "value": value}]
    return [{"op": "add", "path": path, "value": value}]


HONEST = st.builds(
    _plausible, st.sampled_from(["spark.executor.memory"]), st.integers(500, 6000).map("{}m".format)
)
PLAUSIBLE = (
    HONEST
    | st.builds(_plausible, KEYS, VALUES)
    | st.builds(_plausible, st.sampled_from(sorted(PATCHABLE)), SIZES)
)
OPERATIONS = st.lists(PLAUSIBLE, max_size=3).map(lambda groups: [op for group in groups for op in group])
HOW_OFTEN: Counter[str] = Counter()


def _mib(size: str) -> float:
    """A size of memory settings, whose bare numbers are MiB or bytes, read without the code under test."""
    number, unit = (size[:-1], size[-1]) if size[-1].isalpha() else (size, "m")
    return float(number) * {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}[unit.lower()]


@settings(max_examples=1000, deadline=None)
@given(
    st.one_of(
        HONEST,
        st.tuples(HONEST, OPERATIONS).map(lambda both: both[0] + both[1]),
        OPERATIONS,
        st.tuples(OPERATIONS, st.lists(ANY_OPERATION, max_size=1)).map(lambda both: both[0] + both[1]),
        st.lists(ANY_OPERATION, max_size=4),
    )
)
def _random_patch_stays_within_the_allow_list_and_the_limits(operations: list[dict[str, Any]]) -> None:
    try:
        result = apply(with_operations(*operations), DECLARED, attempt=TRY_2, limits=LIMITS)
    except PatchRejectedError as rejected:
        HOW_OFTEN["rejected"] += 1
        HOW_OFTEN["rejected in more than one line"] += "\n" in str(rejected)
        return
    changed = {key for key in {*DECLARED, *result} if DECLARED.get(key) != result.get(key)}
    HOW_OFTEN["applied"] += bool(changed)
    assert changed <= set(PATCHABLE)
    assert set(DECLARED) <= set(result)
    assert all(isinstance(value, str) for value in result.values())
    heap = _mib(result["spark.executor.memory"])
    assert 0 < heap <= 3 * 1024
    assert heap + _mib(result.get("spark.executor.memoryOverhead", "384m")) <= 8 * 1024
    assert 1 <= int(result["spark.executor.cores"]) <= 4


def test_no_random_patch_leads_out_of_the_allow_list_or_the_limits() -> None:
    HOW_OFTEN.clear()
    _random_patch_stays_within_the_allow_list_and_the_limits()
    assert HOW_OFTEN["applied"] > 20, "the patches tried must not all be refused for their form"
    assert HOW_OFTEN["rejected"] > 100
    assert HOW_OFTEN["rejected in more than one line"] == 0


ODD_VALUES = (
    SIZES | st.text(max_size=6) | st.sampled_from(["${memory}", "{{ var }}", "1.5g", "", " 4g ", "-1"])
)
ODD_CONFS = st.dictionaries(st.sampled_from(sorted(PATCHABLE)), ODD_VALUES, max_size=6)


@settings(max_examples=500, deadline=None)
@given(ODD_CONFS, ODD_CONFS)
def test_whatever_the_author_declares_a_patch_is_applied_as_a_whole_or_rejected(
    declared: dict[str, str], changes: dict[str, str]
) -> None:
    target = {**declared, **changes}
    patch = make_patch(declared, target, SCOPE, from_try=1)
    try:
        result = apply(patch, declared, attempt=TRY_2, limits=LIMITS)
    except PatchRejectedError:
        return
    assert result == target
    for key in changes:
        if declared.get(key) != result[key] and PATCHABLE[key].kind != "jvm_flags":
            PATCHABLE[key].parse(result[key])


SCOPE_PARTS = {
    "kind": st.sampled_from(["run", "task", "", None, "*"]),
    "dag_id": st.sampled_from([SCOPE.dag_id, "other", "", "*", None]),
    "run_id": st.sampled_from([SCOPE.run_id, "*", "", None, "other"]),
    "task_id": st.sampled_from([SCOPE.task_id, "other", "*", "", None]),
    "map_index": st.sampled_from([SCOPE.map_index, -2, -1, 0, 7, None, "*", True]),
    "fingerprint": st.sampled_from(["*", "0123456789abcdef", "", None, "else"]),
}


@settings(max_examples=1000, deadline=None)
@given(st.fixed_dictionaries({}, optional=SCOPE_PARTS), st.sampled_from([0, 1, 2, None]))
def _random_scope_applies_only_where_it_names_every_part(scope: dict[str, Any], from_try: Any) -> None:
    honest = to_json(make_patch(DECLARED, {**DECLARED, "spark.executor.memory": "1624m"}, SCOPE, from_try=1))
    try:
        patch = from_json({**honest, "scope": scope, "from_try": from_try})
        apply(patch, DECLARED, attempt=TRY_2, limits=LIMITS, fingerprint="fedcba9876543210")
    except PatchRejectedError:
        HOW_OFTEN["rejected"] += 1
        return
    HOW_OFTEN[scope["kind"]] += 1
    assert (scope["dag_id"], scope["task_id"]) == (TRY_2.dag_id, TRY_2.task_id)
    if scope["kind"] == "run":
        assert (scope["run_id"], scope["map_index"], from_try) == (TRY_2.run_id, TRY_2.map_index, 1)
    else:
        assert (scope["kind"], scope["run_id"], scope["fingerprint"]) == ("task", "*", "*")
        assert scope["map_index"] in (TRY_2.map_index, -2)


def test_no_random_scope_reaches_further_than_it_says() -> None:
    HOW_OFTEN.clear()
    _random_scope_applies_only_where_it_names_every_part()
    for kind in ("run", "task"):
        whole = {
            **dataclasses.asdict(SCOPE),
            "kind": kind,
            "run_id": SCOPE.run_id if kind == "run" else "*",
            "fingerprint": "*",
        }
        _random_scope_applies_only_where_it_names_every_part.hypothesis.inner_test(whole, 1)
        assert HOW_OFTEN[kind] >= 1
    assert HOW_OFTEN["rejected"] > 100
