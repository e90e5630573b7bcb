"""What a patch may look like at all: its form as JSON, and the check of everything that claims to be one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.types import ANY, ANY_MAP_INDEX, Patch, Scope

MAX_OPERATIONS = 128
"""Two for each key: more than there are keys that a patch may touch."""
MAX_VALUE = 8 * 1024
"""Characters. JVM options are the longest values there are."""
_MAX_PATH = 256
_MAX_NAME = 250
"""Characters: the length of ids in Airflow's own tables."""
_MAX_NUMBER = 2**31 - 1
_OPERATIONS = ("add", "replace", "test")
_KINDS = ("run", "task")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_SCOPE = ("kind", "dag_id", "run_id", "task_id", "map_index", "fingerprint")
_SHOWN = 60


def to_json(patch: Patch) -> dict[str, Any]:
    """*patch* as JSON can hold it."""
    scope = patch.scope
    return {
        "scope": {
            "kind": scope.kind,
            "dag_id": scope.dag_id,
            "run_id": scope.run_id,
            "task_id": scope.task_id,
            "map_index": scope.map_index,
            "fingerprint": scope.fingerprint,
        },
        "from_try": patch.from_try,
        "operations": [dict(operation) for operation in patch.operations],
    }


def from_json(obj: Any) -> Patch:
    """The patch that *obj*, from a store that others can write to, stands for.

    Only its form is checked here: whether it may be applied, and to what, is for
    :func:`airflow_autoremed.patching.apply` to say.

    :raises PatchRejectedError: when *obj* is not of the form that :func:`to_json` gives.
    """
    parts = _exactly(obj, "the patch", ("scope", "from_try", "operations"))
    scope = _exactly(parts["scope"], "its scope", _SCOPE)
    patch = Patch(
        operations=checked_operations(parts["operations"]),
        scope=Scope(**scope),
        from_try=parts["from_try"],
    )
    check_scope(patch)
    return patch


def check_scope(patch: Patch) -> None:
    """:raises PatchRejectedError: when anything that says where *patch* belongs is missing or not of its kind."""
    scope = patch.scope
    if not isinstance(scope, Scope):
        raise PatchRejectedError("it has no scope")
    if scope.kind not in _KINDS:
        raise PatchRejectedError(f"its scope has the unknown kind {shown(scope.kind)}")
    for name in ("dag_id", "run_id", "task_id"):
        value = getattr(scope, name)
        if not isinstance(value, str) or not value.strip() or len(value) > _MAX_NAME:
            raise PatchRejectedError(f"its scope has no usable {name}")
    for_task = scope.kind == "task"
    if for_task and scope.run_id != ANY:
        raise PatchRejectedError(f"its scope is of the kind 'task', but names the run {shown(scope.run_id)}")
    if not _is_count(scope.map_index, least=ANY_MAP_INDEX if for_task else -1):
        raise PatchRejectedError("its scope has no usable map_index")
    fingerprint = scope.fingerprint
    if not isinstance(fingerprint, str) or not (fingerprint == ANY or _FINGERPRINT.fullmatch(fingerprint)):
        raise PatchRejectedError("its scope has no usable fingerprint")
    if not _is_count(patch.from_try, least=1):
        raise PatchRejectedError("it does not say which try it comes from")


def checked_operations(operations: Any) -> tuple[Mapping[str, Any], ...]:
    """*operations* when each is an ``add``, ``replace`` or ``test`` of a text.

    :raises PatchRejectedError: otherwise.
    """
    if not isinstance(operations, Sequence) or isinstance(operations, str | bytes):
        raise PatchRejectedError("it has no list of operations")
    if not 0 < len(operations) <= MAX_OPERATIONS:
        raise PatchRejectedError(f"it has {len(operations)} operations; 1 to {MAX_OPERATIONS} are possible")
    return tuple(_checked_operation(operation) for operation in operations)


def shown(value: Any) -> str:
    """Something untrusted as it may stand in a log line: short, and without line breaks."""
    if isinstance(value, str):
        text = repr(value[: _SHOWN + 1])
    elif value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) <= _MAX_NUMBER):
        text = repr(value)
    else:  # among them whole numbers too long to be written out
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _checked_operation(operation: Any) -> Mapping[str, Any]:
    if not isinstance(operation, Mapping) or "op" not in operation:
        raise PatchRejectedError("one of its operations is not an object with an 'op'")
    op = operation["op"]
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise PatchRejectedError(
            f"it holds the operation {shown(op)}; only {', '.join(_OPERATIONS)} are possible"
        )
    parts = _exactly(operation, f"one of its operations {op!r}", ("op", "path", "value"))
    path, value = parts["path"], parts["value"]
    if not isinstance(path, str) or len(path) > _MAX_PATH:
        raise PatchRejectedError(f"its path {shown(path)} is not a text of at most {_MAX_PATH} characters")
    if not isinstance(value, str):
        raise PatchRejectedError(f"its value for {shown(path)} is {shown(value)}; only texts are possible")
    if len(value) > MAX_VALUE:
        raise PatchRejectedError(f"its value for {shown(path)} has {len(value)} characters, over {MAX_VALUE}")
    return {"op": op, "path": path, "value": value}


def _exactly(obj: Any, what: str, names: Iterable[str]) -> Mapping[str, Any]:
    expected = set(names)
    if not isinstance(obj, Mapping):
        raise PatchRejectedError(f"{what} is {shown(obj)}, not an object")
    if len(obj) != len(expected) or set(obj) != expected:
        raise PatchRejectedError(f"{what} does not have exactly the parts {', '.join(sorted(expected))}")
    return obj


def _is_count(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MAX_NUMBER
