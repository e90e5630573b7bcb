"""Whether a configuration stays within the limits: the last gate before a patch is made and before it is applied."""

from __future__ import annotations

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE, jvm_flags_only_differ_in_sizes
from airflow_autoremed.spark.sizes import format_bytes
from airflow_autoremed.types import Conf, Limits

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


def violations(conf: Conf, baseline: Conf, limits: Limits) -> list[str]:
    """Every way in which *conf* leaves the limits, as readable sentences; empty when it may be used.

    What the author declared himself is never a violation while it is unchanged or shrinks.
    """
    changed = sorted(key for key in {*conf, *baseline} if conf.get(key) != baseline.get(key))
    return [
        *_changes(conf, baseline, changed, limits),
        *_containers(conf, baseline, limits),
    ]


def _changes(conf: Conf, baseline: Conf, changed: list[str], limits: Limits) -> list[str]:
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
    if limits.max_total_memory is not None:
        size = allocation.total(conf)
        if size > max(limits.max_total_memory, allocation.total(baseline)):
            found.append(
                f"the application's {format_bytes(size)} are more than the {format_bytes(limits.max_total_memory)} "
                "it may hold"
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
