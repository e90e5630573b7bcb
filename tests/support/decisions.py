"""Decisions made by hand, and how they read."""

from __future__ import annotations

from airflow_autoremed.history.attempt_records import AttemptDecision
from airflow_autoremed.remediation import reasons
from airflow_autoremed.types import (
    Action,
    Advice,
    Changes,
    Classification,
    Conf,
    Decision,
    Mode,
    Patch,
    Reason,
    Recommendation,
)


def decision(
    action: Action,
    what_failed: str,
    cause: Classification,
    conf: Conf,
    *,
    patch: Patch | None = None,
    changes: Changes | None = None,
) -> Decision:
    """A decision whose advice goes with its action."""
    advice = {
        Action.REMEDIATE: Advice.CHANGE,
        Action.STOP: Advice.INCURABLE,
        Action.LEAVE_ALONE: Advice.UNCLASSIFIED,
    }[action]
    return Decision(action, Reason(what_failed, advice, changes or {}), cause, conf=conf, patch=patch)


def recorded(made: Decision, mode: Mode = Mode.ACT, excerpt: str = "") -> AttemptDecision:
    """*made* as an attempt records it."""
    return AttemptDecision(made, mode, reasons.text(made, mode), excerpt)


def said(advice: Recommendation) -> str:
    """All that a recommendation says beside its changes."""
    return " ".join([*advice.notes, advice.shortage.text if advice.shortage is not None else ""])
