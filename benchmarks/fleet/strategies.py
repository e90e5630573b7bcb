"""The strategies that the product is set beside: none of them remembers anything but the tries of the present run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.spark.sizes import MIB
from airflow_autoremed.types import Conf
from benchmarks.fleet.world import (
    CATEGORY,
    DRIVER,
    HEAP,
    KRYO,
    LARGEST_CONTAINER,
    OVERHEAD,
    RESULT,
    RETRIES,
    Ending,
    Task,
)

FAIL_FAST = frozenset(
    {
        "schema_or_analysis_error",
        "missing_data",
        "dependency_missing",
        "auth_permission",
        "credentials_expired",
    }
)
"""What a list of exception names can tell: AnalysisException (also of missing tables and paths), ClassNotFoundException
and ModuleNotFoundError, AccessDenied and AuthenticationException. Generous: of the project's real failures only 31 of
71 had the decisive line in the exception that Airflow sees (docs/facts-spark.md); here the rules see the true cause always."""


@dataclass(frozen=True)
class Tried:
    """A failed try."""

    conf: Conf
    ending: Ending


Next = Callable[[Task, int, Sequence[Tried]], "Conf | None"]
"""The configuration of the next try after the failed ones; ``None``: no further try."""


def no_retry(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    return None


def blind(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    return tried[-1].conf


def exception_rules(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """Like a retry policy of Airflow by exception: fail fast on what no retry cures, retry the rest as it is."""
    return None if tried[-1].ending.cause in FAIL_FAST else tried[-1].conf


def times_try(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """The executors' heap that is declared, times the number of the try, as people write it in Nextflow and Snakemake."""
    declared = task.baseline(day)
    return grown(tried[-1].conf, HEAP, (len(tried) + 1) * present(declared, HEAP))


def pod_autoscaler(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """Kubernetes' VerticalPodAutoscaler by its defaults: an executor's container that was killed for its memory gets a
    fifth more, at least 100 MiB; what fails without a kill is repeated as it was."""
    last = tried[-1]
    if last.ending.cause != CATEGORY[OVERHEAD]:
        return last.conf
    container = allocation.container(last.conf, "executor")
    more = max(0.2 * container, 100.0 * MIB)
    return grown(last.conf, OVERHEAD, present(last.conf, OVERHEAD) + more)


def double_heap(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """Twice the executors' heap on each try, up to the largest container."""
    return doubled(tried[-1].conf, (HEAP,))


def double_all(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """Twice of every setting of memory on each try, up to the largest container."""
    return doubled(tried[-1].conf, (HEAP, OVERHEAD, DRIVER, "spark.driver.memoryOverhead", RESULT, KRYO))


def doubled(conf: Conf, keys: Sequence[str]) -> dict[str, str]:
    """*conf* with twice of each of *keys*; what would not fit the largest container any more stays as it is."""
    bigger = dict(conf)
    for key in keys:
        bigger = grown(bigger, key, 2 * present(bigger, key))
    return bigger


def grown(conf: Conf, key: str, size: float) -> dict[str, str]:
    """*conf* with *key* at *size* bytes; as it was where that would not fit the largest container."""
    bigger = {**conf, key: PATCHABLE[key].format(min(size, PATCHABLE[key].maximum))}
    role = "driver" if ".driver." in key else "executor"
    over = allocation.container(bigger, role) - LARGEST_CONTAINER  # type: ignore[arg-type]
    if over > 0 and key == HEAP:
        # As much heap as there is room for, with the overhead that belongs to it.
        less = size - over * 1.0
        bigger[key] = PATCHABLE[key].format(max(present(conf, key), less // MIB * MIB))
        over = allocation.container(bigger, "executor") - LARGEST_CONTAINER
    return bigger if over <= 0 else dict(conf)


def present(conf: Conf, key: str) -> float:
    """What holds for *key*, Spark's default where it is not set."""
    for role in ("executor", "driver"):
        if key == f"spark.{role}.memoryOverhead":
            return float(allocation.overhead(conf, role))
        if key == f"spark.{role}.memory":
            return float(allocation.heap(conf, role))
    return allocation.value(conf, key) or PATCHABLE[key].default or 0.0


def oracle(task: Task, day: int, tried: Sequence[Tried]) -> Conf | None:
    """Knows what the next try needs, and when nothing helps."""
    if len(tried) > RETRIES or task.broken[day] >= 0:
        return None
    return task.cure(day, len(tried) + 1)


@dataclass(frozen=True)
class Simple:
    """A strategy without a memory beyond the run."""

    next: Next
    knows: bool = False
    """Whether it sizes the first try, too."""

    def first(self, task: Task, day: int) -> Conf:
        if self.knows:
            return task.cure(day, 1) or task.baseline(day)
        return task.baseline(day)


SIMPLE: Mapping[str, Simple] = {
    "no retry": Simple(no_retry),
    "blind retry x3": Simple(blind),
    "exception rules": Simple(exception_rules),
    "Kubernetes VPA": Simple(pod_autoscaler),
    "declared x try": Simple(times_try),
    "double executor heap": Simple(double_heap),
    "double everything": Simple(double_all),
    "oracle": Simple(oracle, knows=True),
}
BLIND, ORACLE = "blind retry x3", "oracle"
STICKY = "double everything, kept"
OURS = "ours without model"
MODEL = "ours with model"
NAMES = (*(name for name in SIMPLE if name != ORACLE), STICKY, OURS, MODEL, ORACLE)
