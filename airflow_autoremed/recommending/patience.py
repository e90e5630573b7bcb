"""Faults that Spark survives by itself, unless a setting forbids it: that setting goes back to Spark's default."""

from __future__ import annotations

import re

from airflow_autoremed.recommending.place import deciding_text
from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Shortage

STAGE_ATTEMPTS = "spark.stage.maxConsecutiveAttempts"
_TIMINGS = (
    "spark.network.timeout",
    "spark.rpc.askTimeout",
    "spark.shuffle.io.maxRetries",
    "spark.shuffle.io.retryWait",
)
_RERUNS = (STAGE_ATTEMPTS, "spark.task.maxFailures")
_LOST_TASK = re.compile(r"Lost task |failed \d+ times|Job aborted due to stage failure|FetchFailed")


def back_to_default(plan: Plan, *keys: str) -> bool:
    """Settings that are declared below Spark's default go back to it; whether any did."""
    raised = False
    for key in keys:
        declared, default = plan.declared(key), PATCHABLE[key].default
        if declared is not None and default is not None and declared < default:
            plan.set(key, default)
            raised = True
    return raised


def patience(plan: Plan) -> bool:
    """Timeouts and retries that were declared below Spark's default go back to it; then a plain retry is right."""
    text = deciding_text(plan)
    # Spark reruns tasks and stages. What failed in the driver's own code is not run again, however many it may.
    of_tasks = plan.cause.category in ("shuffle_fetch_failure", "executor_lost_preempted")
    reruns = _RERUNS if of_tasks or _LOST_TASK.search(text) else ()
    changed = back_to_default(plan, *_TIMINGS, *reruns)
    if plan.cause.setting == STAGE_ATTEMPTS and plan.declared(STAGE_ATTEMPTS) is None:
        plan.set(STAGE_ATTEMPTS, PATCHABLE[STAGE_ATTEMPTS].default or 0)  # set where we do not see it
        changed = True
    if changed:
        return True
    text = text.lower()
    if plan.repeats and plan.cause.category == "shuffle_fetch_failure":
        return plan.raise_to("spark.shuffle.io.maxRetries", 3 * plan.floor("spark.shuffle.io.maxRetries"))
    if plan.repeats and ("heartbeat" in text or "spark.network.timeout" in text):
        return plan.raise_to("spark.network.timeout", 4 * plan.floor("spark.network.timeout"))
    return True


def resources(plan: Plan) -> bool:
    """A plain retry: there may be room next time. Few retries for a port go back to Spark's default."""
    if plan.cause.setting == "spark.port.maxRetries":
        back_to_default(plan, plan.cause.setting)
    return True


def disk(plan: Plan) -> bool:
    """No setting of ours frees a disk; another node may have room, so one plain retry, then stop."""
    plan.shortage = Shortage("", "local disks are full, and no setting that may be changed here frees them")
    return plan.repeats == 0
