"""Whether a configuration stays within the limits: the last gate before a patch is made and before it is applied."""

from __future__ import annotations

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE, jvm_flags_only_differ_in_sizes
from airflow_autoremed.spark.sizes import format_bytes
from airflow_autoremed.types import RIGHT_SIZED, Conf, Limits

_ROLES: tuple[Role, ...] = ("driver", "executor")


def growth_base(key: str, baseline: Conf) -> float | None:
    """What the growth ceiling of *key* is measured against: the declared value, at least Spark's default."""
    declared = allocation.value(baseline, key)
    default = PATCHABLE[key].default
    if default is None and key.endswith("memoryOverhead"):
        role: Role = "driver" if ".driver." in key else "executor"
        # An overhead grows with what the container is, not with the 384 MiB it starts from.
        default = max(allocation.overhead(baseline, role), allocation.heap(baseline, role) / 4)
    if default is None and PATCHABLE[key].footprint:
        default = allocation.heap(baseline, "executor") / 4
    values = [number for number in (declared, default) if number is not None]
    return max(values) if values else None


def growth_ceiling(key: str, baseline: Conf, limits: Limits) -> float:
    """The largest value of *key* that the growth ceiling allows; infinite where nothing bounds it."""
    base = growth_base(key, baseline)
    return float("inf") if base is None else base * limits.max_growth


def room(key: str, role: Role, conf: Conf, limits: Limits) -> float:
    """The largest value of *key*, a part of the *role*'s container, with which the container and the application
    stay within the limits; everything else as in *conf*."""
    most = float("inf") if limits.max_container_memory is None else float(limits.max_container_memory)
    if limits.max_total_memory is not None:
        count = 1 if role == "driver" else allocation.executors(conf)
        others = allocation.total(conf) - count * allocation.container(conf, role)
        most = min(most, (limits.max_total_memory - others) / count)
    if most == float("inf"):
        return most
    beside = allocation.container(conf, role) - int(allocation.part(conf, key, role))
    left = most - beside
    if key == f"spark.{role}.memory" and allocation.value(conf, allocation.overhead_key(conf, role)) is None:
        # The default overhead grows with the heap.
        rest = most - (beside - allocation.overhead(conf, role))
        left = allocation.largest_heap(rest, allocation.overhead_factor(conf, role))
    return max(0.0, left)


def violations(conf: Conf, baseline: Conf, limits: Limits, *, category: str | None = None) -> list[str]:
    """Every way in which *conf* leaves the limits, as readable sentences; empty when it may be used.

    What the author declared himself is never a violation while it is unchanged. Nothing falls below what is declared (or
    Spark's default): a patch may give more time, memory or attempts, not less.

    :param category: what *conf* is for. Only right-sizing, and a request that the cluster cannot grant, ask for less
        memory than is declared.
    """
    changed = sorted(key for key in {*conf, *baseline} if conf.get(key) != baseline.get(key))
    return [
        *_changes(conf, baseline, changed, limits, category),
        *_containers(conf, baseline, limits),
    ]


_CANNOT_BE_GRANTED = "memory_request_invalid"
_DOWN = frozenset(
    (
        "spark.executor.cores",
        "spark.sql.autoBroadcastJoinThreshold",
        "spark.sql.execution.arrow.maxRecordsPerBatch",
        "spark.rapids.sql.concurrentGpuTasks",
        "spark.rapids.sql.batchSizeBytes",
        "spark.reducer.maxSizeInFlight",
        "spark.maxRemoteBlockSizeFetchToMem",
    )
)
"""Fewer tasks share an executor's memory or its graphics card; a broadcast that is too large is not made; batches get
smaller, and less is fetched at once."""
_PARTITIONS = ("spark.sql.shuffle.partitions", "spark.default.parallelism")
_COUNTS_OF_ATTEMPTS = frozenset(
    (
        "spark.shuffle.io.maxRetries",
        "spark.stage.maxConsecutiveAttempts",
        "spark.task.maxFailures",
        "spark.port.maxRetries",
    )
)
_PATIENCE = 32
"""How much longer than declared, or than Spark's default, something may be waited for or tried again."""


def _declared(key: str, baseline: Conf) -> float | None:
    """What holds for *key* where nothing is patched; ``None`` where that depends on other things."""
    declared = allocation.value(baseline, key)
    if declared is not None or key in baseline:
        return declared
    if key in ("spark.executor.instances", "spark.dynamicAllocation.maxExecutors"):
        return allocation.executors(baseline)
    if key == "spark.cores.max":
        return allocation.executors(baseline) * allocation.cores(baseline, "executor")
    for role in _ROLES:
        if key in (f"spark.{role}.memoryOverhead", f"spark.yarn.{role}.memoryOverhead"):
            return allocation.overhead(baseline, role)
    return PATCHABLE[key].default


def _least(key: str, baseline: Conf) -> float | None:
    """The value below which no patch goes: what is declared; for timings and counts of attempts, which may go back to
    Spark's default, the smaller of the two."""
    declared, spec = _declared(key, baseline), PATCHABLE[key]
    if key in _DOWN or declared is None:
        return None
    if (spec.kind == "duration" or key in _COUNTS_OF_ATTEMPTS) and spec.default is not None:
        return min(declared, spec.default)
    return declared


def _most(key: str, conf: Conf, baseline: Conf, limits: Limits) -> float | None:
    """The value that no patch exceeds; ``None`` where something else bounds it."""
    spec, declared = PATCHABLE[key], _declared(key, baseline)
    base = max(declared or 0, spec.default or 0)
    if key in _PARTITIONS:
        return max(base, PATCHABLE[_PARTITIONS[0]].default or 0) * limits.max_growth
    if key == "spark.sql.autoBroadcastJoinThreshold":
        return base
    if key == "spark.driver.maxResultSize":
        return max(base * limits.max_growth, allocation.heap(conf, "driver"))
    if spec.kind == "duration" or key in _COUNTS_OF_ATTEMPTS:
        return base * _PATIENCE
    return base * limits.max_growth if spec.kind == "count" else None


def _out_of_bounds(
    key: str, number: float, conf: Conf, baseline: Conf, limits: Limits, category: str | None
) -> str | None:
    least, most = _least(key, baseline), _most(key, conf, baseline, limits)
    text = conf[key]
    if least is not None and PATCHABLE[key].footprint:
        least *= (
            0 if category == _CANNOT_BE_GRANTED else 1 / limits.max_growth if category == RIGHT_SIZED else 1
        )
    if least is not None and number < least:
        what = baseline[key] if key in baseline else f"Spark's default, {PATCHABLE[key].format(least)}"
        return f"{key} = {text} is less than {what}"
    if most is not None and number > most:
        return f"{key} = {text} is more than the {PATCHABLE[key].format(most)} that it may grow to"
    return None


def _changes(
    conf: Conf, baseline: Conf, changed: list[str], limits: Limits, category: str | None
) -> list[str]:
    found = []
    for key in changed:
        spec = PATCHABLE.get(key)
        if spec is None:
            found.append(f"{key} may not be changed")
            continue
        text = conf.get(key)
        if text is None:
            found.append(f"{key} may not be removed")
        elif spec.kind == "jvm_flags":
            if not jvm_flags_only_differ_in_sizes(baseline.get(key, ""), text):
                found.append(f"{key} may only differ in sized flags")
        else:
            try:
                number = spec.parse(text)
            except ValueError as error:
                found.append(f"{key}: {error}")
                continue
            beyond = _out_of_bounds(key, number, conf, baseline, limits, category)
            if beyond is not None:
                found.append(beyond)
                continue
            base = growth_base(key, baseline) if spec.footprint else None
            if base is not None and number > base * limits.max_growth:
                found.append(
                    f"{key} = {text} is more than {limits.max_growth:g} times {format_bytes(int(base))}"
                )
    return found


def _containers(conf: Conf, baseline: Conf, limits: Limits) -> list[str]:
    found = []
    if limits.max_container_memory is not None:
        for role in _ROLES:
            size = allocation.container(conf, role)
            if size > max(limits.max_container_memory, allocation.container(baseline, role)):
                found.append(
                    f"the {role}'s container of {format_bytes(size)} is larger than the largest one, "
                    f"{format_bytes(limits.max_container_memory)}"
                )
    most = limits.max_total_memory
    if most is None:
        most = int(limits.max_growth * allocation.total(baseline))
    size = allocation.total(conf)
    if size > max(most, allocation.total(baseline)):
        found.append(
            f"the application's {format_bytes(size)} are more than the {format_bytes(most)} it may hold"
        )
    for key, most, what in (
        ("spark.executor.cores", limits.max_cores_per_executor, "cores per executor"),
        ("spark.executor.instances", limits.max_executors, "executors"),
        ("spark.dynamicAllocation.maxExecutors", limits.max_executors, "executors"),
    ):
        number = allocation.value(conf, key)
        if (
            most is not None
            and number is not None
            and number > max(most, allocation.value(baseline, key) or 0)
        ):
            found.append(f"{number:g} {what} are more than the {most} allowed")
    return found
