"""What becomes of a patch: when it outlives its run, and when it is taken back.

The arithmetic of promotion. Of a task's recorded first tries with the declared configuration, the share ``p``
failed for the cause that the patch is for. Running the next one patched from the start saves, on average::

    p * (cost of such a failed try) - (1 - p) * (cost of a patched try - cost of an unpatched one)

because a run that would have failed ends up patched either way, and a run that would not have failed pays for
memory it did not need. A patch is worth keeping while that is not negative.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_autoremed.types import PatchRules, TaskRecord

Verdict = tuple[bool, str]
"""Whether, and why (or why not) in one sentence."""

_LIKELY = 0.5
"""Where a cost is not known, the patch is worth it when at least this share of the runs would fail without it."""


def worth_promoting(record: TaskRecord, rules: PatchRules) -> Verdict:
    """Whether every coming run should begin with the patch, which has just proved itself once more."""
    if rules.promote_after < 1:
        return False, "patches do not outlive their run (promote_after = 0)"
    if record.proven < rules.promote_after:
        return False, f"it succeeded {record.proven} of the {rules.promote_after} times that promotion needs"
    pays, why = worth_keeping(record)
    return pays, f"it succeeded {_times(record.proven)}, and {why}"


def worth_keeping(record: TaskRecord) -> Verdict:
    """Whether running patched from the start saves at least what it costs."""
    share = record.unpatched_failures / record.unpatched_tries if record.unpatched_tries else 1.0
    seen = (
        f"{record.unpatched_failures} of the {record.unpatched_tries} first tries with the declared "
        "configuration failed for its cause"
        if record.unpatched_tries
        else "the declared configuration was never seen to succeed"
    )
    saving = _saving(record, share)
    if saving is None:
        return share >= _LIKELY, seen
    if saving >= 0:
        return True, f"{seen}, which saves {saving:.3g} GiB-seconds a run"
    return False, f"{seen}, so that it costs {-saving:.3g} GiB-seconds more a run than it saves"


def _saving(record: TaskRecord, share: float) -> float | None:
    """GiB-seconds a run, by the formula of this module; ``None`` where a cost is not known."""
    failed = record.cost_of_failure
    if share == 1.0:
        return failed
    if failed is None or record.cost_patched is None or record.cost_unpatched is None:
        return None
    return share * failed - (1 - share) * max(0.0, record.cost_patched - record.cost_unpatched)


def expired(rules: PatchRules, *, since: datetime, last_used: datetime | None, now: datetime) -> str | None:
    """Why a patch that was promoted at *since* is no longer in force; ``None`` while it is."""
    if now - since > timedelta(seconds=rules.patch_max_age):
        return f"it is older than {_days(rules.patch_max_age)} (patch_max_age)"
    if now - (last_used or since) > timedelta(seconds=rules.patch_max_idle):
        return f"it was not used for {_days(rules.patch_max_idle)} (patch_max_idle)"
    return None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _days(seconds: float) -> str:
    return f"{seconds / 86400:g} days"
