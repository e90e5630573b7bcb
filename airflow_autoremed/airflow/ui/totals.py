"""The overview: what needs a person, and what remediation saved and spent. Arithmetic only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_autoremed.history.stored import FailureGroup, Overview
from airflow_autoremed.types import UNKNOWN, Action, Mode

_TASKS_SHOWN = 5
_ACTIONS = (Action.REMEDIATE.value, Action.STOP.value, Action.LEAVE_ALONE.value)


@dataclass(frozen=True)
class InboxEntry:
    """One cause that needs a person, over all tasks that it befell."""

    why: str
    """``stopped``, ``budget exhausted`` or ``unclassified``."""
    category: str
    rule: str | None
    template: str | None
    failures: int
    tasks: tuple[tuple[str, str], ...]
    """(Dag, task) of some."""
    more_tasks: int
    """How many others."""
    last_at: datetime | None
    gib_hours: float
    """Spent on these attempts."""


@dataclass(frozen=True)
class Line:
    """A name with the number of failures by what was decided."""

    name: str
    counts: tuple[int, ...]
    """In the order remediated, stopped, left alone."""
    gib_hours: float = 0.0

    @property
    def total(self) -> int:
        """Of all decisions."""
        return sum(self.counts)


@dataclass(frozen=True)
class Totals:
    """What was recorded of the Dags that a reader may see."""

    inbox: tuple[InboxEntry, ...]
    healed: int
    """Retries that succeeded with a patch."""
    prevented: int
    """First attempts that began with a promoted patch and succeeded."""
    failed_with_patch: int
    stopped: int
    left_alone: int
    shadowed: int
    """Decisions that were only recorded."""
    saved_gib_hours: float
    """Of the retries that were skipped, had each cost as much as the attempt that failed."""
    spent_gib_hours: float
    """Of patched attempts that failed all the same."""
    by_category: tuple[Line, ...]
    by_dag: tuple[Line, ...]
    by_day: tuple[Line, ...]
    shadow: tuple[Line, ...]
    """By Dag: what would have been done, had it acted."""
    shadow_gib_hours: float
    """Of the attempts after which it would have stopped."""

    @property
    def day_chart(self) -> dict[str, list[Any]]:
        """Columns for the chart: ``at`` (seconds since 1970) and ``counts``, one column for each decision."""
        return {
            "at": [_midnight(line.name) for line in self.by_day],
            "counts": [[line.counts[place] for line in self.by_day] for place in range(len(_ACTIONS))],
        }


def of(overview: Overview, readable: set[str]) -> Totals:
    """The totals of the Dags in *readable*."""
    failures = [group for group in overview.failures if group.dag_id in readable]
    patched = [group for group in overview.patched if group.dag_id in readable]
    days = [count for count in overview.days if count.dag_id in readable]
    acted = [group for group in failures if group.mode == Mode.ACT.value]
    shadowed = [group for group in failures if group.mode == Mode.SHADOW.value]

    def count(action: Action) -> int:
        return sum(group.failures for group in acted if group.action == action.value)

    return Totals(
        inbox=_inbox(failures),
        healed=sum(group.attempts for group in patched if group.succeeded and not group.first_try),
        prevented=sum(group.attempts for group in patched if group.succeeded and group.first_try),
        failed_with_patch=sum(group.attempts for group in patched if not group.succeeded),
        stopped=count(Action.STOP),
        left_alone=count(Action.LEAVE_ALONE),
        shadowed=sum(group.failures for group in shadowed),
        saved_gib_hours=sum(group.skipped_gib_seconds for group in failures) / 3600,
        spent_gib_hours=sum(group.gib_seconds for group in patched if not group.succeeded) / 3600,
        by_category=_lines((g.category, g.action, g.failures, g.gib_seconds) for g in failures),
        by_dag=_lines((g.dag_id, g.action, g.failures, g.gib_seconds) for g in failures),
        by_day=tuple(
            sorted(_lines((c.day, c.action, c.failures, 0.0) for c in days), key=lambda line: line.name)
        ),
        shadow=_lines((g.dag_id, g.action, g.failures, g.gib_seconds) for g in shadowed),
        shadow_gib_hours=sum(g.gib_seconds for g in shadowed if g.action == Action.STOP.value) / 3600,
    )


def _lines(counted: Iterable[tuple[str, str, int, float]]) -> tuple[Line, ...]:
    """By name, the most failures first."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_ACTIONS, 0))
    spent: dict[str, float] = defaultdict(float)
    for name, action, failures, gib_seconds in counted:
        counts[name][action] = counts[name].get(action, 0) + failures
        spent[name] += gib_seconds / 3600
    lines = [
        Line(name, tuple(by_action[action] for action in _ACTIONS), spent[name])
        for name, by_action in counts.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.total, line.name)))


def _inbox(failures: Iterable[FailureGroup]) -> tuple[InboxEntry, ...]:
    """One entry for each cause, what costs most first."""
    causes: dict[tuple[str, str, str], list[FailureGroup]] = defaultdict(list)
    for group in failures:
        why = _why(group)
        if why is not None:
            cause = group.template_id if group.category == UNKNOWN else group.rule
            causes[(why, group.category, cause or "")].append(group)
    entries = [_entry(why, groups) for (why, _, _), groups in causes.items()]
    return tuple(sorted(entries, key=lambda entry: (-entry.gib_hours, -entry.failures)))


def _why(group: FailureGroup) -> str | None:
    if group.category == UNKNOWN:
        return "unclassified"
    if group.action == Action.STOP.value:
        return "stopped" if group.mode == Mode.ACT.value else "would be stopped"
    return "budget exhausted" if group.exhausted else None


def _entry(why: str, groups: list[FailureGroup]) -> InboxEntry:
    tasks = list(dict.fromkeys((group.dag_id, group.task_id) for group in groups))
    first = groups[0]
    return InboxEntry(
        why,
        first.category,
        first.rule,
        next((group.template for group in groups if group.template), None),
        sum(group.failures for group in groups),
        tuple(tasks[:_TASKS_SHOWN]),
        max(0, len(tasks) - _TASKS_SHOWN),
        max((group.last_at for group in groups if group.last_at is not None), default=None),
        sum(group.gib_seconds for group in groups) / 3600,
    )


def _midnight(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()
