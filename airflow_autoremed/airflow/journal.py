"""What the task log says, in a few plain lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow_autoremed.airflow.handover import Handover
from airflow_autoremed.types import Action, AttemptId, Conf, Decision, EvidenceLine, Mode, PastAttempt

log = logging.getLogger("airflow_autoremed")

_VERDICTS = {
    Action.REMEDIATE: "retry with a better configuration",
    Action.STOP: "stop, the remaining retries are skipped",
    Action.LEAVE_ALONE: "leave it to Airflow's own retry rules",
}
_MOST_LINES = 3
_LONGEST_LINE = 300


def decided(attempt: AttemptId, decision: Decision, mode: Mode) -> None:
    """Why the try failed and what follows."""
    cause = decision.classification
    log.info("[autoremed] Try %d failed: %s", attempt.try_number, cause.category)
    for line in cause.lines[:_MOST_LINES]:
        log.info("[autoremed]   %s: %s", _where(line), line.text.strip()[:_LONGEST_LINE])
    label = "Decision" if mode is Mode.ACT else "Decision (shadow mode, nothing is changed)"
    log.info("[autoremed] %s: %s. %s", label, _VERDICTS[decision.action], decision.reason)
    for key, (before, after) in sorted(decision.changes.items()):
        log.info("[autoremed]   %s: %s -> %s", key, before or "(not set)", after)
    if cause.hint and decision.action is not Action.REMEDIATE:
        log.info("[autoremed] Hint: %s", cause.hint)


def patch_applied(attempt: AttemptId, left: Handover, baseline: Conf, changes: Mapping[str, str]) -> None:
    """The try runs with the patch of the one before."""
    log.info(
        "[autoremed] Try %d runs with the patch from try %d (%s):",
        attempt.try_number,
        left.from_try,
        left.category,
    )
    for key, value in sorted(changes.items()):
        log.info("[autoremed]   %s: %s -> %s", key, baseline.get(key, "(not set)"), value)


def patch_rejected(attempt: AttemptId, reason: str) -> None:
    """The try runs with its declared configuration although there was a patch."""
    log.warning(
        "[autoremed] Try %d runs with its declared configuration; the stored patch was not applied: %s",
        attempt.try_number,
        reason,
    )


def healed(attempt: AttemptId, past: tuple[PastAttempt, ...]) -> None:
    """The patched try succeeded."""
    causes = ", ".join(dict.fromkeys(p.category for p in past if p.category))
    log.info("[autoremed] Try %d succeeded with the patch: healed (%s)", attempt.try_number, causes)


def _where(line: EvidenceLine) -> str:
    return f"{line.source.value} line {line.number}"
