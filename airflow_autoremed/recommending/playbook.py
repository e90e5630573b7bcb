"""The playbook: per category which settings change, which way, by how much. It needs no history and no model.

Every play grows from what failed, by cause, to a value that has not failed yet. The figures come from
docs/facts-spark.md: a margin of at least 1.5 over what failed, because near the limit an OOM is not deterministic, and
at least 1 GiB more for small heaps, of which Spark itself reserves 300 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import (
    Advice,
    Classification,
    Conf,
    Limits,
    Odds,
    PastAttempt,
    Recommendation,
    Restartable,
    Shortage,
)

DEFAULT_PARTITIONS = 200
MOST_PARTITIONS = 4000
_HEAP_FLOOR = 1 * GIB
_SMALL_HEAP = 1 * GIB
_ONE_GROUP = 4 * GIB
"""Least growth where a group is gathered whole: the rows, the buffer they are written to and the larger one it grows
into lie in the heap together. The development sizes of docs/proof-protocol.md needed 3 to 6 times what failed."""


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


def _executor_heap(plan: Plan) -> bool:
    """More heap; more partitions where few were declared; with memory at its limit, a larger share per task."""
    partitions = _raise_low_partitions(plan)
    one_group = not partitions and plan.cause.indivisible
    if _double(plan, "spark.executor.memory", "executor", _ONE_GROUP if one_group else _SMALL_HEAP):
        if one_group:
            plan.notes.append(
                "a whole group of rows has to fit into one task, which more partitions do not divide"
            )
        return True
    cores = plan.declared("spark.executor.cores")
    if cores is not None and cores > (plan.declared("spark.task.cpus") or 1):
        plan.notes.append(f"memory cannot grow ({plan.shortage_text}), so fewer tasks share it")
        plan.set("spark.executor.cores", max(cores // 2, plan.declared("spark.task.cpus") or 1))
        return True
    if partitions:
        plan.notes.append(f"memory cannot grow ({plan.shortage_text}), so each task gets a smaller share")
    return partitions


def _executor_overhead(plan: Plan) -> bool:
    """More memory beside the heap; with the container full, fewer tasks in it."""
    if _more_overhead(plan, "executor"):
        return True
    cores = plan.declared("spark.executor.cores")
    if cores is not None and cores > (plan.declared("spark.task.cpus") or 1):
        plan.notes.append(f"the container is full ({plan.shortage_text}), so fewer tasks share it")
        plan.set("spark.executor.cores", max(cores // 2, plan.declared("spark.task.cpus") or 1))
        return True
    return False


def _executor_python(plan: Plan) -> bool:
    """More for the Python workers: their own limit where one is declared, else the memory beside the heap."""
    key = "spark.executor.pyspark.memory"
    if not plan.declared(key):
        return _executor_overhead(plan)
    floor = plan.floor(key)
    return plan.grow(key, "executor", floor, max(2 * floor, floor + 1 * GIB))


def _driver_heap(plan: Plan) -> bool:
    return _double(plan, "spark.driver.memory", "driver")


def _driver_overhead(plan: Plan) -> bool:
    return _more_overhead(plan, "driver")


def _result_size(plan: Plan) -> bool:
    """A larger limit on results. The size in the message is a lower bound: Spark aborts at the first excess."""
    key = "spark.driver.maxResultSize"
    needed = plan.cause.sizes.get("needed", 0)
    if not plan.raise_to(key, max(PATCHABLE[key].default or 0, 2 * plan.floor(key), 1.5 * needed)):
        return False
    heap = allocation.heap(plan.conf, "driver")
    # Serialized results and what they unpack to lie in the heap side by side.
    if needed * 3 > heap:
        grown = plan.grow("spark.driver.memory", "driver", heap, max(2 * heap, 3 * needed))
        if not grown:
            return False
    return True


def _broadcast(plan: Plan) -> bool:
    """A longer timeout, a higher limit, more driver memory; when it comes back, no automatic broadcast at all."""
    sizes, text = plan.cause.sizes, _deciding_text(plan)
    off = "spark.sql.autoBroadcastJoinThreshold"
    if "timeout" in sizes or "Could not execute broadcast in" in text:
        key = "spark.sql.broadcastTimeout"
        longer = plan.raise_to(key, max(PATCHABLE[key].default or 0, 4 * plan.floor(key)))
        return (_no_broadcast(plan, off) or longer) if plan.repeats else longer
    if "Cannot broadcast the table" in text:
        key = "spark.sql.maxBroadcastTableSize"
        needed = sizes.get("needed", sizes.get("used", 0))
        if plan.declared(key) is not None and plan.raise_to(key, max(2 * plan.floor(key), 1.5 * needed)):
            return True
        return _no_broadcast(plan, off)
    grown = _double(plan, "spark.driver.memory", "driver")
    if grown and not plan.repeats:
        return True
    return _no_broadcast(plan, off) or grown


def _serializer(plan: Plan) -> bool:
    """A larger Kryo buffer or RPC message; the message states what was needed."""
    rpc, kryo = "spark.rpc.message.maxSize", "spark.kryoserializer.buffer.max"
    key = plan.cause.setting or (rpc if rpc in _deciding_text(plan) else kryo)
    if key not in PATCHABLE:
        plan.shortage = Shortage("", f"{key} is not a setting that may be changed")
        return False
    is_rpc = key == rpc
    needed = plan.cause.sizes.get("needed", 0)
    return plan.raise_to(
        key,
        max(PATCHABLE[key].default or 0, 2 * plan.floor(key) if is_rpc else 4 * plan.floor(key), 2 * needed),
    )


def _metaspace(plan: Plan) -> bool:
    """A larger metaspace where it ran out: at least 512 MiB, four times what failed."""
    return _for_each(
        _roles(plan, default=("driver", "executor")),
        lambda role: plan.flag(
            role,
            "-XX:MaxMetaspaceSize=",
            max(512 * MIB, 4 * plan.flag_floor(role, "-XX:MaxMetaspaceSize=")),
        ),
    )


def _direct_memory(plan: Plan) -> bool:
    """More direct buffers, and the room for them beside the heap; Spark's own off-heap pool where that is used."""
    if allocation.value(plan.effective, "spark.memory.offHeap.enabled") and (
        "UNABLE_TO_ACQUIRE_MEMORY" in _deciding_text(plan) or "Unable to acquire" in _deciding_text(plan)
    ):
        return _off_heap(plan)

    def more(role: Role) -> bool:
        size = max(1 * GIB, 4 * plan.flag_floor(role, "-XX:MaxDirectMemorySize="))
        if not plan.flag(role, "-XX:MaxDirectMemorySize=", size):
            return False
        key = allocation.overhead_key(plan.conf, role)
        floor = allocation.overhead(plan.conf, role)
        return plan.grow(key, role, floor, floor + size)

    return _for_each(_roles(plan, default=("executor",)), more)


def _off_heap(plan: Plan) -> bool:
    key = "spark.memory.offHeap.size"
    floor = plan.floor(key, default=0)
    return plan.grow(key, "executor", floor, max(2 * floor, floor + 1 * GIB))


def _heap_or_off_heap(plan: Plan) -> bool:
    """More heap; more partitions where few were declared; with memory at its limit, a larger share per task. Where
    the author has switched off-heap memory on, ``UNABLE_TO_ACQUIRE_MEMORY`` means that pool: it grows instead.
    """
    if allocation.value(plan.effective, "spark.memory.offHeap.enabled") and (
        "UNABLE_TO_ACQUIRE_MEMORY" in _deciding_text(plan) or "Unable to acquire" in _deciding_text(plan)
    ):
        return _off_heap(plan)
    return _executor_heap(plan)


def _stack(plan: Plan) -> bool:
    """A deeper stack: 64 MiB for the driver, which has one deep thread, 16 MiB for executors; then four times."""

    def deeper(role: Role) -> bool:
        start = 64 * MIB if role == "driver" else 16 * MIB
        return plan.flag(role, "-Xss", min(1 * GIB, max(start, 4 * plan.flag_floor(role, "-Xss"))))

    return _for_each(_roles(plan, default=("driver", "executor")), deeper)


def _invalid_request(plan: Plan) -> bool:
    """A request below Spark's minimum is raised to 1 GiB; one above what the cluster grants is cut to fit."""
    text = _deciding_text(plan)
    role: Role = "driver" if _is_driver_request(text) else "executor"
    key = f"spark.{role}.memory"
    if "must be at least" in text:
        plan.set(key, max(_HEAP_FLOOR, 2 * (plan.declared(key) or 0)))
        return True
    largest = [size for size in (plan.cause.sizes.get("threshold"), plan.limits.max_container_memory) if size]
    threshold = plan.cause.sizes.get("threshold")
    if threshold is None:
        plan.shortage = Shortage("cluster", "the cluster does not say how much it grants")
        return False
    beside = allocation.container(plan.conf, role) - allocation.heap(plan.conf, role)
    heap = (min(largest) - max(beside, plan.cause.sizes.get("overhead", 0))) // MIB * MIB
    if heap < PATCHABLE[key].minimum or heap >= allocation.heap(plan.conf, role):
        plan.shortage = Shortage(
            "cluster",
            f"the largest container the cluster grants is {PATCHABLE[key].format(threshold)}, "
            f"of which {PATCHABLE[key].format(beside)} are taken beside the heap",
        )
        return False
    plan.set(key, heap)
    plan.notes.append(f"{key} was cut to the largest request the cluster grants")
    return True


_TIMINGS = (
    "spark.network.timeout",
    "spark.rpc.askTimeout",
    "spark.shuffle.io.maxRetries",
    "spark.shuffle.io.retryWait",
)
_RERUNS = ("spark.stage.maxConsecutiveAttempts", "spark.task.maxFailures")
_LOST_TASK = re.compile(r"Lost task |failed \d+ times|Job aborted due to stage failure|FetchFailed")


def _patience(plan: Plan) -> bool:
    """Timeouts and retries that were declared below Spark's default go back to it; then a plain retry is right."""
    text = _deciding_text(plan)
    # Spark reruns tasks and stages. What failed in the driver's own code is not run again, however many it may.
    of_tasks = plan.cause.category in ("shuffle_fetch_failure", "executor_lost_preempted")
    reruns = _RERUNS if of_tasks or _LOST_TASK.search(text) else ()
    for key in (*_TIMINGS, *reruns):
        declared, default = plan.declared(key), PATCHABLE[key].default
        if declared is not None and default is not None and declared < default:
            plan.set(key, default)
    if plan.changed:
        return True
    text = text.lower()
    if plan.repeats and plan.cause.category == "shuffle_fetch_failure":
        return plan.raise_to("spark.shuffle.io.maxRetries", 3 * plan.floor("spark.shuffle.io.maxRetries"))
    if plan.repeats and ("heartbeat" in text or "spark.network.timeout" in text):
        return plan.raise_to("spark.network.timeout", 4 * plan.floor("spark.network.timeout"))
    return True


def _disk(plan: Plan) -> bool:
    """No setting of ours frees a disk; another node may have room, so one plain retry, then stop."""
    plan.shortage = Shortage("", "local disks are full, and no setting that may be changed here frees them")
    return plan.repeats == 0


PLAYS: Mapping[str, Callable[[Plan], bool]] = {
    "executor_oom_heap": _heap_or_off_heap,
    "executor_oom_overhead": _executor_overhead,
    "executor_oom_python": _executor_python,
    "driver_oom_heap": _driver_heap,
    "driver_oom_overhead": _driver_overhead,
    "driver_result_size": _result_size,
    "broadcast_oom_or_timeout": _broadcast,
    "serializer_buffer": _serializer,
    "metaspace_oom": _metaspace,
    "direct_memory_oom": _direct_memory,
    "stack_overflow": _stack,
    "memory_request_invalid": _invalid_request,
    "shuffle_fetch_failure": _patience,
    "executor_lost_preempted": _patience,
    "network_timeout": _patience,
    "disk_full": _disk,
}
"""Category to play. A play changes the plan and says whether there is anything to retry with."""


def _double(plan: Plan, key: str, role: Role, least: int = _SMALL_HEAP) -> bool:
    """Twice the heap that failed, at least *least* more (4 GiB after the first growth was not enough), and at least
    what is declared. Of small heaps Spark keeps much for itself, and a further failure costs more than a few GiB."""
    floor = plan.floor(key)
    grew = any(allocation.heap(conf, role) < floor for conf in plan.failed)
    more = 4 * GIB if grew else least
    return plan.grow(key, role, floor, max(2 * floor, floor + more, _declared_heap(plan, role)))


def _declared_heap(plan: Plan, role: Role) -> float:
    """What the author declares, where the try that failed had less (it was right-sized); else nothing."""
    return allocation.value(plan.baseline, f"spark.{role}.memory") or 0


def _more_overhead(plan: Plan, role: Role) -> bool:
    """Twice the overhead that failed, at least 1 GiB more, and at least what the platform says was used."""
    key = allocation.overhead_key(plan.conf, role)
    floor = max(allocation.overhead(conf, role) for conf in plan.failed)
    used = plan.cause.sizes.get("used", 0) - (allocation.container(plan.conf, role) - floor)
    return plan.grow(key, role, floor, max(2 * floor, floor + 1 * GIB, 1.5 * used))


def _raise_low_partitions(plan: Plan) -> bool:
    """Eight times the partitions where fewer were declared than Spark's default: a smaller share per task."""
    raised = False
    for key in ("spark.sql.shuffle.partitions", "spark.default.parallelism"):
        declared = plan.declared(key)
        if declared is not None and declared < DEFAULT_PARTITIONS:
            target = min(MOST_PARTITIONS, max(DEFAULT_PARTITIONS, 8 * declared))
            raised = plan.raise_to(key, target) or raised
    return raised


def _no_broadcast(plan: Plan, key: str) -> bool:
    if all(allocation.value(conf, key) == -1 for conf in plan.failed):
        plan.shortage = Shortage(
            "setting", "automatic broadcasts are already off; the query asks for this one itself"
        )
        return False
    plan.set(key, -1)
    return True


def _for_each(roles: tuple[Role, ...], change: Callable[[Role], bool]) -> bool:
    # Every JVM is changed, also after one that could not be: a list, so that all() stops nothing.
    changed = [change(role) for role in roles]
    return all(changed)


def _roles(plan: Plan, *, default: tuple[Role, ...]) -> tuple[Role, ...]:
    """Which JVM the rule or its deciding lines speak of."""
    if plan.cause.side is not None:
        return (plan.cause.side.value,)
    text = _deciding_text(plan)
    if 'Exception in thread "main"' in text or "Py4JJavaError" in text:
        return ("driver",)
    if "Lost task" in text or "Executor: Exception" in text:
        return ("executor",)
    return default


def _is_driver_request(text: str) -> bool:
    lowered = text.lower()
    return "driver-memory" in lowered or "driver memory" in lowered or "am memory" in lowered


def _deciding_text(plan: Plan) -> str:
    return "\n".join(line.text for line in plan.cause.lines)


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
