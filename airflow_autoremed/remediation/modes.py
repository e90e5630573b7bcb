"""Which mode holds, where people set modes beside the configuration and the Dag file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_autoremed.types import Mode, Override

_BY_CAUTION = (Mode.ACT, Mode.SHADOW, Mode.OFF)


def effective(
    declared: Mode, overrides: Sequence[Override], category: str | None = None
) -> tuple[Mode, Override | None]:
    """The mode of an attempt, and which of *overrides* makes it so; ``None``: it is the one that is declared.

    ======================================  ==================================================================
    declared ``off``                        stays off: whoever wrote it keeps the last word
    set for the task, else for its Dag      holds in place of what is declared
    set for the category of the failure     holds in place of what is declared; beside one for the task or
                                            Dag, the more cautious of both
    set for everything                      the more cautious of it and the above
    ======================================  ==================================================================

    :param declared: what the Dag file and the configuration say.
    :param overrides: that hold for the task, as the store gives them; those for other categories are passed over.
    :param category: of the failure, once it is known.
    """
    if declared is Mode.OFF:
        return declared, None
    task = _latest(each for each in overrides if each.task_id)
    dag = _latest(each for each in overrides if each.dag_id and not each.task_id)
    everything = _latest(each for each in overrides if not each.dag_id and not each.category)
    cause = _latest(each for each in overrides if category and each.category == category)
    found = task or dag
    if cause is not None and (found is None or _more_cautious(cause.mode, found.mode)):
        found = cause
    mode = declared if found is None else found.mode
    if everything is not None and _more_cautious(everything.mode, mode):
        return everything.mode, everything
    return mode, found


def by_category(declared: Mode, overrides: Sequence[Override]) -> dict[str, Mode]:
    """The modes of those categories for which one is set."""
    categories = {each.category for each in overrides if each.category}
    return {category: effective(declared, overrides, category)[0] for category in categories}


def _latest(overrides: Iterable[Override]) -> Override | None:
    return max(overrides, key=lambda each: each.id, default=None)


def _more_cautious(one: Mode, other: Mode) -> bool:
    return _BY_CAUTION.index(one) > _BY_CAUTION.index(other)
