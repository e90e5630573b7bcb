"""``remediate``: the one line that opts a task in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from airflow_autoremed.airflow.opt_in import callbacks
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.platforms import find_platform, supported_operators
from airflow_autoremed.types import Mode

T = TypeVar("T")

log = logging.getLogger("airflow_autoremed")


def remediate(
    task: T | None = None,
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

    :param task: an operator that launches Spark (also a mapped one, or its ``.partial(...)``), a ``@task.pyspark``
        function or what calling it returns, or a ``default_args`` dictionary, of which a copy is returned that opts
        in every Spark task of the Dag and leaves the others alone. Left out: a decorator,
        ``@remediate(mode="shadow")`` above ``@task.pyspark``.
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
    :raises TypeError: when *task* is none of these.
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
    if task is None:

        def decorate(decorated: T) -> T:
            return _opt_in(decorated, options)

        return cast("T", decorate)
    return _opt_in(task, options)


def _opt_in(task: T, options: Options) -> T:
    if isinstance(task, dict):
        if options.retry_budget:
            raise SettingsError(
                "remediate() cannot give a retry_budget to default_args, which tasks that launch no Spark share; "
                "pass the tasks themselves, or set [autoremed] retry_budget with attach_to_all"
            )
        return cast("T", {**task, **_marks(task.get, options)})
    target = getattr(task, "operator", task)  # what calling a decorated function returns knows its task
    launches = getattr(target, "operator_class", target)
    if find_platform(launches) is None:
        raise TypeError(
            f"remediate() got {_described(target)}; pass a task of {' or '.join(supported_operators())}, "
            "a @task.pyspark function, or a default_args dictionary"
        )
    place = _place(target)
    options = _with_budget(place, options_for(target), options)
    for name, value in _marks(place.get, options).items():
        place.set(name, value)
    return task


def is_attached(task: Any) -> bool:
    """Whether *task* has been opted in."""
    return options_for(task) is not None


def options_for(task: Any) -> Options | None:
    """The options with which *task* was opted in, by whichever way; ``None`` when it was not."""
    found = callbacks.options_on(task)
    if found is None:
        policy = getattr(task, "retry_policy", None)
        for each in (policy, *getattr(policy, "policies", ())):  # a chain of policies, from Airflow 3.4 on
            options = getattr(each, "options", None)
            if isinstance(options, Options):
                return options
    return found


class _Task:
    """A task, mapped or not."""

    def __init__(self, task: Any) -> None:
        self.task = task

    def get(self, name: str) -> Any:
        return getattr(self.task, name, None)

    def set(self, name: str, value: Any) -> None:
        try:
            setattr(self.task, name, value)
        except AttributeError:  # a mapped task of an Airflow without this setter; the other marks are enough
            log.debug("[autoremed] %s of %s cannot be set", name, self.task)


class _Arguments(_Task):
    """The arguments that a task will be made of: ``Operator.partial(...)``, or a decorated function."""

    def get(self, name: str) -> Any:
        return self.task.kwargs.get(name)

    def set(self, name: str, value: Any) -> None:
        self.task.kwargs[name] = value


def _place(target: Any) -> _Task:
    is_made_later = (
        hasattr(target, "kwargs") and hasattr(target, "operator_class") and hasattr(target, "expand")
    )
    return _Arguments(target) if is_made_later else _Task(target)


def _with_budget(place: _Task, before: Options | None, options: Options) -> Options:
    """Raise the task's retries by its budget; attaching it again does not raise them again."""
    try:
        budget = options.effective_retry_budget()
    except SettingsError:  # of the deployment: no reason to break a Dag file; the task will say it in its log
        return options
    own = before.own_retries if before is not None and before.own_retries is not None else None
    declared = place.get("retries")
    if not budget and own is None:
        if declared == 0:
            log.warning(
                "[autoremed] Task %s has retries=0: its failures are explained, but nothing can heal it. "
                "Set retries, or write remediate(task, retry_budget=2).",
                place.get("task_id"),
            )
        return options
    if own is None and declared is None:
        if isinstance(place, _Arguments):
            raise SettingsError(
                f"remediate() cannot add a retry_budget to {_described(place.task)}, whose retries are not known yet; "
                "write retries=... there too, or pass what calling it returns"
            )
        declared = 0
    own = int(declared) if own is None else own
    place.set("retries", own + budget)
    return replace(options, own_retries=own)


def _marks(get: Callable[[str], Any], options: Options) -> dict[str, Any]:
    """What to set on a task so that it is known as opted in, with everything kept that is there."""
    return {name: callbacks.with_mark(get(name), options) for name in callbacks.MARKED}


def _described(task: Any) -> str:
    name = getattr(task, "task_id", None) or getattr(task, "__name__", None)
    return f"a {type(task).__name__}" if name is None else f"{name!r}, a {type(task).__name__}"
