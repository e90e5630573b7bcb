"""One small file per operator family, and how the family of an operator is found.

Operators are recognised by the full name of their class or of a class they inherit from, so that looking one up
imports no provider. Others can add a family of theirs through the entry-point group ``airflow_autoremed.platforms``:
the name of the entry point is the full name of the operator's class, what it loads is a
:class:`~airflow_autoremed.platforms.base.Platform`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from airflow_autoremed.platforms.base import Platform

__all__ = ["Platform", "find_platform", "operator_names", "supported_operators"]

GROUP = "airflow_autoremed.platforms"

_FAMILIES = {
    "airflow.providers.apache.spark.operators.spark_submit.SparkSubmitOperator": (
        "spark_submit:SparkSubmitPlatform"
    ),
    "airflow.providers.apache.spark.operators.spark_sql.SparkSqlOperator": "spark_sql:SparkSqlPlatform",
    "airflow.providers.apache.spark.operators.spark_jdbc.SparkJDBCOperator": "spark_sql:SparkJDBCPlatform",
    "airflow.providers.apache.spark.operators.spark_pipelines.SparkPipelinesOperator": (
        "spark_sql:SparkPipelinesPlatform"
    ),
    "airflow.providers.apache.spark.operators.spark_pyspark.PySparkOperator": "pyspark:PySparkPlatform",
    "airflow.providers.apache.spark.decorators.pyspark._PySparkDecoratedOperator": "pyspark:PySparkPlatform",
    "airflow.providers.apache.livy.operators.livy.LivyOperator": "livy:LivyPlatform",
    "airflow.providers.amazon.aws.operators.emr.EmrAddStepsOperator": "emr:EmrStepsPlatform",
    "airflow.providers.amazon.aws.operators.emr.EmrServerlessStartJobOperator": "emr:EmrServerlessPlatform",
    "airflow.providers.amazon.aws.operators.emr.EmrContainerOperator": "emr:EmrContainerPlatform",
    "airflow.providers.amazon.aws.operators.glue.GlueJobOperator": "glue:GluePlatform",
    "airflow.providers.databricks.operators.databricks.DatabricksSubmitRunOperator": (
        "databricks:DatabricksSubmitRunPlatform"
    ),
    "airflow.providers.databricks.operators.databricks.DatabricksRunNowOperator": (
        "databricks:DatabricksRunNowPlatform"
    ),
    "airflow.providers.databricks.operators.databricks.DatabricksTaskBaseOperator": (
        "databricks:DatabricksTaskPlatform"
    ),
    "airflow.providers.cncf.kubernetes.operators.spark_kubernetes.SparkKubernetesOperator": (
        "spark_kubernetes:SparkKubernetesPlatform"
    ),
    "airflow.providers.microsoft.azure.operators.synapse.AzureSynapseRunSparkBatchOperator": (
        "synapse:SynapsePlatform"
    ),
    "airflow.providers.google.cloud.operators.dataproc.DataprocSubmitJobOperator": (
        "dataproc:DataprocJobPlatform"
    ),
    "airflow.providers.google.cloud.operators.dataproc.DataprocCreateBatchOperator": (
        "dataproc:DataprocBatchPlatform"
    ),
}
"""Full name of an operator's class to module and class of its adapter in this package."""


def supported_operators() -> tuple[str, ...]:
    """Class names of the operators that can be remediated, for messages."""
    return tuple(name.rpartition(".")[2] for name in (*_FAMILIES, *_others()))


def operator_names() -> tuple[str, ...]:
    """Full names of the classes of the operators that can be remediated, without those of other packages, which
    take a look at every installed package to find."""
    return tuple(_FAMILIES)


def find_platform(operator: Any) -> Platform | None:
    """The platform of an operator instance or (for a mapped task) class; ``None`` when it launches no Spark."""
    operator_class = operator if isinstance(operator, type) else type(operator)
    names = [f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in operator_class.__mro__]
    for name in names:
        if name in _FAMILIES:
            return _ours(_FAMILIES[name])
    others = _others()
    for name in names:
        if name in others:
            return _theirs(others[name])
    return None


@lru_cache
def _ours(where: str) -> Platform:
    module, _, name = where.partition(":")
    platform: Platform = getattr(import_module(f"{__name__}.{module}"), name)()
    return platform


@lru_cache
def _theirs(entry: EntryPoint) -> Platform:
    """The adapter of somebody else.

    :raises TypeError: when it is none.
    """
    made = entry.load()
    platform = made() if isinstance(made, type) else made
    if not isinstance(platform, Platform):
        raise TypeError(
            f"the entry point {entry.name} = {entry.value} of the group {GROUP} is a {type(platform).__name__}; "
            "it has to load a subclass of airflow_autoremed.platforms.Platform"
        )
    return platform


@lru_cache(maxsize=1)
def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
