"""One task instance, and its attempts as they are recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Classification,
    Decision,
    EvidenceLine,
    Mode,
    Patch,
    Restartable,
    Scope,
    Source,
)
from tests.support.decisions import decision, recorded

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone.utc)

TRY_1 = AttemptId("etl", "manual__1", "aggregate", -1, 1)

TRY_2 = replace(TRY_1, try_number=2)

DECLARED = {"spark.executor.memory": "600m", "spark.app.name": "naïve ☃"}

GROWN = {**DECLARED, "spark.executor.memory": "1624m"}

HEAP = Classification(
    category="executor_oom",
    rule="executor-heap",
    restartable=Restartable.WITH_CHANGES,
    memory_configuration=True,
    lines=(EvidenceLine(812, "java.lang.OutOfMemoryError: Java heap space", Source.EXECUTOR_LOG),),
)


def patch_for(attempt: AttemptId) -> Patch:
    scope = Scope(attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index)
    path = "/spark.executor.memory"
    return Patch(
        ({"op": "test", "path": path, "value": "600m"}, {"op": "replace", "path": path, "value": "1624m"}),
        scope,
        from_try=attempt.try_number,
    )


def remediation(attempt: AttemptId = TRY_1) -> Decision:
    return decision(
        Action.REMEDIATE,
        "The executor's heap was too small.",
        HEAP,
        GROWN,
        patch=patch_for(attempt),
        changes={"spark.executor.memory": ("600m", "1624m")},
    )


def begin(
    store: Store,
    attempt: AttemptId,
    *,
    patched: bool = False,
    started_at: datetime = NOON,
    max_tries: int | None = None,
) -> None:
    start = AttemptStart(
        attempt,
        baseline=DECLARED,
        effective=GROWN if patched else DECLARED,
        operator="SparkSubmitOperator",
        started_at=started_at,
        patched=patched,
        max_tries=max_tries,
    )
    store.record(attempt, start=start)


def decide(store: Store, attempt: AttemptId, made: Decision, *, mode: Mode, excerpt: str = "") -> None:
    store.record(attempt, decision=recorded(made, mode, excerpt))


def end(store: Store, attempt: AttemptId, *, succeeded: bool | None) -> None:
    store.record(attempt, end=AttemptEnd(succeeded, NOON + timedelta(minutes=1), 60.5, 96.25))
