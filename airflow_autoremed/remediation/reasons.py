"""A reason in words: rendered here and nowhere else, for the task log, the command line, Airflow and the store.

The cause always comes first, because whoever shows the text may cut its end (Airflow's ``retry_reason`` holds 500
characters). In shadow mode nothing happens, so everything is said in the conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from airflow_autoremed.types import (
    Action,
    Advice,
    Changes,
    Classification,
    Decision,
    EvidenceLine,
    Mode,
    Odds,
    Reason,
)

LONGEST_RETRY_REASON = 500
"""Characters of ``task_instance.retry_reason`` in Airflow 3.3."""
NOT_SET = "(not set)"
_MOST_LINKS = 6
"""Links of a chain that are told of: the first two, and the last."""

_OUTCOMES = {
    Action.REMEDIATE: ("retry with a better configuration", "would retry with a better configuration"),
    Action.STOP: ("stop; the remaining retries are skipped", "would stop and skip the remaining retries"),
    Action.LEAVE_ALONE: (
        "leave it to Airflow's own retry rules",
        "would leave it to Airflow's own retry rules",
    ),
}


_STOP_AFTER_THE_LAST = ("stop", "would stop")


def outcome(action: Action, mode: Mode = Mode.ACT, retries_left: int = 1) -> str:
    """What follows from a decision, as one clause."""
    last = action is Action.STOP and retries_left < 1
    act, shadow = _STOP_AFTER_THE_LAST if last else _OUTCOMES[action]
    return act if mode is Mode.ACT else shadow


def text(decision: Decision, mode: Mode = Mode.ACT) -> str:
    """Why *decision* was made, in one paragraph: what failed, what is advised, what was held back."""
    reason = decision.reason
    parts = [reason.what_failed, _advice(reason, decision.classification.category, decision.action, mode)]
    if reason.lost_attempt is not None:
        parts.insert(
            0, f"Attempt {reason.lost_attempt} was lost with its worker; this is what its log shows."
        )
    return " ".join(part for part in parts if part)


def retry_reason(decision: Decision) -> str:
    """:func:`text` as Airflow can store it: at most :data:`LONGEST_RETRY_REASON` characters, cut at the end."""
    whole = text(decision)
    return whole if len(whole) <= LONGEST_RETRY_REASON else f"{whole[: LONGEST_RETRY_REASON - 3].rstrip()}..."


def change(key: str, before: str | None, after: str) -> str:
    """One change, such as ``spark.executor.memory 1g -> 2g``."""
    return f"{key} {before or NOT_SET} -> {after}"


def masked(reason: Reason, mask: Callable[[str], str], mask_value: Callable[[str, str], str]) -> Reason:
    """*reason* without secrets.

    :param mask: takes secrets out of a text.
    :param mask_value: takes them out of the value of a setting: (key, value) to value.
    """
    return replace(
        reason,
        what_failed=mask(reason.what_failed),
        changes={
            key: (None if before is None else mask_value(key, before), mask_value(key, after))
            for key, (before, after) in reason.changes.items()
        },
        notes=tuple(map(mask, reason.notes)),
        shortage=None
        if reason.shortage is None
        else replace(reason.shortage, text=mask(reason.shortage.text)),
        held_back=None
        if reason.held_back is None
        else replace(reason.held_back, why=mask(reason.held_back.why)),
    )


def evidence(line: EvidenceLine, longest: int) -> str:
    """One line of evidence with where it stands."""
    return f"{line.source.value} line {line.number}: {line.text.strip()[:longest]}"


def causes(cause: Classification, longest: int) -> Iterator[str]:
    """What the failure is read from, a clause each: the failure chain, or the deciding lines where there is none.

    The chain goes from what ended the run down to the line that decides, each link because of the next; then comes
    what was not seen.
    """
    chain = [link.line for link in cause.chain]
    places = {(line.source, line.number) for line in chain}
    chain += [line for line in cause.lines[:1] if (line.source, line.number) not in places]
    if len(chain) <= 1:
        yield from (evidence(line, longest) for line in cause.lines or chain)
    else:
        if len(chain) > _MOST_LINKS:
            chain = [*chain[:2], *chain[2 - _MOST_LINKS :]]
        yield evidence(chain[0], longest)
        yield from (f"because of {evidence(line, longest)}" for line in chain[1:])
    yield from (f"not seen: {phrase}" for phrase in cause.unseen)


def _advice(reason: Reason, category: str, action: Action, mode: Mode) -> str:
    sentence = (
        _changes(reason, mode) if reason.advice is Advice.CHANGE else _no_changes(reason, category, action)
    )
    held_back = reason.held_back
    if held_back is None or reason.advice is Advice.CHANGE:
        return sentence
    return f"{sentence} {_capital(held_back.why)}."


def _changes(reason: Reason, mode: Mode) -> str:
    new = _listed(reason.changes)
    notes = [*reason.notes, *([] if reason.odds is None else [_chosen(reason.odds)])]
    added = f" ({'; '.join(notes)})" if notes else ""
    if reason.held_back is not None and reason.held_back.gate == "a_retry_is_left":
        return f"No retry is left. The next run would need {new}{added}."
    if reason.held_back is not None:
        return f"Would have retried with {new}{added}, but {reason.held_back.why}."
    if mode is Mode.ACT:
        return f"The next attempt runs with {new}{added}."
    return f"The next attempt would run with {new}{added}."


def _no_changes(reason: Reason, category: str, action: Action) -> str:
    if reason.advice is Advice.PLAIN_RETRY:
        return "A plain retry may work."
    if reason.advice is Advice.NO_KNOWN_CURE:
        return f"No setting is known to fix {category}, so Airflow's own retry rules apply."
    if reason.advice is Advice.INCURABLE:
        return "No retry can fix this."
    if reason.advice is Advice.NO_ROOM:
        shortage = reason.shortage.text if reason.shortage is not None else "nothing is left to change"
        return f"No configuration within the limits can fix this: {shortage}."
    if reason.advice is Advice.NOT_WORTH_IT:
        return _not_worth_it(reason)
    return "" if action is Action.STOP else "Airflow's own retry rules apply."


def _not_worth_it(reason: Reason) -> str:
    if reason.odds is None:
        return "No retry is worth it."
    odds = reason.odds
    threshold = "" if odds.threshold is None else f"stop threshold {odds.threshold:.0%}; "
    of_what = f" for {reason.notes[0]}" if reason.notes else ""
    return (
        f"No retry is worth it: predicted failure probability {odds.fails:.0%}{of_what} "
        f"({threshold}model {odds.model}, {odds.similar} similar attempts)."
    )


def _chosen(odds: Odds) -> str:
    cost = (
        ""
        if odds.relative_cost is None
        else f", {odds.relative_cost:.2g} times the cost of the playbook's choice"
    )
    return (
        f"predicted failure probability {odds.fails:.0%}{cost}; model {odds.model}, "
        f"{odds.similar} similar attempts"
    )


def _listed(changes: Changes) -> str:
    return ", ".join(change(key, before, after) for key, (before, after) in sorted(changes.items()))


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
