"""What the task log says, in a few plain lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_autoremed.types import Action, AttemptId, Decision, FailedAttempt, Mode

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.running import RunningAttempt

log = logging.getLogger("airflow_autoremed")

_LONGEST_LINE = 300


def decided(failed: FailedAttempt, decision: Decision, mode: Mode) -> None:
    """Why the attempt failed and what follows."""
    from airflow_autoremed.remediation import reasons

    attempt = failed.attempt
    cause = decision.classification
    log.info("[autoremed] Attempt %d failed: %s", attempt.try_number, cause.category)
    for clause in reasons.causes(cause, _LONGEST_LINE):
        log.info("[autoremed]   %s", clause)
    label = "Decision" if mode is Mode.ACT else "Decision (shadow mode, nothing is changed)"
    outcome = reasons.outcome(decision.action, mode, failed.retries_left)
    log.info("[autoremed] %s: %s. %s", label, outcome, reasons.text(decision, mode))
    if cause.hint and decision.action is not Action.REMEDIATE:
        log.info("[autoremed] Hint: %s", cause.hint)


def override(running: RunningAttempt) -> None:
    """A person set another mode than the Dag file and the configuration say."""
    if not running.overrides:
        return
    from airflow_autoremed.remediation.modes import effective

    mode, found = effective(running.mode, running.overrides)
    if found is not None:
        log.info(
            "[autoremed] Mode %s: set for %s by %s on %s UTC: %s",
            mode.value,
            found.place,
            found.who,
            f"{found.at:%Y-%m-%d %H:%M}",
            " ".join(found.why.split())[:_LONGEST_LINE],
        )


def patch_applied(attempt: AttemptId, origin: str, category: str, running: RunningAttempt) -> None:
    """The try runs with a patch: that of an earlier try, or the one that was promoted."""
    log.info("[autoremed] Attempt %d runs with the patch %s (%s):", attempt.try_number, origin, category)
    from airflow_autoremed.patching.config_diff import describe

    for line in describe(running.baseline, running.effective):
        log.info("[autoremed]   %s", line)


def floor_applied(why: str) -> None:
    """The attempt starts with what the last runs of its task needed."""
    log.info("[autoremed] Starts with %s.", why)


def cleared(attempt: AttemptId, from_try: int) -> None:
    """Somebody cleared the task since the verdict."""
    log.info(
        "[autoremed] The task was cleared after attempt %d; attempt %d runs as declared, without the earlier patch",
        from_try,
        attempt.try_number,
    )


def patch_rejected(attempt: AttemptId, reason: str) -> None:
    """The try runs with its declared configuration although there was a patch."""
    log.warning(
        "[autoremed] Attempt %d runs with its declared configuration; the stored patch was not applied: %s",
        attempt.try_number,
        reason,
    )


def reconnected(attempt: AttemptId) -> None:
    """The patch was written to the operator, but the operator took up a run that had begun without it."""
    log.warning(
        "[autoremed] Attempt %d reattached to the run of an earlier attempt, so its patch had no effect",
        attempt.try_number,
    )


def patch_ignored(attempt: AttemptId, ignored: Mapping[str, tuple[str, str | None]]) -> None:
    """The operator submitted something else than what the patch gave it."""
    from airflow_autoremed.spark.keys import carried

    ours = carried({key: ours for key, (ours, _) in ignored.items()})
    theirs = carried({key: value or "" for key, (_, value) in ignored.items()})
    what = ", ".join(f"{key} {theirs[key] or '(not set)'} in place of {ours[key]}" for key in sorted(ignored))
    log.warning(
        "[autoremed] Attempt %d ran without its patch: the operator submitted %s. It builds a configuration of its own, "
        "so its patches are not carried on.",
        attempt.try_number,
        what,
    )


def ended_from_outside(attempt: AttemptId) -> None:
    """The attempt was killed, so its error says nothing about the job."""
    log.info(
        "[autoremed] Attempt %d was ended from outside (its process was terminated, or the task was marked or cleared); "
        "nothing is concluded from its error",
        attempt.try_number,
    )


def took_too_long(attempt: AttemptId, limit_s: float) -> None:
    """Nothing was decided in time."""
    log.warning(
        "[autoremed] Nothing was decided about attempt %d within %g s (failure_deadline); the task continues without "
        "airflow-autoremed",
        attempt.try_number,
        limit_s,
    )


def platform_retries(sentence: str) -> None:
    """The platform reruns the application by itself, with the old configuration, before Airflow hears of it."""
    log.info("[autoremed] Note: %s", sentence)


def healed(running: RunningAttempt) -> None:
    """The patched attempt succeeded."""
    number = running.attempt.try_number
    if running.standing:
        log.info("[autoremed] Attempt %d succeeded with the promoted patch", number)
        return
    if not running.past:
        log.info("[autoremed] Attempt %d succeeded with the memory that it started with", number)
        return
    causes = ", ".join(dict.fromkeys(past.category for past in running.past if past.category))
    log.info("[autoremed] Attempt %d succeeded with the patch: healed (%s)", number, causes)
