"""Requests that the cluster does not grant: what is too large is cut, what is too small is raised, the rest is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from airflow_autoremed.recommending.place import deciding_text
from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import GIB, MIB, format_bytes
from airflow_autoremed.types import Shortage

_LEAST_HEAP = 1 * GIB
_LEAST_BESIDE = 384 * MIB


def invalid_request(plan: Plan) -> bool:
    """A request below Spark's minimum is raised to 1 GiB. Of one above what the cluster grants the part that is too large
    is cut (heap, overhead or other memory), and the rest is kept."""
    text, role = deciding_text(plan), _role(plan)
    key = f"spark.{role}.memory"
    if "must be at least" in text or "INVALID_DRIVER_MEMORY" in text or "INVALID_EXECUTOR_MEMORY" in text:
        plan.set(key, max(_LEAST_HEAP, 2 * (plan.declared(key) or 0)))
        return True
    threshold = plan.cause.sizes.get("threshold")
    if not threshold:
        return _half_the_heap(plan, role)
    return _cut_to(plan, role, min(size for size in (threshold, plan.limits.max_container_memory) if size))


def _role(plan: Plan) -> Role:
    if plan.cause.side is not None:
        return plan.cause.side.value
    text = deciding_text(plan).lower()
    driver = "driver-memory" in text or "driver memory" in text or "am memory" in text
    driver = driver or "system memory" in text or "invalid_driver_memory" in text
    if "could not reserve" in text:
        # The JVM that could not start says how much it asked for.
        needed = plan.cause.sizes.get("needed", 0)
        driver = needed != allocation.heap(plan.conf, "executor")
    return "driver" if driver else "executor"


def _cut_to(plan: Plan, role: Role, granted: int) -> bool:
    """Cut the largest parts of a container to one level with which it has *granted* bytes; smaller parts are kept."""
    parts = sorted(_parts(plan, role), key=lambda part: part.size)
    beside = sum(part.size for part in parts if part.key != f"spark.{role}.memory")
    own = [part for part in parts if part.key]
    left = granted - sum(part.size for part in parts if not part.key)
    cut: dict[str, str] = {}
    for index, part in enumerate(own):
        size = min(part.size, left // (len(own) - index) // MIB * MIB)
        left -= size
        if size < min(part.size, part.least):
            cut.clear()
            break
        if size < part.size:
            cut[part.key] = PATCHABLE[part.key].format(size)
    if not cut:
        plan.shortage = Shortage(
            "cluster",
            f"the largest container the cluster grants is {format_bytes(granted)}, of which "
            f"{format_bytes(beside)} are taken beside the heap",
        )
        return False
    plan.conf.update(cut)
    plan.notes += [f"{key} was cut to the largest request the cluster grants" for key in cut]
    return True


class _Part(NamedTuple):
    key: str
    """Empty: no setting of its own."""
    size: int
    least: int


def _parts(plan: Plan, role: Role) -> Iterator[_Part]:
    """The parts of a container as they were asked for: what the platform states, else what is declared."""
    heap, sizes = f"spark.{role}.memory", plan.cause.sizes
    stated = sizes.get("executor_memory") or (sizes.get("needed") if "overhead" in sizes else 0)
    yield _Part(heap, stated or allocation.heap(plan.conf, role), int(PATCHABLE[heap].minimum))
    key = allocation.overhead_key(plan.conf, role)
    beside = sizes.get("overhead") or allocation.overhead(plan.conf, role)
    yield _Part(key if key in plan.conf else "", beside, _LEAST_BESIDE)
    if role == "executor":
        others = ["spark.executor.pyspark.memory"]
        if allocation.value(plan.conf, "spark.memory.offHeap.enabled"):
            others.append("spark.memory.offHeap.size")
        for key in others:
            size = plan.declared(key)
            if size:
                yield _Part(key, int(size), _LEAST_BESIDE)


def _half_the_heap(plan: Plan, role: Role) -> bool:
    """The machine has not as much as the JVM asked for, and nothing says how much it has."""
    key, has = f"spark.{role}.memory", allocation.heap(plan.conf, role)
    failed = min(allocation.heap(conf, role) for conf in plan.failed)
    if plan.declared(key) is None or failed // 2 < _LEAST_HEAP or not plan.cause.sizes.get("needed"):
        plan.shortage = Shortage("cluster", "the cluster does not say how much it grants")
        return False
    plan.set(key, min(has, failed) // 2 // MIB * MIB)
    plan.notes.append(f"{key} was halved: the machine has not as much as was asked for")
    return True
