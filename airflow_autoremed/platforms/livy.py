"""``LivyOperator`` of apache-airflow-providers-apache-livy: a batch that Livy submits.

The configuration is in ``spark_params``, part of it as arguments of Livy's REST API. Livy keeps the log of the batch,
the driver's output in client mode, and hands it out after the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.platforms.base import note_submitted, watch_hook
from airflow_autoremed.platforms.conf_with_arguments import ConfWithArguments
from airflow_autoremed.types import Source

_LINES_AT_ONCE = 2000
_MOST_LINES = 20_000
_BATCH_ID = re.compile(r"[Bb]atch (?:with id )?(\d+)\b")


class LivyPlatform(ConfWithArguments):
    """Read, write and ask about a ``LivyOperator``."""

    name = "livy"
    has_own_sizes = True
    run_attributes = ("_batch_id",)
    # POST /batches of Livy's REST API: what it takes beside conf.
    arguments: ClassVar[Mapping[str, str]] = {
        "spark.executor.memory": "executor_memory",
        "spark.driver.memory": "driver_memory",
        "spark.executor.cores": "executor_cores",
        "spark.driver.cores": "driver_cores",
        "spark.executor.instances": "num_executors",
    }
    counts = ("executor_cores", "driver_cores", "num_executors")

    def held(self, operator: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """All of it is in ``spark_params``."""
        return operator.spark_params.get("conf") or {}, operator.spark_params

    def hold(self, operator: Any, conf: dict[str, Any], arguments: dict[str, Any]) -> None:
        """In another ``spark_params``."""
        operator.spark_params = {**operator.spark_params, **arguments, "conf": conf}

    def job(self, operator: Any) -> dict[str, str]:
        """The application and its main class."""
        params = operator.spark_params
        return {name: str(params[name]) for name in ("file", "class_name") if params.get(name) is not None}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the batch that is posted is seen."""
        super().tap(operator, write)
        watch_hook(operator, "hook", "post_batch", lambda **batch: self._posted(operator, batch))

    def _posted(self, operator: Any, batch: Mapping[str, Any]) -> None:
        given = {key: batch[name] for key, name in self.arguments.items() if batch.get(name) is not None}
        note_submitted(operator, {**(batch.get("conf") or {}), **given})

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The end of the batch's log. A deferred task knows its batch from the exception alone."""
        batch = self.run_id(operator)
        if batch is None:
            found = _BATCH_ID.search(str(exception))
            if found is None:
                return
            batch = int(found[1])
        hook = operator.hook
        total = int(hook.get_batch_logs(batch, 0, 1).get("total") or _LINES_AT_ONCE)
        for start in range(max(0, total - _MOST_LINES), total, _LINES_AT_ONCE):
            lines = hook.get_batch_logs(batch, start, _LINES_AT_ONCE).get("log") or []
            if not lines:
                return
            yield Source.DRIVER_LOG, "\n".join(map(str, lines)) + "\n"

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """Delete the batch, as ``on_kill`` does."""
        if getattr(operator, "_batch_id", None) is None:
            return False
        announce()
        operator.on_kill()
        return True
