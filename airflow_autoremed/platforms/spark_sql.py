"""The other operators of apache-airflow-providers-apache-spark that run a process: ``SparkSqlOperator``,
``SparkJDBCOperator`` and ``SparkPipelinesOperator``. They keep what they are told in attributes of other names, and are read
as ``SparkSubmitOperator`` is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.errors import PrivateApiError
from airflow_autoremed.platforms.base import Later
from airflow_autoremed.platforms.spark_submit import FLAGS, SparkSubmitPlatform, tee_submit_log


class SparkSqlPlatform(SparkSubmitPlatform):
    """``SparkSqlOperator``: the ``spark-sql`` command. It takes no driver memory as an argument of its own. When a patch
    is written, ``conf`` as ``"k=v,k=v"`` becomes a mapping: a value with a comma would break the text."""

    name = "spark_sql"
    conf_attributes = ("_conf",)
    binary = "spark-sql"
    process_attribute = "_sp"

    def job(self, operator: Any) -> dict[str, str]:
        """The statement, or the file that holds it."""
        return {"sql": str(operator.sql)}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """The hook logs every line of the command and keeps none: its logger is listened to."""

        def listened(hook: Any) -> None:
            hook._log = _Listening(hook.log, write)

        self.tap_hook(operator, listened)

    def _mapping(self, holder: Any, conf: Any) -> Mapping[str, Any]:
        if not isinstance(conf, str):
            return super()._mapping(holder, conf)
        pairs = (part.partition("=") for part in conf.split(",") if part.strip())
        return {key.strip(): value for key, _, value in pairs}


class _Listening:
    """A logger that passes what is said with ``info`` on before it logs it."""

    def __init__(self, logger: logging.Logger, write: Callable[[str], None]) -> None:
        self._logger, self._write = logger, write

    def info(self, message: Any, *arguments: Any, **kwargs: Any) -> None:
        if not arguments:
            self._write(str(message))
        self._logger.info(message, *arguments, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


class SparkJDBCPlatform(SparkSubmitPlatform):
    """``SparkJDBCOperator``: spark-submit of a script of the provider's; its ``conf`` is called ``spark_conf``."""

    name = "spark_jdbc"
    conf_attributes = ("_spark_conf",)

    def job(self, operator: Any) -> dict[str, str]:
        """What is copied, and which way."""
        named = ("_cmd_type", "_jdbc_table", "_metastore_table")
        return {name.lstrip("_"): str(value) for name in named if (value := getattr(operator, name, None))}


class SparkPipelinesPlatform(SparkSubmitPlatform):
    """``SparkPipelinesOperator``: the ``spark-pipelines`` command. Its arguments are public attributes, its hook a cached
    property."""

    name = "spark_pipelines"
    arguments: ClassVar[Mapping[str, str]] = {
        key: attribute.lstrip("_") for key, attribute in FLAGS.items() if key != "spark.cores.max"
    }
    conf_attributes = ("conf",)
    hook_attribute = "hook"
    binary = "spark-pipelines"

    def job(self, operator: Any) -> dict[str, str]:
        """The pipeline's specification, and what is done with it."""
        return {"pipeline": str(operator.pipeline_spec), "command": str(operator.pipeline_command)}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """Tee the output of the command. The hook is made when it is first used: what OpenLineage adds to ``conf`` in
        ``execute`` has to be in it."""
        there = vars(operator).get("hook")
        if there is not None and type(there) is not Later:
            tee_submit_log(there, write)
            return
        make = getattr(getattr(type(operator), "hook", None), "func", None)
        if make is None:
            raise PrivateApiError(
                f"{type(operator).__name__}.hook is no cached property; its log cannot be tapped"
            )

        def build() -> Any:
            hook = make(operator)
            tee_submit_log(hook, write)
            return hook

        vars(operator)["hook"] = Later(build)

    def _hook_held(self, operator: Any) -> Any:
        there = vars(operator).get("hook")
        return there.made if type(there) is Later else there

    def _hold_hook(self, operator: Any, hook: Any) -> None:
        vars(operator).pop("hook", None)
        if hook is not None:
            vars(operator)["hook"] = hook
