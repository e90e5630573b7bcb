"""``LivyOperator`` of apache-airflow-providers-apache-livy: a batch that Livy submits.

The configuration is in ``spark_params``, part of it as arguments of Livy's REST API. Livy keeps the log of the batch,
the driver's output in client mode, and hands it out after the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_autoremed.platforms.base import (
    Platform,
    flat,
    note_submissions,
    text,
    took_up_an_old_run,
)
from airflow_autoremed.types import Source

# POST /batches of Livy's REST API: what it takes beside conf.
_ARGUMENTS = {
    "spark.executor.memory": "executor_memory",
    "spark.driver.memory": "driver_memory",
    "spark.executor.cores": "executor_cores",
    "spark.driver.cores": "driver_cores",
    "spark.executor.instances": "num_executors",
}
_COUNTS = ("executor_cores", "driver_cores", "num_executors")
"""Arguments that Livy takes as numbers."""
_LINES_AT_ONCE = 2000
_MOST_LINES = 20_000
_BATCH_ID = re.compile(r"[Bb]atch (?:with id )?(\d+)\b")


class LivyPlatform(Platform):
    """Read, write and ask about a ``LivyOperator``."""

    name = "livy"

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Declared conf, with the resource arguments (``executor_memory=...``) under their Spark keys."""
        params = operator.spark_params
        conf = flat(params.get("conf"))
        for key, argument in _ARGUMENTS.items():
            if params.get(argument) is not None:
                conf[key] = text(params[argument])
        return conf

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* where the author set the same key: as an argument, in ``conf``, or in both."""
        params = dict(operator.spark_params)
        conf = dict(params.get("conf") or {})
        for key, value in changes.items():
            argument = _ARGUMENTS.get(key)
            if argument is not None and params.get(argument) is not None:
                params[argument] = int(value) if argument in _COUNTS else value
                if key not in conf:
                    continue
            conf[key] = value
        operator.spark_params = {**params, "conf": conf}

    def job(self, operator: Any) -> dict[str, str]:
        """The application and its main class."""
        params = operator.spark_params
        return {name: str(params[name]) for name in ("file", "class_name") if params.get(name) is not None}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but a try that waits may take up the batch of an earlier one, which has to be noticed."""
        note_submissions(operator)

    def reconnected(self, operator: Any) -> bool:
        """Since provider 4.6, a waiting operator goes on with a batch that an earlier try began."""
        return took_up_an_old_run(operator, getattr(operator, "_batch_id", None))

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The end of the batch's log. A deferred task knows its batch from the exception alone."""
        batch = getattr(operator, "_batch_id", None)
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
