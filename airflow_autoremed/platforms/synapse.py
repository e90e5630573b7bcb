"""``AzureSynapseRunSparkBatchOperator`` of apache-airflow-providers-microsoft-azure.

The batch is a ``SparkBatchJobOptions`` of the client library: sizes are fields of their own, the rest is
``configuration``. A Spark pool has nodes of one size; what is asked for has to fit on one (4 vCores and 28 GB on Small up to
80 and 504 on XXXLarge), which ``limits`` have to say: ``{"max_container_memory": "28g"}``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.platforms.conf_with_arguments import ConfWithArguments
from airflow_autoremed.types import Source


class SynapsePlatform(ConfWithArguments):
    """Read, write and ask about an ``AzureSynapseRunSparkBatchOperator``."""

    name = "synapse"
    has_own_sizes = True
    run_attributes = ("job_id",)
    # Fields of the payload.
    arguments: ClassVar[Mapping[str, str]] = {
        "spark.executor.memory": "executor_memory",
        "spark.driver.memory": "driver_memory",
        "spark.executor.cores": "executor_cores",
        "spark.driver.cores": "driver_cores",
        "spark.executor.instances": "executor_count",
    }
    counts = ("executor_cores", "driver_cores", "executor_count")
    prefers_arguments = True

    def held(self, operator: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """``configuration`` of the payload, and its fields."""
        given = {name: getattr(operator.payload, name, None) for name in self.arguments.values()}
        return operator.payload.configuration or {}, given

    def hold(self, operator: Any, conf: dict[str, Any], arguments: dict[str, Any]) -> None:
        """In a copy of the payload."""
        payload = copy.copy(operator.payload)
        for name, value in arguments.items():
            setattr(payload, name, value)
        payload.configuration = conf or payload.configuration
        operator.payload = payload

    def job(self, operator: Any) -> dict[str, str]:
        """The file and its main class."""
        named = ("file", "class_name")
        return {name: str(value) for name in named if (value := getattr(operator.payload, name, None))}

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The batch's errors and log lines."""
        job = self.run_id(operator)
        if job is None:
            found = re.search(r"[Jj]ob run (\d+)", str(exception))
            if found is None:
                return
            job = int(found[1])
        batch = operator.hook.get_conn().spark_batch.get_spark_batch_job(batch_id=job, detailed=True)
        for error in batch.errors or ():
            yield Source.PLATFORM, f"{error.error_code or ''} {error.message or ''}\n".lstrip()
        lines = [str(line) for line in batch.log_lines or ()]
        if lines:
            yield Source.DRIVER_LOG, "\n".join(lines) + "\n"

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """Cancel the batch, as ``on_kill`` does."""
        if not operator.job_id:
            return False
        announce()
        operator.on_kill()
        return True
