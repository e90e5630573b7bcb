"""Two patches of one task at once: the promoted one, and the floor that stands on top of it."""

from __future__ import annotations

from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.patching.apply_patch import result_of
from airflow_autoremed.patching.config_diff import diff
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.types import Conf, Limits, Patch


def together(promoted: Patch, floor: Patch, declared: Conf, limits: Limits) -> Patch:
    """*promoted* with each size raised to that of *floor*; as it is where both do not fit the limits together, or one
    of them no longer fits what is declared."""
    try:
        conf, least = result_of(promoted, declared), result_of(floor, declared)
    except PatchRejectedError:
        return promoted
    for key in least:
        if declared.get(key) == least[key]:
            continue
        role: allocation.Role = "driver" if ".driver." in key else "executor"
        if allocation.part(least, key, role) > allocation.part(conf, key, role):
            conf[key] = least[key]
    if violations(conf, declared, limits):
        return promoted
    return Patch(diff(declared, conf), promoted.scope, promoted.from_try)
