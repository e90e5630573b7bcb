"""The playbook: per category which settings change, which way, by how much. It needs no history and no model.

Every play grows from what failed, by cause, to a value that has not failed yet. The figures come from
docs/facts-spark.md: a margin of at least 1.5 over what failed, because near the limit an OOM is not deterministic, and
at least 1 GiB more for small heaps, of which Spark itself reserves 300 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from airflow_autoremed.recommending import pools
from airflow_autoremed.recommending.patience import disk, patience, resources
from airflow_autoremed.recommending.place import role_of, roles_of
from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.recommending.requests import invalid_request
from airflow_autoremed.recommending.size_limits import broadcast, result_size, serializer
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.types import (
    Advice,
    Classification,
    Conf,
    Limits,
    Odds,
    PastAttempt,
    Pool,
    Recommendation,
    Restartable,
    Shortage,
)


def recommend(
    classification: Classification,
    baseline: Conf,
    effective: Conf,
    history: Sequence[PastAttempt],
    limits: Limits,
) -> Recommendation:
    """The configuration of the next try after a failure of this cause.

    :param baseline: what the author declared; ceilings are measured against it.
    :param effective: what the failed attempt ran with; what an earlier cause needed is kept.
    :param history: earlier attempts of the task instance; what failed for the same cause is never tried again.
    :return: with ``conf`` ``None`` when what is needed does not fit; equal to *effective* when a plain retry is
        right; else the changed configuration. Never outside *limits*.
    """
    plan = Plan.start(classification, baseline, effective, history, limits)
    play = PLAYS.get(classification.category)
    if play is None:
        plain = classification.restartable is Restartable.AS_IS
        return _unchanged(plan, Advice.PLAIN_RETRY if plain else Advice.NO_KNOWN_CURE)
    if not play(plan):
        if classification.restartable is Restartable.AS_IS:
            return _unchanged(plan, Advice.PLAIN_RETRY)
        shortage = plan.shortage or Shortage("", "no setting is left to change")
        return Recommendation(None, Advice.NO_ROOM, shortage=shortage)
    if not plan.changed:
        return _unchanged(plan, Advice.PLAIN_RETRY)
    broken = violations(plan.conf, baseline, limits, category=classification.category)
    if broken:
        return Recommendation(None, Advice.NO_ROOM, shortage=Shortage("", "; ".join(broken)))
    return change_to(plan.conf, effective, plan.notes)


def _heap(plan: Plan) -> bool:
    """Of an executor: more heap; more partitions where few were declared; with memory at its limit, a larger share per
    task. Where Spark's off-heap memory is on and ran out, that grows instead. In local mode the driver's heap grows: it
    runs the tasks."""
    if pools.uses_off_heap(plan):
        return pools.off_heap(plan, role_of(plan, "executor"))
    return pools.heap(plan, role_of(plan, "executor"))


def _driver_heap(plan: Plan) -> bool:
    """Twice the driver's heap that failed, at least 1 GiB more."""
    return pools.heap(plan, "driver")


def _overhead(plan: Plan) -> bool:
    """More memory beside the heap of an executor; with the container full, fewer tasks in it. Of a graphics card's
    memory, less is used at once."""
    if plan.cause.pool is Pool.OFF_HEAP:
        return pools.off_heap(plan, role_of(plan, "executor"))
    return pools.overhead(plan, role_of(plan, "executor"))


def _driver_overhead(plan: Plan) -> bool:
    """More memory beside the driver's heap."""
    return pools.overhead(plan, "driver")


def _python(plan: Plan) -> bool:
    """More for the Python workers: their own limit where one is declared, else the memory beside the heap."""
    return pools.python(plan, role_of(plan, "executor"))


def _direct(plan: Plan) -> bool:
    """A limit of direct memory above the one that failed (stated, set, or the heap's size), with room for it beside the
    heap; Spark's own off-heap pool where that ran out, as of native engines; fetches that were made large go back to
    Spark's default."""
    if pools.uses_off_heap(plan):
        return pools.off_heap(plan, role_of(plan, "executor"))
    return pools.for_each(roles_of(plan, otherwise=("executor",)), lambda role: pools.direct(plan, role))


PLAYS: Mapping[str, Callable[[Plan], bool]] = {
    "executor_oom_heap": _heap,
    "executor_oom_overhead": _overhead,
    "executor_oom_python": _python,
    "driver_oom_heap": _driver_heap,
    "driver_oom_overhead": _driver_overhead,
    "driver_result_size": result_size,
    "broadcast_oom_or_timeout": broadcast,
    "serializer_buffer": serializer,
    "metaspace_oom": pools.metaspace,
    "direct_memory_oom": _direct,
    "stack_overflow": pools.stack,
    "memory_request_invalid": invalid_request,
    "shuffle_fetch_failure": patience,
    "executor_lost_preempted": patience,
    "network_timeout": patience,
    "resource_unavailable": resources,
    "disk_full": disk,
}
"""Category to play. A play changes the plan and says whether there is anything to retry with."""


def _unchanged(plan: Plan, advice: Advice) -> Recommendation:
    return Recommendation(plan.effective, advice)


def change_to(
    conf: Conf,
    effective: Conf,
    notes: Sequence[str],
    *,
    odds: Odds | None = None,
    decided_by: str = "playbook",
) -> Recommendation:
    """The recommendation of *conf*, with what differs from what failed (*effective*)."""
    changes = {
        key: (effective.get(key), value) for key, value in sorted(conf.items()) if effective.get(key) != value
    }
    return Recommendation(conf, Advice.CHANGE, changes, tuple(notes), odds=odds, decided_by=decided_by)
