"""Applying a patch, or refusing to.

Nothing in a patch is believed: whoever can write to the store can have written it. What comes out differs from
the declared configuration only in resource settings, within the limits of today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.patching.patch_json import check_scope, checked_operations, shown
from airflow_autoremed.spark.keys import PATCHABLE, carried, restored
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.types import ANY, ANY_MAP_INDEX, AttemptId, Conf, Limits, Patch


def apply(
    patch: Patch,
    declared: Conf,
    *,
    attempt: AttemptId,
    limits: Limits,
    again: bool = False,
    fingerprint: str = "",
    category: str | None = None,
) -> dict[str, str]:
    """*declared*, changed as *patch* says.

    :param declared: what the task's author declares today.
    :param attempt: the try that is about to run.
    :param limits: today's.
    :param again: the tries since the patch was made were lost with their workers, so that no verdict came after
        it: any later try of its scope will do, not only the very next.
    :param fingerprint: of the job as it is today, for a patch that is meant for one job only.
    :param category: what the patch was made for; only some may ask for less memory than is declared.
    :raises PatchRejectedError: when the patch belongs elsewhere, changes what no patch may change, no longer fits what
        the author declares, or leads beyond the limits.
    """
    check_scope(patch)
    _check_meant_for(patch, attempt, again, fingerprint)
    result = result_of(patch, declared)
    _check_result(result, declared, limits, category)
    return result


def result_of(patch: Patch, declared: Conf) -> dict[str, str]:
    """*declared*, changed as *patch* says, wherever it belongs and whatever the limits are.

    :raises PatchRejectedError: when it changes what no patch may change, or no longer fits what the author declares.
    """
    operations = checked_operations(patch.operations)
    known = carried(declared)
    _check_keys(operations, known)
    changed = _applied(operations, known)
    try:
        return {
            **declared,
            **restored({key: value for key, value in changed.items() if known.get(key) != value}, declared),
        }
    except ValueError as error:
        raise PatchRejectedError(str(error)) from None


def _check_meant_for(patch: Patch, attempt: AttemptId, again: bool, fingerprint: str) -> None:
    scope = patch.scope
    anywhere = {"run_id": ANY, "map_index": ANY_MAP_INDEX} if scope.kind == "task" else {}
    for name in ("dag_id", "run_id", "task_id", "map_index"):
        theirs, ours = getattr(scope, name), getattr(attempt, name)
        if theirs != ours and theirs != anywhere.get(name, ours):
            raise PatchRejectedError(f"it is meant for {name} {shown(theirs)}, and this is {shown(ours)}")
    if scope.kind == "task":
        if scope.fingerprint not in (ANY, fingerprint):
            raise PatchRejectedError(
                "it is meant for the job as it was; its application or resources changed since"
            )
        return
    fits = patch.from_try < attempt.try_number if again else patch.from_try == attempt.try_number - 1
    if not fits:
        raise PatchRejectedError(
            f"it was made after try {patch.from_try} for the next one, and this is try {attempt.try_number}"
        )


def _check_keys(operations: Sequence[Mapping[str, Any]], declared: Conf) -> None:
    """Each operation on an allowed key, at most one change for each, and none that overrides the author unseen."""
    tested: set[str] = set()
    changed: set[str] = set()
    for operation in operations:
        key = _allowed_key(operation["path"])
        op, value = operation["op"], operation["value"]
        if op == "test":
            if key in tested or key in changed:
                raise PatchRejectedError(f"it tests {key} more than once, or after changing it")
            if declared.get(key) != value:
                raise PatchRejectedError(
                    f"it was made when the task declared {key} = {shown(value)}; "
                    f"by now it declares {shown(declared[key]) if key in declared else 'nothing'}"
                )
            tested.add(key)
            continue
        if key in changed:
            raise PatchRejectedError(f"it changes {key} more than once")
        if op == "add" and key in declared:
            raise PatchRejectedError(
                f"it was made when the task did not declare {key}; by now it declares {shown(declared[key])}"
            )
        if op == "replace" and key not in tested:
            raise PatchRejectedError(f"it replaces {key} without testing what the task declares")
        if not value.strip() or not value.isprintable():
            raise PatchRejectedError(f"its value {shown(value)} for {key} is not one that Spark can read")
        changed.add(key)


def _allowed_key(path: str) -> str:
    """The key that *path*, a JSON Pointer, names. No allowed key has a character that would need escaping."""
    key = path[1:]
    if not path.startswith("/") or key not in PATCHABLE:
        raise PatchRejectedError(f"its path {shown(path)} is not a setting that a patch may change")
    return key


def _applied(operations: Sequence[Mapping[str, Any]], declared: Conf) -> dict[str, str]:
    import jsonpatch
    from jsonpointer import JsonPointerException

    steps: list[Any] = [dict(operation) for operation in operations]
    try:
        result = jsonpatch.apply_patch(dict(declared), steps)
    except (jsonpatch.JsonPatchException, JsonPointerException) as error:
        raise PatchRejectedError(f"it does not apply: {' '.join(str(error).split())[:200]}") from None
    return dict(result)


def _check_result(result: dict[str, str], declared: Conf, limits: Limits, category: str | None) -> None:
    """What the operations were checked for one by one, once more on what came of them all."""
    touched = {key for key in {*declared, *result} if declared.get(key) != result.get(key)}
    if not touched <= set(PATCHABLE) or not set(declared) <= set(result):
        raise PatchRejectedError("it changes settings that no patch may change")
    if beyond := violations(result, declared, limits, category=category):
        raise PatchRejectedError(f"its result is beyond the limits: {'; '.join(beyond)}")
