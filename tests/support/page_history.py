"""A history as a fleet leaves one, for the page: healed, stopped, prevented, unclassified, in shadow mode."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptDecision, AttemptEnd, AttemptStart, Promotion
from airflow_autoremed.patching import make_patch
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Classification,
    Conf,
    EvidenceLine,
    Link,
    Mode,
    PatchRules,
    Restartable,
    Scope,
    Source,
    TaskRecord,
)
from tests.support.decisions import decision, recorded

DECLARED = {
    "spark.executor.memory": "2g",
    "spark.executor.cores": "4",
    "spark.executor.instances": "6",
    "spark.sql.shuffle.partitions": "200",
}
GROWN = {**DECLARED, "spark.executor.memory": "3g", "spark.executor.memoryOverhead": "768m"}
LOG = """26/11/29 02:00:01 INFO DAGScheduler: Submitting ShuffleMapStage 3 (MapPartitionsRDD[12])
26/11/29 02:01:44 INFO BlockManagerInfo: Added broadcast_7_piece0 in memory on 10.0.0.7:41023 (size: 4.0 MiB)
26/11/29 02:02:10 INFO TaskSetManager: Starting task 12.0 in stage 3.0 (TID 44) (10.0.0.7, executor 3)
26/11/29 02:03:12 WARN TaskSetManager: Lost task 12.0 in stage 3.0 (TID 44): <script>alert('x')</script>
26/11/29 02:03:40 ERROR Executor: Exception in task 12.1 in stage 3.0 (TID 51)
java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)
\tat org.apache.spark.sql.execution.UnsafeExternalRowSorter.sort(UnsafeExternalRowSorter.java:210)
26/11/29 02:03:41 ERROR TaskSetManager: Task 12 in stage 3.0 failed 4 times; aborting job
26/11/29 02:03:41 INFO DAGScheduler: Job 2 failed: count at job.py:31, took 98.2 s
26/11/29 02:03:42 INFO SparkContext: Successfully stopped SparkContext
"""
HEAP = Classification(
    "executor_oom_heap",
    "jvm-heap-space",
    Restartable.WITH_CHANGES,
    True,
    lines=(EvidenceLine(6, "java.lang.OutOfMemoryError: Java heap space"),),
    chain=(
        Link(
            "verdict",
            EvidenceLine(9, "26/11/29 02:03:41 ERROR TaskSetManager: Task 12 in stage 3.0 failed 4 times"),
        ),
        Link("exception", EvidenceLine(6, "java.lang.OutOfMemoryError: Java heap space")),
    ),
    unseen=("the executors' own logs",),
)
_MISSING_LINE = (
    "pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: "
    "s3a://lake/raw/customers/ds=2026-11-29"
)
MISSING = Classification(
    "missing_data",
    "path-not-found",
    Restartable.NO,
    False,
    lines=(EvidenceLine(1, _MISSING_LINE, Source.EXCEPTION),),
)
UNKNOWN = Classification("unknown", None, Restartable.AS_IS, False)


class Fleet:
    """Writes attempts into a store, as workers do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._now = datetime.now(timezone.utc)

    def healed(self, dag: str, task: str, run: str, *, hours_ago: float, map_index: int = -1) -> str:
        """An attempt out of memory, and a retry with more that succeeds and is promoted; the patch's key."""
        first = AttemptId(dag, run, task, map_index, 1)
        patch = make_patch(DECLARED, GROWN, Scope(dag, run, task, map_index), 1)
        made = decision(
            Action.REMEDIATE,
            "The heap of an executor was exhausted.",
            HEAP,
            GROWN,
            patch=patch,
            changes={"spark.executor.memory": ("2g", "3g"), "spark.executor.memoryOverhead": (None, "768m")},
        )
        self._attempt(first, hours_ago, DECLARED, False, made=recorded(made, excerpt=LOG))
        key = self._store.patch_key(patch)
        self._attempt(first.next(), hours_ago - 0.2, GROWN, True, patch_key=key)
        return key

    def prevented(self, dag: str, task: str, run: str, key: str, *, hours_ago: float) -> None:
        """A run that began with a promoted patch."""
        self._attempt(AttemptId(dag, run, task, -1, 1), hours_ago, GROWN, True, patch_key=key)

    def stopped(self, dag: str, task: str, run: str, *, hours_ago: float, mode: Mode = Mode.ACT) -> None:
        """An attempt that no retry can help."""
        made = decision(
            Action.STOP,
            "The input path s3a://lake/raw/customers/ds=2026-11-29 does not exist.",
            MISSING,
            DECLARED,
        )
        kept = recorded(made, mode, f"{_MISSING_LINE}\n")._replace(max_tries=3)
        self._attempt(AttemptId(dag, run, task, -1, 1), hours_ago, DECLARED, False, made=kept)

    def unclassified(self, dag: str, task: str, run: str, *, hours_ago: float) -> None:
        """An attempt whose failure no rule names."""
        made = decision(Action.LEAVE_ALONE, "No rule names this failure.", UNKNOWN, DECLARED)
        text = "com.acme.pricing.FeedException: feed <id> answered with state <n>"
        kept = recorded(made)._replace(max_tries=3, template=text, template_id="feed-state")
        self._attempt(AttemptId(dag, run, task, -1, 1), hours_ago, DECLARED, False, made=kept)

    def _attempt(
        self,
        attempt: AttemptId,
        hours_ago: float,
        conf: Conf,
        succeeded: bool,
        *,
        made: AttemptDecision | None = None,
        patch_key: str | None = None,
    ) -> None:
        started = self._now - timedelta(hours=hours_ago)
        seconds = 412.0 if succeeded else 221.0
        start = AttemptStart(
            attempt,
            baseline=DECLARED,
            effective=conf,
            operator="SparkSubmitOperator",
            started_at=started,
            patched=patch_key is not None,
            fingerprint="f" * 16,
            patch_key=patch_key,
            max_tries=3,
        )
        end = AttemptEnd(succeeded, started + timedelta(seconds=seconds), seconds, seconds * 6 * 3.4)
        self._store.record(
            attempt, start=start, decision=made, end=end, promotion=Promotion(PatchRules(), _promote)
        )


def fill(store: Store, *, days: int = 14) -> str:
    """A fortnight of a small fleet; the key of the patch that ``nightly_sales.join_orders`` begins with."""
    fleet = Fleet(store)
    for day in range(days, 0, -1):
        at, run = day * 24.0, f"scheduled__2026-11-{30 - day:02d}T02:00:00+00:00"
        if day % 3 == 0:
            fleet.stopped("customer_360", "load_customers", run, hours_ago=at)
        if day % 4 == 1:
            fleet.healed("finance", "ledger_close", run, hours_ago=at)
        if day % 5 == 2:
            fleet.unclassified("pricing", "fetch_feed", run, hours_ago=at)
        if day % 2 == 0:
            fleet.stopped("experiments", "train_ranker", run, hours_ago=at, mode=Mode.SHADOW)
    key = fleet.healed("nightly_sales", "join_orders", "scheduled__2026-11-28T02:00:00+00:00", hours_ago=50)
    fleet.prevented("nightly_sales", "join_orders", "scheduled__2026-11-29T02:00:00+00:00", key, hours_ago=26)
    fleet.prevented("nightly_sales", "join_orders", "scheduled__2026-11-30T02:00:00+00:00", key, hours_ago=2)
    fleet.stopped("nightly_sales", "load_customers", "scheduled__2026-11-30T02:00:00+00:00", hours_ago=2.2)
    return key


def _promote(what: str, record: TaskRecord) -> tuple[bool, str]:
    return True, "it healed the task"


__all__ = ["DECLARED", "GROWN", "HEAP", "Fleet", "fill"]
