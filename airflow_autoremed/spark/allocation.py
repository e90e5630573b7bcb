"""How much memory an application holds: Spark's own arithmetic for its containers.

Sources: ``org.apache.spark.deploy.yarn.Client``/``ResourceProfile`` for the sum, the configuration page for the
defaults (overhead is the larger of 384 MiB and a tenth of the heap). Standalone clusters do not enforce the
overhead, but the machine has to hold it all the same.
"""

from __future__ import annotations

from typing import Literal

from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import Conf, RunMetrics

Role = Literal["driver", "executor"]

_MINIMUM_OVERHEAD = 384 * MIB
_OVERHEAD_FACTOR = 0.1


def value(conf: Conf, key: str) -> float | None:
    """The value of an allow-listed *key* in bytes, seconds or plain; ``None`` where absent or unreadable.

    What is below Spark's minimum is read: it is declared, and too small.
    """
    text = conf.get(key)
    if text is None:
        return None
    spec = PATCHABLE[key]
    try:
        number = spec.read(text)
    except ValueError:
        return None
    return number if min(0, spec.minimum) <= number <= spec.maximum else None


def heap(conf: Conf, role: Role) -> int:
    """Bytes of JVM heap."""
    return int(value(conf, f"spark.{role}.memory") or 1 * GIB)


def overhead_key(conf: Conf, role: Role) -> str:
    """The key that holds the overhead, in the author's spelling."""
    legacy, plain = _overhead_keys(role)
    return legacy if legacy in conf and plain not in conf else plain


def overhead(conf: Conf, role: Role) -> int:
    """Bytes of memory beside the heap: declared (in both spellings: the larger), or by Spark's rule."""
    declared = [found for key in _overhead_keys(role) if (found := value(conf, key)) is not None]
    if declared:
        return int(max(declared))
    return default_overhead(heap(conf, role), overhead_factor(conf, role))


def _overhead_keys(role: Role) -> tuple[str, str]:
    return f"spark.yarn.{role}.memoryOverhead", f"spark.{role}.memoryOverhead"


def overhead_factor(conf: Conf, role: Role) -> float:
    """The share of the heap that Spark adds as overhead where none is declared."""
    return value(conf, f"spark.{role}.memoryOverheadFactor") or _OVERHEAD_FACTOR


def default_overhead(heap_bytes: float, factor: float = _OVERHEAD_FACTOR) -> int:
    """Bytes that Spark adds to a heap where no overhead is declared: the larger of 384 MiB and its share."""
    return max(_MINIMUM_OVERHEAD, int(heap_bytes * factor))


def largest_heap(room: float, factor: float = _OVERHEAD_FACTOR) -> float:
    """The largest heap that fits into *room* bytes together with the overhead that Spark then adds."""
    return min(room - _MINIMUM_OVERHEAD, room / (1 + factor))


def container(conf: Conf, role: Role) -> int:
    """Bytes of one container: heap, overhead and, for executors, off-heap and Python memory."""
    size = heap(conf, role) + overhead(conf, role)
    if role == "executor":
        if value(conf, "spark.memory.offHeap.enabled"):
            size += int(value(conf, "spark.memory.offHeap.size") or 0)
        size += int(value(conf, "spark.comet.memoryOverhead") or 0)
        size += int(value(conf, "spark.executor.pyspark.memory") or 0)
    return size


def part(conf: Conf, key: str, role: Role) -> float:
    """Bytes that hold for *key*, one part of the *role*'s container: declared, or by Spark's rule."""
    if key == overhead_key(conf, role):
        return overhead(conf, role)
    if key == f"spark.{role}.memory":
        return heap(conf, role)
    return value(conf, key) or 0


def executors(conf: Conf) -> int:
    """How many executors run at most, as far as the configuration says; at least one.

    Dynamic allocation without a maximum is counted as one: nothing better is known before the run.
    """
    if (conf.get("spark.dynamicAllocation.enabled") or "").strip().lower() == "true":
        return int(value(conf, "spark.dynamicAllocation.maxExecutors") or 1)
    instances = value(conf, "spark.executor.instances")
    if instances:
        return int(instances)
    cores_max, cores = value(conf, "spark.cores.max"), value(conf, "spark.executor.cores")
    if cores_max and cores:
        return max(1, int(cores_max // cores))
    return 1


def total(conf: Conf) -> int:
    """Bytes of all containers of the application."""
    return container(conf, "driver") + executors(conf) * container(conf, "executor")


def gib_seconds(conf: Conf, duration_s: float) -> float:
    """Memory held times time: GiB of all containers times seconds."""
    return total(conf) / GIB * max(0.0, duration_s)


def cores(conf: Conf, role: Role) -> int:
    """Cores of one container, 1 unless declared: a standalone cluster then gives an executor all cores of its worker,
    which the configuration does not say."""
    if role == "executor":
        return max(1, int(value(conf, "spark.executor.cores") or 1))
    text = (conf.get("spark.driver.cores") or "").strip()
    return max(1, int(text)) if text.isdecimal() and len(text) < 5 else 1


def total_cores(conf: Conf) -> int:
    """Cores of all containers of the application."""
    return cores(conf, "driver") + executors(conf) * cores(conf, "executor")


def used(*runs: RunMetrics) -> dict[str, float]:
    """Setting to the bytes that *runs* used of it at most, where that was measured: lower bounds, as all peaks are.

    The driver's overhead is what its processes held beside its heap.
    """
    found: dict[str, float] = {}
    for run in runs:
        beside_heap = None
        if run.peak_driver_rss is not None and run.peak_driver_heap is not None:
            beside_heap = max(0, run.peak_driver_rss - run.peak_driver_heap)
        for key, amount in (
            ("spark.executor.memory", run.peak_heap),
            ("spark.executor.memoryOverhead", run.peak_overhead),
            ("spark.executor.pyspark.memory", run.peak_python),
            ("spark.memory.offHeap.size", run.peak_off_heap),
            ("spark.driver.memory", run.peak_driver_heap),
            ("spark.driver.memoryOverhead", beside_heap),
        ):
            if amount is not None and amount >= found.get(key, 0):
                found[key] = float(amount)
    return found
