"""``PySparkOperator`` and ``@task.pyspark`` of apache-airflow-providers-apache-spark: Spark in the worker's process.

The session is made from ``config_kwargs`` when the task runs and stopped when it ends. In the worker, Airflow runs each
try in a process of its own, so that the driver's JVM is new for every try; ``airflow dags test`` runs them in one,
where the JVM of the first try stays and takes no new driver memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_autoremed.platforms.base import Platform, flat

_OF_THE_DRIVERS_JVM = ("spark.driver.memory", "spark.driver.extraJavaOptions")


class PySparkPlatform(Platform):
    """Read and write a ``PySparkOperator``. Its log goes to the worker's own; the exception is the job's."""

    name = "pyspark"
    in_process = True

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``config_kwargs``: what the task declares over its connection."""
        return flat(operator.config_kwargs)

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in ``config_kwargs``."""
        operator.config_kwargs = {**operator.config_kwargs, **changes}

    def job(self, operator: Any) -> dict[str, str]:
        """The function."""
        function = operator.python_callable
        return {"function": f"{function.__module__}.{function.__qualname__}"}

    def renew(self, operator: Any) -> str | None:
        """A JVM that is there already keeps its memory: ``getOrCreate`` changes the settings of SQL alone."""
        import sys

        pyspark = sys.modules.get("pyspark")
        context = getattr(getattr(pyspark, "SparkContext", None), "_gateway", None)
        if context is None:
            return None
        return (
            "a JVM of an earlier try lives in this process and keeps its memory (airflow dags test runs all tries in "
            "one process; a worker does not)"
        )
