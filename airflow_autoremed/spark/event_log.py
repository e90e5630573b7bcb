"""What a Spark event log says about a run: one pass, in memory that does not grow with the log.

The events are JSON, one a line, as ``org.apache.spark.util.JsonProtocol`` writes them (2.4 to 4.1). Lines of events
that tell nothing about resources (queries' plans, blocks, starts of tasks) are most of the bytes of many logs; they
are told by their first characters and not parsed.

:class:`RunReader` is the logic for a record; :func:`read_event_log` feeds it from one log, wherever that is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_autoremed.errors import EventLogError
from airflow_autoremed.spark.event_log_files import EventLog, Lines
from airflow_autoremed.spark.event_log_tallies import Containers, Peaks, Skew
from airflow_autoremed.spark.keys import PATCHABLE, sized_flags
from airflow_autoremed.types import RunMetrics

__all__ = ["EventLog", "RunReader", "kept_value", "read_event_log"]

_MAX_REASON = 4000
"""Characters of a reason: more than are stored, because secrets are masked in it before it is cut."""
MAX_PARSED = 8 * 1024**2
"""Bytes of an event that is parsed: parsed, it takes up to thirty times its size. The events whose content counts are a
few KiB; the plan of a query is larger, and is not parsed."""

_KEPT_KEYS = frozenset(
    (
        "spark.app.name",
        "spark.master",
        "spark.submit.deployMode",
        "spark.driver.cores",
        "spark.dynamicAllocation.enabled",
        "spark.dynamicAllocation.minExecutors",
        "spark.dynamicAllocation.initialExecutors",
        "spark.openlineage.parentJobName",
        "spark.openlineage.parentJobNamespace",
        "spark.openlineage.parentRunId",
        *(
            f"spark.kubernetes.driver.label.{name}"
            for name in ("dag_id", "task_id", "run_id", "try_number", "map_index")
        ),
        "spark.speculation",
        *(
            f"spark.{whose}.{name}"
            for whose in ("autoremed", "airflow")
            for name in ("dag_id", "task_id", "run_id", "try_number", "map_index")
        ),
    )
)
_MAX_VALUE = 2000
"""Characters of a value."""

_ATTEMPT_FAILED = frozenset(("TaskKilled", "TaskCommitDenied", "Resubmitted"))
"""Reasons of task ends that are neither success nor failure: ``TaskFailedReason.countTowardsTaskFailures``."""


class RunReader:
    """Takes the events of one application, in the order in which they were written, and sums them up.

    Events that are missing, of other versions, or of unexpected shape leave their part of the sum out.
    """

    def __init__(self) -> None:
        self.events = 0
        """Events that were recognised."""
        self.odd = 0
        """Events of a known name but a shape that cannot be understood."""
        self._metrics = RunMetrics()
        self._peaks = Peaks()
        self._skew = Skew()
        self._containers = Containers()
        self._counts = dict.fromkeys(_SUMS, 0)
        self._run_ms = 0.0
        self._gc_ms = 0.0
        self._task_ms = 0.0
        self._cpu_ns = 0.0
        self._execution = 0
        self._last_ms: float | None = None

    def feed_line(self, line: bytes) -> bool:
        """Take one line; whether it is an event's (one that is of no use included)."""
        name = _event_name(line)
        if name is not None and name not in _HANDLERS and name not in _COUNTED:
            self.events += name.startswith(("SparkListener", "org.apache.spark."))
            return True
        if name == "SparkListenerJobStart":  # the plans of its stages make it large, and it is only counted
            self.events += 1
            self._counts["jobs"] += 1
            return line.rstrip().endswith(b"}")
        if len(line) > MAX_PARSED:
            return False
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(event, dict) or not isinstance(event.get("Event"), str):
            return False
        self.feed(event)
        return True

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take one event, parsed."""
        name = event.get("Event")
        if name == "SparkListenerJobStart":
            self.events += 1
            self._counts["jobs"] += 1
            return
        handler = _HANDLERS.get(str(name))
        if handler is None:
            return
        self.events += 1
        try:
            handler(self, event)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            self.odd += 1

    @property
    def knows_application(self) -> bool:
        """Whether any event told which application it is, or of which Spark."""
        metrics = self._metrics
        return (metrics.app_id or metrics.app_name or metrics.spark_version) is not None

    def result(self, *, complete: bool = True) -> RunMetrics:
        """The sum of what was fed so far.

        :param complete: whether nothing of the log was missing.
        """
        metrics = self._metrics
        ended_at = metrics.ended_at if metrics.ended else _seconds(self._last_ms)
        if ended_at is not None and metrics.started_at is not None:
            ended_at = max(ended_at, metrics.started_at)
        held = self._containers.sum_up(metrics.conf, metrics.started_at, ended_at)
        sums: dict[str, Any] = {**self._counts, **self._peaks.results(metrics.conf)}
        return replace(
            metrics,
            **sums,
            ended_at=ended_at,
            complete=complete and metrics.ended and not self.odd,
            task_seconds=self._task_ms / 1e3,
            cpu_seconds=self._cpu_ns / 1e9,
            gc_share=min(1.0, self._gc_ms / self._run_ms) if self._run_ms > 0 else None,
            skew=self._skew.largest(),
            peak_execution=self._execution or None,
            executors_added=self._containers.added,
            executors_lost=self._containers.lost,
            most_executors=self._containers.most,
            executor_loss=self._containers.last_loss,
            executor_seconds=held.executor_seconds,
            core_seconds=held.core_seconds,
            gib_seconds=held.gib_seconds,
        )

    # ------------------------------------------------------------------------------------------------ application

    def _log_start(self, event: Mapping[str, Any]) -> None:
        self._metrics = replace(self._metrics, spark_version=_text(event.get("Spark Version")))

    def _application_start(self, event: Mapping[str, Any]) -> None:
        started = _moment(event.get("Timestamp"))
        self._saw(started)
        self._metrics = replace(
            self._metrics,
            app_id=_text(event.get("App ID")),
            app_name=_text(event.get("App Name")),
            attempt_id=_text(event.get("App Attempt ID")),
            user=_text(event.get("User")),
            started_at=_seconds(started),
        )

    def _application_end(self, event: Mapping[str, Any]) -> None:
        ended = _moment(event.get("Timestamp"))
        self._saw(ended)
        self._metrics = replace(self._metrics, ended=True, ended_at=_seconds(ended))

    def _environment(self, event: Mapping[str, Any]) -> None:
        properties = event["Spark Properties"]
        # A JSON object to Spark; pairs in logs that went through some tools.
        pairs = properties.items() if isinstance(properties, Mapping) else properties
        conf = {}
        for key, value in pairs:
            kept = kept_value(key, str(value))
            if kept:
                conf[key] = kept
        self._metrics = replace(self._metrics, conf=conf)

    # ------------------------------------------------------------------------------------------------------- jobs

    def _job_end(self, event: Mapping[str, Any]) -> None:
        self._saw(_moment(event.get("Completion Time")))
        result = event["Job Result"]
        if result.get("Result") == "JobSucceeded":
            return
        self._counts["failed_jobs"] += 1
        exception = result.get("Exception") or {}
        self._fail(exception.get("Message"))

    def _sql_end(self, event: Mapping[str, Any]) -> None:
        self._saw(_moment(event.get("time")))
        self._fail(event.get("errorMessage"))  # since 3.4; empty where the query succeeded

    def _fail(self, reason: Any) -> None:
        if isinstance(reason, str) and reason.strip():
            self._metrics = replace(self._metrics, failure=_clip(reason.strip(), _MAX_REASON))

    # ------------------------------------------------------------------------------------------- stages and tasks

    def _stage_completed(self, event: Mapping[str, Any]) -> None:
        info = event["Stage Info"]
        self._saw(_moment(info.get("Completion Time")))
        self._counts["stages"] += 1
        if info.get("Failure Reason"):
            self._counts["failed_stages"] += 1
        self._skew.close((int(info["Stage ID"]), int(info.get("Stage Attempt ID", 0))))

    def _stage_metrics(self, event: Mapping[str, Any]) -> None:
        self._peaks.take(str(event["Executor ID"]), event["Executor Metrics"])

    def _executor_metrics(self, event: Mapping[str, Any]) -> None:
        for update in event.get("Executor Metrics Updated") or ():
            self._peaks.take(str(event["Executor ID"]), update.get("Executor Metrics") or {})

    def _task_end(self, event: Mapping[str, Any]) -> None:
        info = event["Task Info"]
        launched, finished = _moment(info.get("Launch Time")), _moment(info.get("Finish Time"))
        self._saw(finished)
        self._counts["tasks"] += 1
        reason = event.get("Task End Reason") or {}
        why = reason.get("Reason")
        succeeded = why == "Success"
        if not succeeded and why not in _ATTEMPT_FAILED:
            self._counts["failed_tasks"] += 1
            self._metrics = replace(self._metrics, task_failure=_task_failure(reason))
        if launched is not None and finished is not None and finished >= launched:
            self._task_ms += finished - launched
            if succeeded:
                stage = (int(event["Stage ID"]), int(event.get("Stage Attempt ID", 0)))
                self._skew.take(stage, finished - launched)
        executor = event.get("Task Executor Metrics")  # since 3.0
        if executor:
            self._peaks.take(str(info.get("Executor ID")), executor, runs_tasks=True)
        metrics = event.get("Task Metrics")
        if metrics:
            self._sum_task(metrics)

    def _sum_task(self, metrics: Mapping[str, Any]) -> None:
        counts = self._counts
        self._run_ms += _number(metrics, "Executor Run Time")
        self._gc_ms += _number(metrics, "JVM GC Time")
        self._cpu_ns += _number(metrics, "Executor CPU Time") + _number(
            metrics, "Executor Deserialize CPU Time"
        )
        counts["result_bytes"] += _number(metrics, "Result Size")
        counts["memory_spilled"] += _number(metrics, "Memory Bytes Spilled")
        counts["disk_spilled"] += _number(metrics, "Disk Bytes Spilled")
        self._execution = max(self._execution, _number(metrics, "Peak Execution Memory"))
        read = metrics.get("Input Metrics") or {}
        counts["input_bytes"] += _number(read, "Bytes Read")
        counts["input_records"] += _number(read, "Records Read")
        counts["output_bytes"] += _number(metrics.get("Output Metrics") or {}, "Bytes Written")
        fetched = metrics.get("Shuffle Read Metrics") or {}
        counts["shuffle_read_bytes"] += _number(fetched, "Remote Bytes Read") + _number(
            fetched, "Local Bytes Read"
        )
        written = metrics.get("Shuffle Write Metrics") or {}
        counts["shuffle_write_bytes"] += _number(written, "Shuffle Bytes Written")

    # -------------------------------------------------------------------------------------------------- executors

    def _profile_added(self, event: Mapping[str, Any]) -> None:
        self._containers.profile(event["Resource Profile Id"], event.get("Executor Resource Requests") or {})

    def _executor_added(self, event: Mapping[str, Any]) -> None:
        moment = _moment(event.get("Timestamp"))
        self._saw(moment)
        info = event.get("Executor Info") or {}
        self._containers.add(
            str(event["Executor ID"]),
            moment,
            cores=_number(info, "Total Cores") or None,
            profile=info.get("Resource Profile Id", 0),
        )

    def _executor_removed(self, event: Mapping[str, Any]) -> None:
        moment = _moment(event.get("Timestamp"))
        self._saw(moment)
        reason = _clip(str(event.get("Removed Reason") or ""), _MAX_REASON)
        self._containers.remove(str(event["Executor ID"]), moment, reason)

    def _saw(self, moment_ms: float | None) -> None:
        if moment_ms is not None and (self._last_ms is None or moment_ms > self._last_ms):
            self._last_ms = moment_ms


_SUMS = (
    "jobs",
    "failed_jobs",
    "stages",
    "failed_stages",
    "tasks",
    "failed_tasks",
    "memory_spilled",
    "disk_spilled",
    "input_bytes",
    "input_records",
    "output_bytes",
    "shuffle_read_bytes",
    "shuffle_write_bytes",
    "result_bytes",
)

_Handler = Callable[[RunReader, Mapping[str, Any]], None]
_HANDLERS: Mapping[str, _Handler] = {
    "SparkListenerLogStart": RunReader._log_start,
    "SparkListenerApplicationStart": RunReader._application_start,
    "SparkListenerApplicationEnd": RunReader._application_end,
    "SparkListenerEnvironmentUpdate": RunReader._environment,
    "SparkListenerJobEnd": RunReader._job_end,
    "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd": RunReader._sql_end,
    "SparkListenerStageCompleted": RunReader._stage_completed,
    "SparkListenerStageExecutorMetrics": RunReader._stage_metrics,
    "SparkListenerExecutorMetricsUpdate": RunReader._executor_metrics,
    "SparkListenerTaskEnd": RunReader._task_end,
    "SparkListenerResourceProfileAdded": RunReader._profile_added,
    "SparkListenerExecutorAdded": RunReader._executor_added,
    "SparkListenerExecutorRemoved": RunReader._executor_removed,
}
_COUNTED = frozenset(("SparkListenerJobStart",))

_BEGINNING = b'{"Event":"'


def read_event_log(log: EventLog, on_bytes: Callable[[int], None] | None = None) -> RunMetrics:
    """What *log* says.

    :param on_bytes: told of each block that was read, with its number of (compressed) bytes.
    :raises EventLogError: when nothing of it can be read, or it is no event log; says which, and why.
    """
    reader = RunReader()
    lines = Lines(log, on_bytes)
    unread = _feed(reader, lines)
    if not reader.events or not reader.knows_application:
        raise EventLogError(
            f"{log.name} is no event log of Spark: {lines.problem or 'its lines are no events'}"
        )
    return reader.result(complete=not unread and not lines.problem)


def _feed(reader: RunReader, lines: Iterable[bytes]) -> int:
    """Feed all of *lines*; how many of them are no events (the last one of a killed driver's log is cut)."""
    return sum(1 for line in lines if line.strip() and not reader.feed_line(line))


def _event_name(line: bytes) -> str | None:
    """The event's name by the first characters; ``None`` where a parser has to look."""
    if not line.startswith(_BEGINNING):
        return None
    end = line.find(b'"', len(_BEGINNING), len(_BEGINNING) + 200)
    return line[len(_BEGINNING) : end].decode("ascii", errors="replace") if end > 0 else None


def kept_value(key: str, value: str) -> str:
    """What is kept of a setting; empty: nothing. Of JVM options the sizes: others are many, and may hold secrets."""
    if key in PATCHABLE and PATCHABLE[key].kind == "jvm_flags":
        value = " ".join(sized_flags(value))
    elif key not in PATCHABLE and key not in _KEPT_KEYS:
        return ""
    return _clip(value, _MAX_VALUE)


def _task_failure(reason: Mapping[str, Any]) -> str:
    """The reason of a failed task in one text, most telling first."""
    kind = str(reason.get("Reason"))
    parts = [kind]
    if reason.get("Class Name"):
        parts = [f"{reason['Class Name']}: {reason.get('Description') or ''}"]
    elif reason.get("Loss Reason"):
        parts = [f"{kind}: {reason['Loss Reason']}"]
    elif reason.get("Message"):
        parts = [f"{kind}: {reason['Message']}"]
    return _clip(parts[0].strip(), _MAX_REASON)


def _number(values: Mapping[str, Any], name: str) -> int:
    """A count that is not below zero; 0 where it is absent or nonsense."""
    value = values.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**63:
        return 0
    return int(value)


def _moment(value: Any) -> float | None:
    """Milliseconds since 1970; ``None`` for what Spark writes where there is none (-1, 0) and for nonsense."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e14:
        return None
    return float(value)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3


def _text(value: Any) -> str | None:
    return _clip(value, _MAX_VALUE) if isinstance(value, str) and value else None


def _clip(text: str, most: int) -> str:
    """*text*, shortened, and without what no database and no terminal can hold: NUL and the like, lone surrogates."""
    if len(text) > most:
        text = text[: most - 4] + " ..."
    return text if text.isprintable() else _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
