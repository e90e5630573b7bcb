"""Attempts in words, for the pages."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import UNKNOWN, Action, Mode

RULES = "rules"
_WHO = {
    "rules": "the rules",
    "playbook": "the playbook",
    "model": "a trained model",
    "optimiser": "a trained model",
}


def cause(category: str | None) -> str:
    """A category as a sentence's worth of words."""
    if not category:
        return "Nothing was decided about it"
    if category == UNKNOWN:
        return "Unclassified: no rule names this failure"
    known = CATEGORIES.get(category)
    return known.meaning if known is not None else category


def decided_by(name: str | None) -> str:
    """Who decided."""
    return _WHO.get(name or "", name or "")


def action(row: StoredAttempt) -> str:
    """What was decided, in two or three words."""
    if row.action is None:
        return "no decision"
    return action_words(row.action.value, (row.mode or Mode.ACT).value)


def action_words(name: str, mode: str) -> str:
    """What was decided, in two or three words."""
    acted, would = {
        Action.REMEDIATE.value: ("remediated", "would remediate"),
        Action.STOP.value: ("stopped", "would stop"),
        Action.LEAVE_ALONE.value: ("left alone", "would leave alone"),
    }.get(name, (name, name))
    return acted if mode == Mode.ACT.value else would


def state(row: StoredAttempt) -> str:
    """How an attempt ended, as one of five words that the style sheet has colours for."""
    if row.unreadable is not None:
        return "unreadable"
    if row.succeeded:
        return "succeeded"
    if row.succeeded is False:
        return "failed"
    if row.interrupted:
        return "ended from outside"
    return "failed" if row.action is not None else "no end recorded"


def headline(rows: Sequence[StoredAttempt]) -> tuple[str, str]:
    """What became of a task instance: the sentence, and its kind (``ok``, ``bad`` or ``neutral``)."""
    last = rows[-1]
    number = last.attempt.try_number
    if last.unreadable is not None:
        return f"Attempt {number} cannot be read", "neutral"
    if last.succeeded:
        if last.patched and number > 1:
            return f"Healed: attempt {number} succeeded with a changed configuration", "ok"
        if last.patched:
            return "Prevented: it began with a configuration that had healed it before, and succeeded", "ok"
        if number > 1:
            return f"Attempt {number} succeeded as declared", "ok"
        return "Succeeded as declared", "ok"
    if last.interrupted:
        return f"Attempt {number} was ended from outside", "neutral"
    if last.action is Action.STOP and last.mode is Mode.ACT:
        return "Stopped: no retry can succeed", "bad"
    if last.action is Action.REMEDIATE and last.mode is Mode.ACT:
        return f"Attempt {number} failed; the next runs with a changed configuration", "neutral"
    if last.action is not None:
        return f"Attempt {number} failed: {action(last)}", "bad"
    if last.succeeded is False:
        return f"Attempt {number} failed", "bad"
    return f"Attempt {number} is running, or its end was never recorded", "neutral"
