"""airflow-autoremed: Apache Airflow heals its own Spark jobs.

The public names are loaded on first use, so importing the package in a Dag file costs next to nothing::

    from airflow_autoremed import remediate

    remediate(SparkSubmitOperator(task_id="daily", application="job.py", retries=3))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_autoremed.airflow.opt_in.attach import remediate
    from airflow_autoremed.airflow.opt_in.callbacks import on_execute, on_failure, on_retry, on_success
    from airflow_autoremed.airflow.opt_in.operators import RemediatedSparkSubmitOperator
    from airflow_autoremed.airflow.opt_in.retry_policy import AutoRemediationPolicy
    from airflow_autoremed.airflow.training_operators import IngestHistoryOperator, TrainModelOperator

__version__ = "0.1.0"

_WHERE = {
    "remediate": "airflow_autoremed.airflow.opt_in.attach",
    "AutoRemediationPolicy": "airflow_autoremed.airflow.opt_in.retry_policy",
    "RemediatedSparkSubmitOperator": "airflow_autoremed.airflow.opt_in.operators",
    "IngestHistoryOperator": "airflow_autoremed.airflow.training_operators",
    "TrainModelOperator": "airflow_autoremed.airflow.training_operators",
    "on_execute": "airflow_autoremed.airflow.opt_in.callbacks",
    "on_failure": "airflow_autoremed.airflow.opt_in.callbacks",
    "on_retry": "airflow_autoremed.airflow.opt_in.callbacks",
    "on_success": "airflow_autoremed.airflow.opt_in.callbacks",
}

__all__ = [
    "AutoRemediationPolicy",
    "IngestHistoryOperator",
    "RemediatedSparkSubmitOperator",
    "TrainModelOperator",
    "__version__",
    "on_execute",
    "on_failure",
    "on_retry",
    "on_success",
    "remediate",
]


def __getattr__(name: str) -> Any:
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; the public names are {', '.join(__all__)}"
        ) from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
