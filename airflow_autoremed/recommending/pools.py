"""What gives a pool of memory more room: one play a pool, shared by both sides.

Every play grows from what failed to a value that has not failed yet, and says in ``plan.shortage`` why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_autoremed.recommending.place import deciding_text, one_jvm, roles_of
from airflow_autoremed.recommending.plan import REAL_STEP, Plan
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import NETTY_DIRECT, PATCHABLE
from airflow_autoremed.spark.sizes import GIB, MIB, format_bytes
from airflow_autoremed.types import Conf, Pool, Shortage

DEFAULT_PARTITIONS = 200
MOST_PARTITIONS = 4000
_LEAST_MORE = 1 * GIB
_ONE_GROUP = 4 * GIB
"""Least growth where a group is gathered whole: the rows, the buffer they are written to and the larger one it grows
into lie in the heap together. The development sizes of docs/proof-protocol.md needed 3 to 6 times what failed."""
_SMALL_DIRECT = 1 * GIB
"""Up to here a limit of direct memory grows fourfold, above by half: what is taken beside the heap is dear."""
_DIRECT = "-XX:MaxDirectMemorySize="
_FETCHES = ("spark.reducer.maxSizeInFlight", "spark.maxRemoteBlockSizeFetchToMem")
_OFF_HEAP = "spark.memory.offHeap.size"
_COMET = "spark.comet.memoryOverhead"
_GPU = ("spark.rapids.sql.concurrentGpuTasks", "spark.rapids.sql.batchSizeBytes")


def heap(plan: Plan, role: Role) -> bool:
    """Twice the heap that failed; for executors more partitions where few were declared, and with memory at its limit a
    larger share for each task."""
    if role == "driver":
        # In local mode the driver runs the tasks, and smaller tasks help it, too.
        partitions = one_jvm(plan) and _raise_low_partitions(plan)
        return double(plan, "spark.driver.memory", "driver") or partitions
    partitions = _raise_low_partitions(plan)
    one_group = not partitions and plan.cause.indivisible
    if double(plan, "spark.executor.memory", "executor", _ONE_GROUP if one_group else _LEAST_MORE):
        if one_group:
            plan.notes.append(
                "a whole group of rows has to fit into one task, which more partitions do not divide"
            )
        return True
    if _fewer_tasks(plan, "memory cannot grow"):
        return True
    if partitions:
        plan.notes.append(f"memory cannot grow ({plan.shortage_text}), so each task gets a smaller share")
    return partitions


def overhead(plan: Plan, role: Role) -> bool:
    """More memory beside the heap; with the container full, fewer tasks in it."""
    if plan.cause.pool is Pool.DEVICE:
        return device(plan)
    return _more_overhead(plan, role) or (role == "executor" and _fewer_tasks(plan, "the container is full"))


def python(plan: Plan, role: Role) -> bool:
    """More for the Python workers: their own limit where one is declared, else the memory beside the heap."""
    key = "spark.executor.pyspark.memory"
    if role == "driver" or not plan.declared(key):
        return overhead(plan, role)
    floor = plan.floor(key)
    return plan.grow(key, role, floor, max(2 * floor, floor + _LEAST_MORE))


def off_heap(plan: Plan, role: Role) -> bool:
    """More for Spark's managed off-heap memory, from which native engines (Gluten with Velox, Comet) take theirs, too."""
    if allocation.value(plan.effective, "spark.memory.offHeap.enabled") or plan.declared(_OFF_HEAP):
        return _grown(plan, _OFF_HEAP, default=0)
    if plan.declared(_COMET) is not None or "Comet" in deciding_text(plan):
        return _grown(plan, _COMET, default=1 * GIB)
    # The pool is sized where it cannot be seen, and a value of ours might be less than what is there.
    plan.shortage = Shortage("", f"the task does not declare {_OFF_HEAP}, which has to grow")
    return role == "executor" and _fewer_tasks(plan, "off-heap memory cannot grow")


def uses_off_heap(plan: Plan) -> bool:
    """Whether what ran out is Spark's off-heap pool: the cause says so, or ``Unable to acquire`` where the author has
    switched that pool on."""
    if plan.cause.pool is Pool.OFF_HEAP:
        return True
    text = deciding_text(plan)
    switched_on = allocation.value(plan.effective, "spark.memory.offHeap.enabled")
    return bool(switched_on) and ("UNABLE_TO_ACQUIRE_MEMORY" in text or "Unable to acquire" in text)


def direct(plan: Plan, role: Role) -> bool:
    """A limit of direct memory above the one that failed, with room for it beside the heap."""
    eased = _ease_fetches(plan)
    failed = _failed_direct(plan, role)
    stated = plan.cause.sizes.get("used", 0) + plan.cause.sizes.get("needed", 0)
    size = max(1 * GIB, 4 * failed if failed <= _SMALL_DIRECT else int(1.5 * failed), int(1.25 * stated))
    size = -(-size // MIB) * MIB
    before = dict(plan.conf)
    beside = _room_for_direct(plan, role, size)
    if beside is not None and min(size, beside) >= failed * REAL_STEP:
        size = min(size, beside)
        netty = not plan.flag_floor(role, NETTY_DIRECT) or plan.flag(role, NETTY_DIRECT, size)
        if netty and plan.flag(role, _DIRECT, size):
            return True
    plan.conf = before
    plan.notes = [note for note in plan.notes if "clamped" not in note]
    if beside is not None:
        plan.shortage = Shortage(
            "max_growth",
            f"the limit of direct memory would have to grow beyond the {format_bytes(failed)} that failed, and beside "
            f"the heap there is room for {format_bytes(beside)}",
        )
    return eased or _fetch_less(plan)


def _room_for_direct(plan: Plan, role: Role, size: int) -> int | None:
    """Grow what lies beside the heap so that *size* bytes of direct memory fit; the bytes there, or ``None``."""
    key, had = allocation.overhead_key(plan.conf, role), allocation.overhead(plan.conf, role)
    declared = plan.flag_floor(role, _DIRECT) or plan.flag_floor(role, NETTY_DIRECT)
    most = max(allocation.overhead(conf, role) for conf in plan.failed)
    # Where a limit was declared, room was planned for it. The JVM's own limit is about the heap, and has no room.
    wanted = max(size, most + size - declared) if declared else max(size, most)
    if wanted <= had:
        return had
    return allocation.overhead(plan.conf, role) if plan.grow(key, role, had, wanted) else None


def metaspace(plan: Plan) -> bool:
    """A larger metaspace in the JVM where it ran out: at least 512 MiB, four times what failed."""
    flag = "-XX:MaxMetaspaceSize="
    return for_each(
        roles_of(plan, otherwise=("driver", "executor")),
        lambda role: plan.flag(role, flag, max(512 * MIB, 4 * plan.flag_floor(role, flag))),
    )


def stack(plan: Plan) -> bool:
    """A deeper stack in the JVM that failed: 64 MiB for the driver, which has one deep thread, 16 MiB for executors;
    then four times."""

    def deeper(role: Role) -> bool:
        start = 64 * MIB if role == "driver" else 16 * MIB
        return plan.flag(role, "-Xss", min(1 * GIB, max(start, 4 * plan.flag_floor(role, "-Xss"))))

    return for_each(roles_of(plan, otherwise=("driver", "executor")), deeper)


def device(plan: Plan) -> bool:
    """A graphics card's memory does not grow: fewer tasks use it at once, and each with smaller batches."""
    tasks, batch = _GPU
    at_once = min(_value(conf, tasks) for conf in plan.failed)
    size = min(_value(conf, batch) for conf in plan.failed)
    changed = False
    if at_once > 1:
        plan.set(tasks, at_once // 2)
        changed = True
    if size > 128 * MIB:
        plan.set(batch, size // 2 // MIB * MIB)
        changed = True
    if not changed:
        plan.shortage = Shortage(
            "setting", f"one task at a time with batches of {format_bytes(int(size))} fails, too"
        )
    return changed


def for_each(roles: tuple[Role, ...], change: Callable[[Role], bool]) -> bool:
    """Make *change* for each of the *roles*; whether it could be made for all of them."""
    # Every JVM is changed, also after one that could not be: a list, so that all() stops nothing.
    changed = [change(role) for role in roles]
    return all(changed)


def double(plan: Plan, key: str, role: Role, least: int = _LEAST_MORE) -> bool:
    """Twice the heap that failed, at least *least* more (4 GiB after the first growth was not enough), and at least
    what is declared. Of small heaps Spark keeps much for itself, and a further failure costs more than a few GiB."""
    floor = plan.floor(key)
    grew = any(allocation.heap(conf, role) < floor for conf in plan.failed)
    more = 4 * GIB if grew else least
    return plan.grow(key, role, floor, max(2 * floor, floor + more, _declared_heap(plan, role)))


def _value(conf: Conf, key: str) -> float:
    found = allocation.value(conf, key)
    return PATCHABLE[key].default or 0 if found is None else found


def _grown(plan: Plan, key: str, default: int) -> bool:
    """Twice what failed of a part of an executor's container, at least 1 GiB more, and at least what is known of it."""
    floor = plan.floor(key, default=default)
    needed = plan.cause.sizes.get("needed", 0)
    return plan.grow(key, "executor", floor, max(2 * floor, floor + _LEAST_MORE, floor + 1.5 * needed))


def _failed_direct(plan: Plan, role: Role) -> int:
    """The limit of direct memory that was not enough: the one stated, else the one set, else the JVM's, the heap."""
    own = max(plan.flag_floor(role, _DIRECT), plan.flag_floor(role, NETTY_DIRECT))
    stated = int(plan.cause.sizes.get("limit", 0))
    if own or stated:
        return max(own, stated)
    return max(allocation.heap(conf, role) for conf in plan.failed)


def _ease_fetches(plan: Plan) -> bool:
    """What is fetched at once goes back to Spark's default where more was declared."""
    eased = False
    for key in _FETCHES:
        declared, default = plan.declared(key), PATCHABLE[key].default
        if declared is not None and default is not None and declared > default:
            plan.set(key, default)
            eased = True
    return eased


def _fetch_less(plan: Plan) -> bool:
    """Half of what is fetched at once, where the limit cannot grow."""
    key = _FETCHES[0]
    size = min(_value(conf, key) for conf in plan.failed)
    if size < 12 * MIB:
        return False
    plan.set(key, size // 2 // MIB * MIB)
    plan.notes.append(f"direct memory cannot grow ({plan.shortage_text}), so less is fetched at once")
    return True


def _declared_heap(plan: Plan, role: Role) -> float:
    """What the author declares, where the try that failed had less (it was right-sized); else nothing."""
    return allocation.value(plan.baseline, f"spark.{role}.memory") or 0


def _more_overhead(plan: Plan, role: Role) -> bool:
    """Twice the overhead that failed, at least 1 GiB more, and at least what the platform says was used."""
    key = allocation.overhead_key(plan.conf, role)
    floor = max(allocation.overhead(conf, role) for conf in plan.failed)
    used = plan.cause.sizes.get("used", 0) - (allocation.container(plan.conf, role) - floor)
    return plan.grow(key, role, floor, max(2 * floor, floor + _LEAST_MORE, 1.5 * used))


def _fewer_tasks(plan: Plan, why: str) -> bool:
    """Half the tasks at once in an executor, where it runs several."""
    cores, each = plan.declared("spark.executor.cores"), plan.declared("spark.task.cpus") or 1
    if cores is None or cores <= each:
        return False
    plan.notes.append(f"{why} ({plan.shortage_text}), so fewer tasks share it")
    plan.set("spark.executor.cores", max(cores // 2, each))
    return True


def _raise_low_partitions(plan: Plan) -> bool:
    """Eight times the partitions where fewer were declared than Spark's default: a smaller share per task."""
    raised = False
    for key in ("spark.sql.shuffle.partitions", "spark.default.parallelism"):
        declared = plan.declared(key)
        if declared is not None and declared < DEFAULT_PARTITIONS:
            target = min(MOST_PARTITIONS, max(DEFAULT_PARTITIONS, 8 * declared))
            raised = plan.raise_to(key, target) or raised
    return raised
