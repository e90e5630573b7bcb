"""Operators that are opted in from the start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from airflow_autoremed.airflow.opt_in.attach import remediate
from airflow_autoremed.types import Mode


class RemediatedSparkSubmitOperator(SparkSubmitOperator):
    """A ``SparkSubmitOperator`` that heals itself on its retry.

    :param remediation_mode: ``act``, ``shadow`` or ``off``; default: the deployment's.
    :param remediation_limits: caps such as ``{"max_container_memory": "16g"}`` over the deployment's.
    :param remediation_stall_timeout: end an attempt that has made no progress for this long (``"15m"``, a
        ``timedelta``, or a number of seconds); default: the deployment's.
    :param remediation_retry_budget: retries beyond ``retries``, for failures that another configuration cures;
        default: the deployment's.
    :param remediation_objective: what a trained model's answers are weighed by, over the deployment's.

    Every other argument is the provider's.
    """

    def __init__(
        self,
        *,
        remediation_mode: str | Mode | None = None,
        remediation_limits: Mapping[str, Any] | None = None,
        remediation_stall_timeout: str | float | timedelta | None = None,
        remediation_retry_budget: int | None = None,
        remediation_objective: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.remediation_mode = remediation_mode
        self.remediation_limits = remediation_limits
        self.remediation_stall_timeout = remediation_stall_timeout
        self.remediation_retry_budget = remediation_retry_budget
        self.remediation_objective = remediation_objective
        remediate(
            self,
            mode=remediation_mode,
            limits=remediation_limits,
            stall_timeout=remediation_stall_timeout,
            retry_budget=remediation_retry_budget,
            objective=remediation_objective,
        )

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """For mapped tasks. The retries of a mapped task are read before any instance is made, so it is opted in here,
        too."""
        given = {name.removeprefix("remediation_"): kwargs.get(name) for name in _ARGUMENTS}
        return remediate(super().partial(**kwargs), **given)


_ARGUMENTS = (
    "remediation_mode",
    "remediation_limits",
    "remediation_stall_timeout",
    "remediation_retry_budget",
    "remediation_objective",
)
