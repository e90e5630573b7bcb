"""``AzureSynapseRunSparkBatchOperator`` of apache-airflow-providers-microsoft-azure.

The batch is a ``SparkBatchJobOptions`` of the client library: sizes are fields of their own, the rest is
``configuration``. A Spark pool has nodes of one size; what is asked for has to fit on one (4 vCores and 28 GB on Small up to
80 and 504 on XXXLarge), which ``limits`` have to say: ``{"max_container_memory": "28g"}``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_autoremed.platforms.base import Platform, flat, text
from airflow_autoremed.types import Source

_FIELDS = {
    "spark.executor.memory": "executor_memory",
    "spark.driver.memory": "driver_memory",
    "spark.executor.cores": "executor_cores",
    "spark.driver.cores": "driver_cores",
    "spark.executor.instances": "executor_count",
}
_COUNTS = ("executor_cores", "driver_cores", "executor_count")


class SynapsePlatform(Platform):
    """Read, write and ask about an ``AzureSynapseRunSparkBatchOperator``."""

    name = "synapse"

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``configuration``, with the sizes under their Spark keys."""
        conf = flat(operator.payload.configuration)
        for key, name in _FIELDS.items():
            value = getattr(operator.payload, name, None)
            if value is not None:
                conf[key] = text(value)
        return conf

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in a copy of the payload: in the field where there is one, else in ``configuration``."""
        payload = copy.copy(operator.payload)
        conf = dict(payload.configuration or {})
        for key, value in changes.items():
            name = _FIELDS.get(key)
            if name is not None:
                setattr(payload, name, int(value) if name in _COUNTS else value)
                if key not in conf:
                    continue
            conf[key] = value
        payload.configuration = conf or payload.configuration
        operator.payload = payload

    def job(self, operator: Any) -> dict[str, str]:
        """The file and its main class."""
        named = ("file", "class_name")
        return {name: str(value) for name in named if (value := getattr(operator.payload, name, None))}

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The batch's errors and log lines."""
        job = operator.job_id
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
