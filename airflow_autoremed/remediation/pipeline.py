"""The pipeline, top to bottom: evidence -> classification -> recommendation -> decision -> gates.

Nothing here knows Airflow or an operator. Whoever learns of a failed attempt (:mod:`airflow_autoremed.airflow.attempt`,
replay, the simulator) gathers what is known of it, calls :func:`handle` or :func:`decide`, and carries out what comes
back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from airflow_autoremed.remediation.gates import Passage, passed, patch_for
from airflow_autoremed.spark.keys import carried
from airflow_autoremed.types import (
    UNKNOWN,
    Action,
    Advice,
    Changes,
    Classification,
    Decision,
    FailedAttempt,
    Insight,
    Limits,
    Odds,
    Reason,
    Recommendation,
    Restartable,
    Source,
)

log = logging.getLogger("airflow_autoremed")

Evidence = Iterable[tuple[Source, str]]
"""Texts about the failure beside the tapped log: exception, platform diagnostics, executor logs."""


class Tap(Protocol):
    """What was kept of the attempt's log while it streamed (:class:`airflow_autoremed.failures.matching.log_tap.LogTap`)."""

    def classify(self, more: Evidence) -> Classification:
        """What the log and *more* name as the cause."""
        ...


Ask = Callable[[Classification], Insight | None]
"""Looks for a model, and for what it has to be told, once the cause is known; ``None`` where there is none."""


def handle(
    failed: FailedAttempt, tap: Tap, more: Evidence, limits: Limits, passage: Passage, ask: Ask | None = None
) -> Decision:
    """The whole way for one failed attempt: find the cause, decide, and make the patch for the next attempt."""
    classification = tap.classify(more)
    return decide(failed, classification, limits, passage, None if ask is None else ask(classification))


def decide(
    failed: FailedAttempt,
    classification: Classification,
    limits: Limits,
    passage: Passage,
    insight: Insight | None = None,
) -> Decision:
    """What to do about *failed*, whose cause is *classification*.

    ==================================  =====================================================================
    the cause                           the decision
    ==================================  =====================================================================
    nothing cures it                    stop
    no rule names it                    leave alone
    a configuration cures it            remediate; stop when what is needed does not fit the limits
    a plain retry may cure it           leave alone; remediate where a setting stands below Spark's default
                                        or the same fault came back
    any of these, held back by a gate   leave alone (:mod:`airflow_autoremed.remediation.gates`)
    ==================================  =====================================================================

    With *insight*, a model that has seen enough similar attempts chooses the configuration, and says where no retry
    is worth it (:mod:`airflow_autoremed.recommending.optimiser`).

    Left alone, an attempt that ran patched is retried patched: what cured the first failure is not forgotten because
    of a second one of another kind.
    """
    return passed(_advised(failed, classification, limits, insight), failed, passage)


def _advised(
    failed: FailedAttempt, classification: Classification, limits: Limits, insight: Insight | None
) -> Decision:
    """The decision as the rules, the playbook and the model see it, before the gates."""
    what = _what_failed(classification)
    if classification.restartable is Restartable.NO:
        return _stop(failed, classification, Reason(what, Advice.INCURABLE))
    if classification.category == UNKNOWN and classification.rule is None:
        odds = _hopeless(failed, classification, insight)
        if odds is None:
            return _unchanged(failed, classification, Reason(what, Advice.UNCLASSIFIED))
        notes = ("a plain retry of failures with the same error template",)
        reason = Reason(what, Advice.NOT_WORTH_IT, notes=notes, odds=odds)
        return replace(_stop(failed, classification, reason), decided_by="model")

    advice = _recommend(failed, classification, limits, insight)
    reason = Reason(what, advice.advice, _fit_to_show(advice), advice.notes, advice.shortage, advice.odds)
    if advice.conf is None:
        return replace(_stop(failed, classification, reason), decided_by=advice.decided_by)
    if dict(advice.conf) == dict(failed.effective):
        return replace(_unchanged(failed, classification, reason), decided_by=advice.decided_by)
    return Decision(
        Action.REMEDIATE,
        reason,
        classification,
        conf=advice.conf,
        patch=patch_for(failed, advice.conf),
        decided_by=advice.decided_by,
    )


def _fit_to_show(advice: Recommendation) -> Changes:
    """The changes without JVM options that are none of our business."""
    before = carried({key: old for key, (old, _) in advice.changes.items() if old is not None})
    after = carried({key: new for key, (_, new) in advice.changes.items()})
    return {key: (before.get(key), after[key]) for key in advice.changes}


def _unchanged(failed: FailedAttempt, classification: Classification, reason: Reason) -> Decision:
    """Leave alone: the next attempt runs as this one did."""
    keep = failed.retries_left > 0 and not failed.runs_promoted_patch
    patch = patch_for(failed, failed.effective) if keep else None
    return Decision(Action.LEAVE_ALONE, reason, classification, conf=failed.effective, patch=patch)


def _stop(failed: FailedAttempt, classification: Classification, reason: Reason) -> Decision:
    return Decision(Action.STOP, reason, classification, conf=failed.effective)


def _recommend(
    failed: FailedAttempt, classification: Classification, limits: Limits, insight: Insight | None
) -> Recommendation:
    from airflow_autoremed.recommending import recommend

    advice = recommend(classification, failed.baseline, failed.effective, failed.history, limits)
    if insight is None or advice.conf is None or failed.retries_left < 1:
        return advice
    try:
        from airflow_autoremed.recommending.optimiser import improve

        return improve(
            advice, classification, failed.baseline, failed.effective, failed.history, limits, insight
        )
    except Exception as error:  # noqa: BLE001 - the playbook needs no model
        _warn(error)
        return advice


def _hopeless(failed: FailedAttempt, classification: Classification, insight: Insight | None) -> Odds | None:
    if insight is None or failed.retries_left < 1:
        return None
    try:
        from airflow_autoremed.recommending.optimiser import hopeless

        return hopeless(classification, insight.failed.template_id, failed.effective, insight)
    except Exception as error:  # noqa: BLE001 - what nobody knows is left alone
        _warn(error)
        return None


def _warn(error: Exception) -> None:
    log.warning("[autoremed] asking the model failed (%r); the playbook decides", error)


def _what_failed(classification: Classification) -> str:
    if classification.category == UNKNOWN and classification.rule is None:
        return "No rule names the cause of this failure."
    summary = classification.summary.strip() or f"The failure is of the category {classification.category}."
    return summary if summary.endswith((".", "!", "?")) else f"{summary}."
