"""The gates: checks that every decision passes, whoever asked for it.

Each gate is a function of the decision and of what is known about the deployment (:class:`Passage`); it returns the
decision, or one that it holds back. The worker, an attempt that was lost with its worker, replay and the simulator
all use the one list :data:`GATES`, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Protocol

from airflow_autoremed.patching.config_diff import make_patch
from airflow_autoremed.spark.allocation import total
from airflow_autoremed.types import (
    Action,
    Advice,
    AttemptId,
    Brakes,
    Conf,
    Decision,
    FailedAttempt,
    HeldBack,
    Mode,
    Patch,
    Scope,
)

Outcome = tuple[bool, datetime]
"""Whether a remediated attempt succeeded, and when it ended."""


@dataclass(frozen=True)
class Recent:
    """The latest outcomes of remediated attempts that a gate asks for; of the whole deployment (no Dag), that of each
    task only: one task must not pause the others'."""

    most: int
    dag_id: str | None = None
    task_id: str | None = None
    category: str | None = None


class Books(Protocol):
    """What a caller knows of other attempts. A question that cannot be answered raises nothing: it gets ``None``."""

    def outcomes(self, wanted: Sequence[Recent]) -> Sequence[Sequence[Outcome]] | None:
        """For each of *wanted*, the outcomes, latest first; ``None`` when they cannot be read."""
        ...

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        """Reserve *extra_bytes* beyond what the task declares for *attempt*.

        :return: ``None`` when they are granted, else why not, as a clause.
        """
        ...


class NoBooks:
    """A caller that knows of no other attempt: nothing is paused, everything is granted."""

    def outcomes(self, wanted: Sequence[Recent]) -> Sequence[Sequence[Outcome]] | None:
        """Nothing is known."""
        return None

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        """Everything is granted."""
        return None


@dataclass(frozen=True)
class Passage:
    """What the gates are told besides the decision."""

    mode: Mode = Mode.ACT
    books: Books = field(default_factory=NoBooks)
    brakes: Brakes = field(default_factory=Brakes)
    own_retries: int | None = None
    """The retries that the author set, where ``retry_budget`` added others; ``None``: all are the author's."""
    modes: Mapping[str, Mode] = field(default_factory=dict)
    """In place of :attr:`mode`, for failures of these categories."""
    now: datetime | None = None
    """The moment of the decision; ``None``: the clock's."""


_CLOCKS_DIFFER = timedelta(minutes=5)
"""What is said to have ended later than this from now was written by a wrong clock, and pauses nothing."""

Gate = Callable[[Decision, FailedAttempt, Passage], Decision]


def passed(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """*decision* after all gates."""
    mode = passage.modes.get(decision.classification.category)
    if mode is not None:
        passage = replace(passage, mode=mode)
    for gate in GATES:
        decision = gate(decision, failed, passage)
    return decision


def a_retry_is_left(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """Without a retry there is nothing to change."""
    if decision.action is not Action.REMEDIATE or failed.retries_left > 0:
        return decision
    return held_back(decision, failed, HeldBack("a_retry_is_left", "no retry is left"))


def a_failure_was_seen(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """An attempt that nobody saw fail is never a reason to stop: its log may show errors that it survived."""
    if decision.action is not Action.STOP or failed.failure_seen:
        return decision
    why = HeldBack("a_failure_was_seen", "its log does not show that it failed, so the task runs again")
    return held_back(decision, failed, why)


def the_patch_took_effect(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """An operator that ignores a patch ignores the next one, and what a larger size brought is not known."""
    if not failed.patch_ignored or decision.action is Action.LEAVE_ALONE:
        return decision
    if decision.action is Action.STOP and decision.reason.advice is Advice.INCURABLE:
        return decision
    why = "the operator submits its own configuration in place of the patch"
    return held_back(decision, failed, HeldBack("the_patch_took_effect", why), keep_patch=False)


def only_what_can_be_seen(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """A setting whose present value nobody here can see is left alone: a change could make it smaller."""
    blind = sorted(failed.unseen & set(decision.reason.changes))
    if decision.action is not Action.REMEDIATE or not blind:
        return decision
    left_alone = f"{', '.join(blind)} {'is' if len(blind) == 1 else 'are'} set outside the task, out of sight"
    changes = {key: pair for key, pair in decision.reason.changes.items() if key not in blind}
    if not changes:
        why = f"{left_alone}; declare it in the task to have it changed"
        return held_back(decision, failed, HeldBack("only_what_can_be_seen", why))
    conf = {key: value for key, value in decision.conf.items() if key not in blind}
    conf |= {key: failed.effective[key] for key in blind if key in failed.effective}
    return replace(
        decision,
        conf=conf,
        patch=patch_for(failed, conf),
        reason=replace(
            decision.reason, changes=changes, notes=(*decision.reason.notes, f"not changed: {left_alone}")
        ),
    )


def fuse(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """Remediation of a task, a Dag or a category is paused while its last remediations all ended in failure."""
    if decision.action is not Action.REMEDIATE or passage.mode is not Mode.ACT:
        return decision
    brakes, attempt, category = passage.brakes, failed.attempt, decision.classification.category
    levels = [
        (f"remediation of {whose}", recent)
        for whose, recent in (
            ("this task", Recent(brakes.brake_task or 0, dag_id=attempt.dag_id, task_id=attempt.task_id)),
            (f"the Dag {attempt.dag_id}", Recent(brakes.brake_dag or 0, dag_id=attempt.dag_id)),
            (f"{category} in this deployment", Recent(brakes.brake_category or 0, category=category)),
        )
        if recent.most
    ]
    found = passage.books.outcomes([recent for _, recent in levels]) if levels else None
    now = passage.now or datetime.now(timezone.utc)
    for (what, recent), outcomes in zip(levels, found or (), strict=False):
        past = [outcome for outcome in outcomes if outcome[1] <= now + _CLOCKS_DIFFER]
        until = paused_until(past, recent.most, brakes.brake_pause)
        if until is not None and now < until:
            whose = (
                f"its last {recent.most} remediations"
                if recent.dag_id is not None
                else f"the last remediations of {recent.most} tasks"
            )
            why = f"{what} is paused until {until:%Y-%m-%d %H:%M} UTC: {whose} all ended in failure"
            return held_back(decision, failed, HeldBack("fuse", why))
    return decision


def memory_ceiling(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """Remediated attempts may hold only so much memory at once beyond what their tasks declare."""
    if decision.action is not Action.REMEDIATE or passage.mode is not Mode.ACT:
        return decision
    coming = failed.attempt.next()
    refused = passage.books.grant(coming, total(decision.conf) - total(failed.baseline))
    return decision if refused is None else held_back(decision, failed, HeldBack("memory_ceiling", refused))


def authors_own_retries(decision: Decision, failed: FailedAttempt, passage: Passage) -> Decision:
    """The retries of ``retry_budget`` are for failures that a configuration cures, not for others."""
    own = passage.own_retries
    if decision.action is not Action.LEAVE_ALONE or own is None or passage.mode is not Mode.ACT:
        return decision
    if sum(not past.remediated for past in failed.history) < own:
        return decision
    why = (
        f"the task's own retries ({own}) are used up, and those of retry_budget are only for failures that another "
        "configuration can fix"
    )
    if decision.reason.held_back is not None:
        why = f"{decision.reason.held_back.why}, and {why}"
    reason = replace(decision.reason, held_back=HeldBack("authors_own_retries", why))
    return replace(decision, action=Action.STOP, patch=None, reason=reason)


GATES: tuple[Gate, ...] = (
    a_failure_was_seen,
    the_patch_took_effect,
    a_retry_is_left,
    only_what_can_be_seen,
    fuse,
    memory_ceiling,
    authors_own_retries,
)


def held_back(
    decision: Decision, failed: FailedAttempt, why: HeldBack, *, keep_patch: bool = True
) -> Decision:
    """*decision* without its changes: the next attempt runs as this one did.

    :param keep_patch: ``False``: it runs as declared, because no patch can be handed to it.
    """
    patch = None
    if keep_patch and not failed.runs_promoted_patch and failed.retries_left > 0:
        patch = patch_for(failed, failed.effective)
    return replace(
        decision,
        action=Action.LEAVE_ALONE,
        conf=failed.effective,
        patch=patch,
        reason=replace(decision.reason, held_back=why),
    )


def patch_for(failed: FailedAttempt, conf: Conf) -> Patch | None:
    """The patch that gives the next attempt *conf*; ``None`` when that is what the author declared."""
    if dict(conf) == dict(failed.baseline):
        return None
    attempt = failed.attempt
    scope = Scope(attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index)
    return make_patch(failed.baseline, conf, scope, from_try=attempt.try_number)


def paused_until(outcomes: Sequence[Outcome], most: int, pause_s: float) -> datetime | None:
    """When a pause ends that the last *most* outcomes call for; ``None`` when they call for none.

    After the pause one attempt is allowed; when it fails too, its failure begins the next pause.

    :param outcomes: latest first.
    """
    if len(outcomes) < most or any(succeeded for succeeded, _ in outcomes[:most]):
        return None
    return outcomes[0][1] + timedelta(seconds=pause_s)
