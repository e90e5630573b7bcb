"""The categories of failures, with whether each is a memory-configuration failure and what a retry usually brings.

The package's copy of the project's taxonomy: a literal instead of a data file, because it is read at every
classification and never by a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_autoremed.types import UNKNOWN, Pool, Restartable, Side


@dataclass(frozen=True)
class Category:
    """One category of failures."""

    id: str
    memory_configuration: bool
    """A retry with another memory configuration is the cure."""
    usual_restartable: Restartable
    meaning: str

    @property
    def side(self) -> Side | None:
        """Which process it is about, where every failure of the category befalls the same."""
        if self.id in _OF_THE_DRIVER:
            return Side.DRIVER
        return next((side for side in Side if self.id.startswith(f"{side.value}_oom")), None)

    @property
    def pool(self) -> Pool | None:
        """Which memory ran out, where that is in its name."""
        return _POOLS.get(self.id.rpartition("_oom_")[2]) or _POOLS.get(self.id)


_OF_THE_DRIVER = ("driver_result_size", "broadcast_oom_or_timeout")
"""It collects the results, and the tables that are broadcast."""
_POOLS = {
    "heap": Pool.HEAP,
    "overhead": Pool.OVERHEAD,
    "python": Pool.PYTHON,
    "metaspace_oom": Pool.METASPACE,
    "direct_memory_oom": Pool.DIRECT,
    "stack_overflow": Pool.STACK,
}
_AS_IS, _CHANGED, _NO = Restartable.AS_IS, Restartable.WITH_CHANGES, Restartable.NO

CATEGORIES: dict[str, Category] = {
    category.id: category
    for category in (
        Category(
            "executor_oom_heap",
            True,
            _CHANGED,
            "JVM heap of an executor exhausted (Java heap space, GC overhead limit, Unable to acquire N bytes)",
        ),
        Category(
            "executor_oom_overhead",
            True,
            _CHANGED,
            "Executor container killed for exceeding its memory limit (YARN, Kubernetes OOMKilled, exit 137/143)",
        ),
        Category(
            "executor_oom_python", True, _CHANGED, "Python worker of an executor out of memory or killed"
        ),
        Category("driver_oom_heap", True, _CHANGED, "JVM heap of the driver exhausted"),
        Category(
            "driver_oom_overhead", True, _CHANGED, "Driver container killed for exceeding its memory limit"
        ),
        Category("driver_result_size", True, _CHANGED, "Results larger than spark.driver.maxResultSize"),
        Category(
            "broadcast_oom_or_timeout", True, _CHANGED, "Broadcast table too large, or broadcast timed out"
        ),
        Category("serializer_buffer", True, _CHANGED, "Kryo or RPC message buffer too small"),
        Category("metaspace_oom", True, _CHANGED, "JVM metaspace exhausted"),
        Category("direct_memory_oom", True, _CHANGED, "Direct (off-heap) buffers exhausted"),
        Category("stack_overflow", True, _CHANGED, "Thread stack exhausted by a deep plan or lineage"),
        Category(
            "memory_request_invalid",
            True,
            _CHANGED,
            "Requested memory is above what the cluster grants, or below Spark's minimum",
        ),
        Category(
            "shuffle_fetch_failure",
            False,
            _AS_IS,
            "Shuffle blocks could not be fetched (look for the cause of the lost executor first)",
        ),
        Category(
            "executor_lost_preempted",
            False,
            _AS_IS,
            "Executors lost to preemption, spot reclaim or node failure",
        ),
        Category("disk_full", False, _CHANGED, "No space left on a local or shuffle disk"),
        Category(
            "network_timeout",
            False,
            _AS_IS,
            "Connection reset, refused or timed out; heartbeat timeouts without a memory cause",
        ),
        Category("resource_unavailable", False, _AS_IS, "Queue full, no capacity, application not accepted"),
        Category("auth_permission", False, _NO, "Access denied, not authorised, Kerberos or role failure"),
        Category("credentials_expired", False, _NO, "Token or session expired"),
        Category("missing_data", False, _NO, "Path, table, partition or file not found"),
        Category("schema_or_analysis_error", False, _NO, "The query does not resolve or type-check"),
        Category("bad_data", False, _NO, "Corrupt file, malformed record, failed cast"),
        Category("user_code_error", False, _NO, "An exception of the job's own code"),
        Category("dependency_missing", False, _NO, "Class, module, method or jar missing or incompatible"),
        Category("metastore_or_catalog", False, _AS_IS, "Metastore or catalog unreachable or failing"),
        Category(
            "object_store_throttle", False, _AS_IS, "Object store slows requests down (503 SlowDown, 429)"
        ),
        Category("object_store_other", False, _AS_IS, "Any other object-store failure"),
        Category("jdbc_source_error", False, _NO, "A database read or written over JDBC refused the work"),
        Category(
            "concurrency_conflict",
            False,
            _AS_IS,
            "Commit conflict of a table format (Delta, Iceberg, Hudi), output already exists",
        ),
        Category(
            "submit_config_error",
            False,
            _NO,
            "Wrong arguments, master URL, main class or an invalid configuration value",
        ),
        Category("license_or_quota", False, _NO, "Account limit, licence or quota reached"),
        Category("internal_spark_bug", False, _NO, "A defect of Spark or of the platform's build"),
        Category(
            "interpreter_mismatch", False, _NO, "Python or Java versions differ between driver and executors"
        ),
        Category("timeout_killed", False, _AS_IS, "Killed for running longer than allowed"),
        Category("unknown", False, _AS_IS, "Unclassified: no rule applies"),
    )
}
"""Category id to category, in the order of the taxonomy."""


def is_memory_failure(category: str | None) -> bool:
    """Whether another memory configuration is the cure of a category; no for one that is not in the taxonomy."""
    known = CATEGORIES.get(category or UNKNOWN)
    return known is not None and known.memory_configuration
