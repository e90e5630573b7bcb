"""The worker's way to the store: everything is recorded if it can be, and nothing fails if it cannot."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.airflow.attempt.handover import Handover
from airflow_autoremed.airflow.compat import is_test_run
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.airflow.options import settings, store_url
from airflow_autoremed.types import (
    FLOOR,
    UNKNOWN,
    AttemptId,
    Conf,
    Decision,
    Mode,
    Override,
    Patch,
    RecordedAttempt,
    TaskRecord,
)

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.running import RunningAttempt
    from airflow_autoremed.history import Store
    from airflow_autoremed.history.attempt_records import AttemptDecision, AttemptStart, FloorPatch
    from airflow_autoremed.history.stored import OutcomesOf, PromotedPatch

log = logging.getLogger("airflow_autoremed")

T = TypeVar("T")

_DOWN_S = 60.0
"""Seconds in which nothing is asked of a store that has just failed."""
_HELD_S = 24 * 3600.0
"""Seconds after which a try that was lost with its worker no longer counts as holding memory."""


class HistoryClient:
    """Writes attempts, decisions and outcomes; the first fault is one warning, later ones are silent.

    An attempt is written when it starts, which is the evidence that it was lost if nothing follows, and when it ends.
    """

    def __init__(self) -> None:
        self._store: Store | None = None
        self._warned = False
        self._down_until = 0.0

    @staticmethod
    @lru_cache(maxsize=1)
    def current() -> HistoryClient:
        """The client of this process."""
        return HistoryClient()

    def begin(self, running: RunningAttempt) -> bool:
        """Record that an attempt begins with a patch."""

        def write(store: Store) -> None:
            store.record(running.attempt, start=self._begun(store, running))

        return self._try(write)

    def overrides(self, attempt: AttemptId) -> tuple[Override, ...] | None:
        """The modes that people set for the task of *attempt*; ``None`` where the store cannot say."""
        return self._ask(lambda store: store.overrides_of(attempt.dag_id, attempt.task_id))

    def start(self, running: RunningAttempt) -> PromotedPatch | None:
        """Record that an attempt starts as declared; the patch that it could begin with instead: the one that was
        promoted for its task, on the first try its floor, or both as one. What has expired by now is ended.

        *running* is told the modes that people set. Where that is ``off``, nothing is recorded.
        """
        rules = settings().patches

        def goes_on(overrides: tuple[Override, ...]) -> bool:
            running.overrides = overrides
            return running.mode_of() is not Mode.OFF

        def write(store: Store) -> PromotedPatch | None:
            found = store.start(self._begun(store, running), goes_on=goes_on)
            if found is None:
                return None
            is_floor = found.category == FLOOR
            floor = found if is_floor else found.floor
            if rules.floor is Mode.OFF or running.attempt.try_number > 1:
                floor = None
            promoted = None if is_floor or rules.promote_after < 1 else found
            promoted = _unless_expired(store, running, promoted, "The promoted patch")
            floor = _unless_expired(store, running, floor, "The floor")
            if floor is not None and Mode.SHADOW in (rules.floor, running.mode_of(FLOOR)):
                log.info("[autoremed] Would start with %s.", floor.why)
                return promoted
            if promoted is None or floor is None:
                return promoted or floor
            from airflow_autoremed.patching import together

            both = together(promoted.patch, floor.patch, running.baseline, running.limits)
            return replace(promoted, patch=both, floor=floor)

        return self._ask(write)

    def failure(self, running: RunningAttempt, decision: Decision, exception: str = "") -> bool:
        """Record a failed attempt with the decision about it; whether the store took it.

        :param exception: the exception's text, for what is kept of a failure that no rule names.
        """
        from airflow_autoremed.airflow.attempt import unclassified
        from airflow_autoremed.history.attempt_records import AttemptDecision
        from airflow_autoremed.remediation import reasons

        excerpt = mask(running.tap.excerpt())
        nameless = decision.classification.category == UNKNOWN
        seen = unclassified.look([mask(exception), excerpt]) if nameless else unclassified.Unclassified()
        masked, mode = _masked(decision), running.mode_of(decision.classification.category)
        made = AttemptDecision(
            masked,
            mode,
            reasons.text(masked, mode),
            excerpt=excerpt,
            max_tries=running.max_tries,
            template=seen.template,
            template_id=seen.template_id,
            opinion=seen.opinion,
        )
        return self._end(running, succeeded=False, made=made)

    def judged_later(
        self, attempt: AttemptId, decision: Decision, running: RunningAttempt, *, ended: bool
    ) -> bool:
        """Record the decision about an attempt that is decided about when the next, *running*, begins.

        :param ended: whether its end has to be recorded, too: it was lost.
        """
        from airflow_autoremed.history.attempt_records import AttemptDecision, AttemptEnd
        from airflow_autoremed.remediation import reasons

        masked, mode = _masked(decision), running.mode_of(decision.classification.category)
        made = AttemptDecision(masked, mode, reasons.text(masked, mode), max_tries=running.max_tries)
        end = AttemptEnd(succeeded=False, ended_at=datetime.now(timezone.utc)) if ended else None
        return self._try(lambda store: store.record(attempt, decision=made, end=end), at_the_end=True)

    def success(self, running: RunningAttempt) -> bool:
        """Record an attempt that succeeded."""
        return self._end(running, succeeded=True)

    def ended(self, running: RunningAttempt) -> bool:
        """Record a failed attempt about which nothing was decided."""
        return self._end(running, succeeded=False)

    def interrupted(self, running: RunningAttempt) -> bool:
        """Record an attempt that was ended from outside: nothing is learned from it."""
        return self._end(running, succeeded=None)

    def handover(self, attempt: AttemptId) -> Handover | None:
        """What the store knows of the tries before *attempt*."""

        def read(store: Store) -> Handover | None:
            verdict = store.decision_before(attempt)
            if verdict is None:
                return None
            from airflow_autoremed.patching import to_json

            return Handover(
                verdict.attempt.try_number,
                verdict.mode,
                verdict.category,
                None if verdict.patch is None else to_json(verdict.patch),
                store.past_attempts(attempt),
                verdict.max_tries,
                None if verdict.decided_at is None else verdict.decided_at.timestamp(),
            )

        return self._ask(read)

    def task_history(self, attempt: AttemptId, most: int) -> tuple[RecordedAttempt, ...]:
        """Earlier attempts of the task, of other runs too; none where the store cannot be asked."""
        return self._ask(lambda store: store.task_history(attempt, most)) or ()

    def started_without_end(self, attempt: AttemptId, max_tries: int | None) -> AttemptStart | None:
        """The start of the attempt before *attempt*, when that was lost (positive evidence, never mere absence)."""
        return self._ask(lambda store: store.started_without_end(attempt, max_tries))

    def patch_rejected(self, key: str, attempt: AttemptId, why: str) -> None:
        """A patch was refused when it was to be applied: what the task declares today comes first."""
        from airflow_autoremed.types import PatchState

        self._ask(
            lambda store: store.end_patch(key, PatchState.SUPERSEDED, who=str(attempt), why=why) or None
        )

    def out_of_force(self, key: str) -> bool:
        """Whether the patch of that key was taken back, or has expired; ``False`` where the store cannot say."""
        from airflow_autoremed.history.stored import OUT_OF_FORCE

        return self._ask(lambda store: store.patch_state(key)) in OUT_OF_FORCE

    def patch_key(self, patch: Patch) -> str | None:
        """The name of a patch for one task instance in the store. A digest: nothing is asked, and nothing shows whether
        the store is up."""
        try:
            return self._opened().patch_key(patch)
        except Exception:  # noqa: BLE001 - whoever asks the store says what is wrong with it
            return None

    def remediated_outcomes(
        self, wanted: Sequence[OutcomesOf]
    ) -> Sequence[Sequence[tuple[bool, datetime]]] | None:
        """For each of *wanted*, how its latest remediated attempts ended; ``None`` where the store cannot say."""
        return self._ask(lambda store: store.remediated_outcomes(*wanted))

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        """Why *attempt* may not hold *extra_bytes* beyond what its task declares; ``None`` when it may.

        Where a ceiling is set and the store cannot be asked, it may not: a ceiling that does not hold is none.
        """
        ceilings = settings().ceilings
        if extra_bytes <= 0 or ceilings == type(ceilings)():
            return None
        answer: list[str | None] = []
        self._try(
            lambda store: answer.append(store.grant(attempt, extra_bytes, held_s=_HELD_S, ceilings=ceilings))
        )
        return (
            answer[0]
            if answer
            else "the store, which knows how much memory other attempts hold, cannot be reached"
        )

    def _end(
        self, running: RunningAttempt, *, succeeded: bool | None, made: AttemptDecision | None = None
    ) -> bool:
        from airflow_autoremed.history.attempt_records import AttemptEnd, Promotion
        from airflow_autoremed.spark.allocation import gib_seconds

        duration = running.duration_s
        ended = AttemptEnd(
            succeeded,
            datetime.now(timezone.utc),
            round(duration, 3),
            round(gib_seconds(running.effective, duration), 3),
        )
        rules = settings().patches
        learns = running.promotes and not is_test_run()
        if not learns:
            rules = replace(rules, promote_after=0)  # which is never

        def write(store: Store) -> None:
            news = store.record(
                running.attempt,
                start=self._begun(store, running),
                decision=made,
                end=ended,
                promotion=Promotion(
                    rules,
                    _judge,
                    floor=partial(_floor, running) if learns and rules.floor is not Mode.OFF else None,
                    every_end=Mode.SHADOW in (running.mode_of(FLOOR), rules.floor),
                ),
            )
            for sentence in news:
                log.info("[autoremed] %s", sentence)

        return self._try(write, at_the_end=True)

    def _begun(self, store: Store, running: RunningAttempt) -> AttemptStart:
        from airflow_autoremed.history.attempt_records import AttemptStart

        baseline = _masked_conf(running.baseline)
        changed = dict(running.effective) != dict(running.baseline)
        return AttemptStart(
            running.attempt,
            baseline=baseline,
            effective=_masked_conf(running.effective) if changed else baseline,
            operator=type(running.operator).__name__,
            started_at=running.started_at,
            patched=running.patched,
            fingerprint=running.fingerprint,
            patch_key=running.patch_key,
            max_tries=running.max_tries,
        )

    def _ask(self, question: Callable[[Store], T | None]) -> T | None:
        """The answer of the store; ``None`` also when it has none to give."""
        answers: list[T | None] = []
        self._try(lambda store: answers.append(question(store)))
        return answers[0] if answers else None

    def _try(self, work: Callable[[Store], object], *, at_the_end: bool = False) -> bool:
        """Whether *work* was done.

        :param at_the_end: what an attempt leaves behind is worth one more try. Everything else is not asked of a store
            that has just failed: an attempt would wait for each of its questions.
        """
        if not at_the_end and time.monotonic() < self._down_until:
            return False
        try:
            work(self._opened())
        except Exception as error:  # noqa: BLE001 - history is worth having, never worth a task
            if not self._warned:
                warn("using the store", error)
            self._warned = True
            self._down_until = time.monotonic() + _DOWN_S
            return False
        self._warned, self._down_until = False, 0.0
        return True

    def _opened(self) -> Store:
        """The store of this process; it connects when it is first asked."""
        if self._store is None:
            from airflow_autoremed.history import Store

            configured = settings()
            self._store = Store(
                store_url(), deployment=configured.deployment, deadline_s=configured.store_deadline
            )
        return self._store


def _judge(what: str, record: TaskRecord) -> tuple[bool, str]:
    """The policy of promotion, as the store asks for it within its transaction."""
    from airflow_autoremed.patching import worth_keeping, worth_promoting

    return worth_promoting(record, settings().patches) if what == "promote" else worth_keeping(record)


def _unless_expired(
    store: Store, running: RunningAttempt, found: PromotedPatch | None, what: str
) -> PromotedPatch | None:
    """*found*, unless it has expired by now; then it is ended."""
    if found is None:
        return None
    from airflow_autoremed.patching import expired
    from airflow_autoremed.types import PatchState

    rules = settings().patches
    why = expired(rules, since=found.since, last_used=found.last_used, now=datetime.now(timezone.utc))
    if why is None:
        return found
    store.end_patch(found.key, PatchState.EXPIRED, who=str(running.attempt), why=why)
    log.info("[autoremed] %s of this task has expired: %s.", what, why)
    return None


def _floor(running: RunningAttempt, past: Sequence[RecordedAttempt]) -> FloorPatch | None:
    """The policy of floors, likewise."""
    from airflow_autoremed.history.attempt_records import FloorPatch
    from airflow_autoremed.patching import diff
    from airflow_autoremed.recommending import need

    floor = need.floor_after(past, running.baseline, running.limits)
    return None if floor is None else FloorPatch(diff(running.baseline, floor.conf), floor.why)


def _masked(decision: Decision) -> Decision:
    from airflow_autoremed.remediation import reasons

    cause = decision.classification
    lines = tuple(replace(line, text=mask(line.text)) for line in cause.lines)
    chain = tuple(replace(link, line=replace(link.line, text=mask(link.line.text))) for link in cause.chain)
    return replace(
        decision,
        conf=_masked_conf(decision.conf),
        reason=reasons.masked(decision.reason, mask, _mask_value),
        classification=replace(cause, lines=lines, chain=chain, runners_up=()),
    )


def _masked_conf(conf: Conf) -> dict[str, str]:
    resources = handovers.carried_settings(conf)
    return {
        key: resources[key] if key in resources else _mask_value(key, value) for key, value in conf.items()
    }


def _mask_value(key: str, value: str) -> str:
    from airflow_autoremed.redaction import is_secret

    return "***" if is_secret(key) else mask(value)


def mask(value: Any) -> str:
    """*value* as text, with every secret masked that Airflow or we know of."""
    from airflow_autoremed.airflow.compat import redact
    from airflow_autoremed.redaction import mask_secrets

    return mask_secrets(str(redact(str(value))))
