"""The pipeline, top to bottom: evidence -> classification -> recommendation -> decision -> patch.

Nothing here knows Airflow or an operator. The ways in (:mod:`airflow_autoremed.airflow`) gather what is known of
a failed attempt, call :func:`handle`, and carry out what comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from airflow_autoremed.types import (
    UNKNOWN,
    Action,
    Classification,
    Conf,
    Decision,
    FailedAttempt,
    Insight,
    Limits,
    Patch,
    Recommendation,
    Restartable,
    Scope,
    Source,
)

log = logging.getLogger("airflow_autoremed")

Evidence = Iterable[tuple[Source, str]]
"""Texts about the failure beside the tapped log: exception, platform diagnostics, executor logs."""


class Tap(Protocol):
    """What was kept of the attempt's log while it streamed (:class:`airflow_autoremed.failures.matching.log_tap.LogTap`)."""

    def classify(self, more: Evidence) -> Classification: ...


Ask = Callable[[Classification], Insight | None]
"""Looks for a model, and for what it has to be told, once the cause is known; ``None`` where there is none."""


def handle(
    failed: FailedAttempt, tap: Tap, more: Evidence, limits: Limits, ask: Ask | None = None
) -> Decision:
    """The whole way for one failed attempt: find the cause, decide, and make the patch for the next try."""
    classification = tap.classify(more)
    return decide(failed, classification, limits, None if ask is None else ask(classification))


def decide(
    failed: FailedAttempt, classification: Classification, limits: Limits, insight: Insight | None = None
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
    any of these, but no retry is left  leave alone, naming what a next run would need
    ==================================  =====================================================================

    With *insight*, a model that has seen enough similar attempts chooses the configuration, and says where no retry
    is worth it (:mod:`airflow_autoremed.recommending.optimiser`).

    Left alone, a try that ran patched is retried patched: what cured the first failure is not forgotten because
    of a second one of another kind.
    """
    what = _what_failed(classification)
    unchanged = Decision(
        Action.LEAVE_ALONE,
        "",
        classification,
        conf=failed.effective,
        patch=_patch(failed, failed.effective) if failed.retries_left > 0 else None,
    )
    stop = replace(unchanged, action=Action.STOP, patch=None)

    if classification.restartable is Restartable.NO:
        return replace(stop, reason=f"{what} No retry can cure this.")
    if classification.category == UNKNOWN and classification.rule is None:
        why = _hopeless(failed, classification, insight)
        if why is not None and insight is not None:
            return replace(stop, reason=f"No rule names the cause. {why}", decided_by="model")
        return replace(
            unchanged, reason="No rule names the cause of this failure, so Airflow's own retry rules apply."
        )

    advice = _recommend(failed, classification, limits, insight)
    if advice.conf is None:
        return replace(stop, reason=f"{what} {advice.reason}", decided_by=advice.decided_by)
    if dict(advice.conf) == dict(failed.effective):
        return replace(unchanged, reason=f"{what} {advice.reason}", decided_by=advice.decided_by)
    if failed.retries_left < 1:
        return replace(
            unchanged,
            reason=f"{what} No retry is left. {_for_the_next_run(advice.reason)}",
            decided_by=advice.decided_by,
        )
    return Decision(
        Action.REMEDIATE,
        f"{what} {advice.reason}",
        classification,
        conf=advice.conf,
        patch=_patch(failed, advice.conf),
        changes=advice.changes,
        decided_by=advice.decided_by,
    )


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


def _hopeless(failed: FailedAttempt, classification: Classification, insight: Insight | None) -> str | None:
    if insight is None or failed.retries_left < 1:
        return None
    try:
        from airflow_autoremed.recommending.optimiser import hopeless

        return hopeless(classification, insight.failed.template_id, failed.effective, insight)
    except Exception as error:  # noqa: BLE001 - what nobody knows is left alone
        _warn(error)
        return None


def _for_the_next_run(reason: str) -> str:
    return reason.replace("The next try runs with", "A next run would need", 1)


def _warn(error: Exception) -> None:
    log.warning("[autoremed] The model could not be asked (%r); the playbook decides", error)


def _patch(failed: FailedAttempt, conf: Conf) -> Patch | None:
    """The patch that gives the next try *conf*; ``None`` when that is what the author declared."""
    if dict(conf) == dict(failed.baseline):
        return None
    from airflow_autoremed.patching import make_patch

    attempt = failed.attempt
    scope = Scope(attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index)
    return make_patch(failed.baseline, conf, scope, from_try=attempt.try_number)


def _what_failed(classification: Classification) -> str:
    summary = classification.summary.strip() or f"The failure is of the category {classification.category}."
    return summary if summary.endswith((".", "!", "?")) else f"{summary}."
