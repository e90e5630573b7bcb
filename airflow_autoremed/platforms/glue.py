"""``GlueJobOperator`` of apache-airflow-providers-amazon.

On Glue the memory of executors and driver follows from the worker type, not from Spark's settings: those are read from,
and written to, ``WorkerType`` in ``run_job_kwargs``. Every other setting goes to the job argument ``--conf``, one text in
which further ones are chained as ``k=v --conf k=v``.

Heap of an executor per worker type: AWS's page "Defining job properties" gives memory per worker (16, 32, 64, 128 GB);
Glue gives the heap ``spark.executor.memory`` of 10 and 20 GB on G.1X and G.2X. For the larger types the same share is
taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_autoremed.platforms import arguments
from airflow_autoremed.platforms.aws import client_of, watch_start
from airflow_autoremed.platforms.base import Platform
from airflow_autoremed.spark.sizes import GIB, parse_bytes
from airflow_autoremed.types import Source

_HEAPS = {"G.1X": 10, "G.2X": 20, "G.4X": 40, "G.8X": 80}
"""Worker type to GiB of heap, ascending."""
_MEMORY = ("spark.executor.memory", "spark.driver.memory")
_IGNORED = ("spark.executor.memoryOverhead", "spark.driver.memoryOverhead", "spark.executor.pyspark.memory")
"""Glue sets these by the worker type: more of them, too, is a larger worker."""
_LINES = 5_000
_GROUPS = ("/aws-glue/jobs/error", "/aws-glue/jobs/logs-v2", "/aws-glue/jobs/output")


class GluePlatform(Platform):
    """Read, write and ask about a ``GlueJobOperator``."""

    name = "glue"
    has_own_sizes = True
    run_attributes = ("_job_run_id",)

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``--conf``, and the heap that the worker type stands for."""
        conf = arguments.read(self._words(operator))
        heap = self._heap(operator)
        if heap is not None:
            conf |= dict.fromkeys(_MEMORY, f"{heap}g")
        return conf

    def unseen(self, operator: Any) -> frozenset[str]:
        """Where the worker type is known, memory is: more of any is a larger worker."""
        known = (*_MEMORY, *_IGNORED) if self._heap(operator) is not None else ()
        return super().unseen(operator) - set(known)

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """The next worker type with as much memory as *changes* ask for; the rest to ``--conf``."""
        declared = operator.run_job_kwargs or {}
        heap = self._heap(operator)
        left = dict(changes)
        if heap is not None:
            wanted = max(
                (parse_bytes(changes[key], "m") / GIB for key in _MEMORY if key in changes), default=0
            )
            if any(key in changes for key in _IGNORED):
                wanted = max(wanted, heap + 1)
            larger = next(
                (name for name, size in _HEAPS.items() if size >= wanted), max(_HEAPS, key=_HEAPS.__getitem__)
            )
            if _HEAPS[larger] > heap:
                operator.run_job_kwargs = {**declared, "WorkerType": larger}
            left = {key: value for key, value in changes.items() if key not in (*_MEMORY, *_IGNORED)}
        if left:
            words = arguments.write(self._words(operator), left)
            operator.script_args = {
                **(operator.script_args or {}),
                "--conf": " ".join(words).removeprefix("--conf "),
            }

    def job(self, operator: Any) -> dict[str, str]:
        """The job's name and script."""
        return {"job": str(operator.job_name), "script": str(operator.script_location)}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the run that is started is seen."""
        super().tap(operator, write)
        watch_start(operator, "StartJobRun", _conf_of_call)

    def own_retries(self, operator: Any) -> str | None:
        """``MaxRetries`` of the job, as far as the operator sets it."""
        most = operator.retry_limit or (operator.create_job_kwargs or {}).get("MaxRetries")
        if not most:
            return None
        return f"Glue itself runs a failed job up to {most} times again, with the same configuration."

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The run's error message, and the end of its logs in CloudWatch."""
        run_id = self.run_id(operator) or _run_id(str(exception))
        if not run_id:
            return
        run = operator.hook.conn.get_job_run(JobName=operator.job_name, RunId=run_id)["JobRun"]
        if run.get("ErrorMessage"):
            yield Source.PLATFORM, f"{run['ErrorMessage']}\n"
        logs = client_of(operator.hook, "logs")
        for group in dict.fromkeys(
            (*([run["LogGroupName"] + "/error"] if run.get("LogGroupName") else []), *_GROUPS)
        ):
            try:
                events = logs.get_log_events(
                    logGroupName=group, logStreamName=run_id, limit=_LINES, startFromHead=False
                )["events"]
            except logs.exceptions.ClientError:
                continue
            if events:
                yield (
                    Source.DRIVER_LOG,
                    "\n".join(str(event["message"]).rstrip("\n") for event in events) + "\n",
                )

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """Stop the run, as ``on_kill`` does where the author has asked for it."""
        if not operator._job_run_id or not operator.stop_job_run_on_kill:
            return False
        announce()
        operator.on_kill()
        return True

    @staticmethod
    def _heap(operator: Any) -> int | None:
        return _HEAPS.get(str((operator.run_job_kwargs or {}).get("WorkerType")))

    @staticmethod
    def _words(operator: Any) -> list[str]:
        return _words(operator.script_args)


def _words(script_args: Mapping[str, Any] | None) -> list[str]:
    text = str((script_args or {}).get("--conf") or "")
    return ["--conf", *text.split()] if text else []


def _conf_of_call(call: Mapping[str, Any]) -> dict[str, str]:
    heap = _HEAPS.get(str(call.get("WorkerType")))
    sizes = {} if heap is None else dict.fromkeys(_MEMORY, f"{heap}g")
    return {**arguments.read(_words(call.get("Arguments"))), **sizes}


def _run_id(text: str) -> str | None:
    """Of a deferred try, of which the exception alone is left: Glue's ids begin with ``jr_``."""
    at = text.find("jr_")
    if at < 0:
        return None
    end = at
    while end < len(text) and (text[end].isalnum() or text[end] in "_-"):
        end += 1
    return text[at:end]
