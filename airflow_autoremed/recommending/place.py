"""Which JVM a change is for."""

from __future__ import annotations

import re

from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.spark.allocation import Role

_ONE_JVM = re.compile(r"\bexecutor driver\b|localhost, executor driver")


def one_jvm(plan: Plan) -> bool:
    """Whether the driver's JVM ran the tasks: the master is local, or a line says ``executor driver``."""
    master = plan.effective.get("spark.master", "").strip()
    return (
        re.fullmatch(r"local(\[.*\])?", master) is not None
        or _ONE_JVM.search(deciding_text(plan)) is not None
    )


def role_of(plan: Plan, otherwise: Role) -> Role:
    """The process that failed, *otherwise* where nothing says which. In local mode there is only the driver."""
    if one_jvm(plan):
        return "driver"
    return otherwise if plan.cause.side is None else plan.cause.side.value


def roles_of(plan: Plan, *, otherwise: tuple[Role, ...]) -> tuple[Role, ...]:
    """The processes whose JVM options may have to change: the one that failed, *otherwise* where it is not known."""
    if one_jvm(plan):
        return ("driver",)
    if plan.cause.side is not None:
        return (plan.cause.side.value,)
    text = deciding_text(plan)
    if 'Exception in thread "main"' in text or "Py4JJavaError" in text:
        return ("driver",)
    if "Lost task" in text or "Executor: Exception" in text:
        return ("executor",)
    return otherwise


def deciding_text(plan: Plan) -> str:
    """The lines that decided on the cause."""
    return "\n".join(line.text for line in plan.cause.lines)
