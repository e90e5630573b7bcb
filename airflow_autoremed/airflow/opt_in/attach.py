"""``remediate``: the one line that opts a task in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from airflow_autoremed.airflow.opt_in import callbacks
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.platforms import find_platform, supported_operators
from airflow_autoremed.types import Mode

T = TypeVar("T")


def remediate(
    task: T,
    *,
    mode: str | Mode | None = None,
    limits: Mapping[str, Any] | None = None,
    stall_timeout: str | float | timedelta | None = None,
    retry_budget: int | None = None,
    objective: Mapping[str, Any] | None = None,
) -> T:
    """Let a Spark task heal itself on its retry.

    The task's own ``retry_policy``, callbacks and ``pre_execute`` keep their meaning. Attaching twice changes
    nothing but the options. The task needs ``retries``: without any there is nothing to heal with.

    :param task: an operator that launches Spark (also a mapped one), or a ``default_args`` dictionary, of which a
        copy is returned that opts in every Spark task of the Dag and leaves the others alone.
    :param mode: ``act``, ``shadow`` (decide and record, change nothing) or ``off``; default: the deployment's.
    :param limits: hard caps for this task over the deployment's: ``max_container_memory``, ``max_total_memory``
        (``"16g"``, ``"16Gi"``, ``"1.5g"`` or bytes, at least 64 MiB), ``max_cores_per_executor``, ``max_executors``, ``max_growth`` (a factor).
    :param stall_timeout: end the attempt when its application has made no progress for this long (``"15m"``, a
        ``timedelta``, or a number of seconds), for executors that nobody grants or that die as they start; default: the
        deployment's.
    :param retry_budget: retries beyond the task's own, for failures that another configuration cures; those of
        other failures stay as many as the author set. Default: the deployment's. Not in ``default_args``, which
        other tasks share.
    :param objective: what a trained model's answers are weighed by, over the deployment's: ``weight_of_failure``,
        ``feasible_below``, ``stop_above`` (0 to 1), ``rank_from``, ``free_from`` (similar attempts).
    :return: the same task, or the new dictionary.
    :raises TypeError: when *task* is neither.
    :raises SettingsError: for a mode or limit that cannot be used, saying what to write instead.
    """
    options = Options.checked(
        mode=mode,
        limits=limits,
        stall_timeout=stall_timeout,
        retry_budget=retry_budget,
        objective=objective,
        where="remediate()",
    )
    if isinstance(task, dict):
        if options.retry_budget:
            raise SettingsError(
                "remediate() cannot give a retry_budget to default_args, which tasks that launch no Spark share; "
                "pass the tasks themselves, or set [autoremed] retry_budget with attach_to_all"
            )
        return cast("T", _in_default_args(task, options))
    if find_platform(getattr(task, "operator_class", task)) is None:
        raise TypeError(
            f"remediate() got a {type(task).__name__}; pass a task of {' or '.join(supported_operators())}, "
            "or a default_args dictionary"
        )
    _attach(task, options)
    return task


def is_attached(task: Any) -> bool:
    """Whether *task* has been opted in."""
    return options_for(task) is not None


def options_for(task: Any) -> Options | None:
    """The options with which *task* was opted in, by whichever way; ``None`` when it was not."""
    found = callbacks.options_of(getattr(task, "on_execute_callback", None))
    if found is None:
        found = getattr(getattr(task, "retry_policy", None), "options", None)
    return found if isinstance(found, Options) else None


def _attach(task: Any, options: Options) -> None:
    options = _with_budget(task, options)
    hooks = _hooks({name: getattr(task, name, None) for name in (*_CALLBACKS, "retry_policy")}, options)
    for name, value in hooks.items():
        setattr(task, name, value)


def _with_budget(task: Any, options: Options) -> Options:
    """Raise the task's retries by its budget; attaching it again does not raise them again."""
    try:
        budget = options.effective_retry_budget()
    except SettingsError:  # of the deployment: no reason to break a Dag file; the task will say it in its log
        return options
    before = options_for(task)
    own = before.own_retries if before is not None and before.own_retries is not None else None
    if not budget and own is None:
        return options
    own = int(task.retries or 0) if own is None else own
    task.retries = own + budget
    return replace(options, own_retries=own)


def _in_default_args(given: dict[str, Any], options: Options) -> dict[str, Any]:
    return {**given, **_hooks(given, options)}


_CALLBACKS = ("on_execute_callback", "on_failure_callback", "on_success_callback")


def _hooks(present: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """What to set so that we are asked, with everything that is *present* kept and called first."""
    from airflow_autoremed.airflow.compat import HAS_RETRY_POLICY

    ours = {
        "on_execute_callback": callbacks.on_execute_with(options),
        "on_failure_callback": callbacks.on_failure,
        "on_success_callback": callbacks.on_success,
    }
    hooks: dict[str, Any] = {
        name: [*(c for c in callbacks.as_list(present.get(name)) if not _is_ours(c)), ours[name]]
        for name in _CALLBACKS
    }
    if HAS_RETRY_POLICY:
        from airflow_autoremed.airflow.opt_in.retry_policy import AutoRemediationPolicy

        author = present.get("retry_policy")
        if isinstance(author, AutoRemediationPolicy):
            author = author.author
        hooks["retry_policy"] = AutoRemediationPolicy(author).with_options(options)
    return hooks


def _is_ours(callback: Any) -> bool:
    return callbacks.options_of(callback) is not None or callback in (
        callbacks.on_failure,
        callbacks.on_success,
    )
