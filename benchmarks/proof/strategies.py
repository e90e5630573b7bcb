"""Ways of retrying. Each is asked after a failed try what the next one runs with; ``None`` is no further try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.remediation import pipeline
from airflow_autoremed.remediation.gates import Passage
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.sizes import MIB, format_bytes
from airflow_autoremed.types import (
    Action,
    AttemptId,
    Classification,
    Conf,
    Decision,
    FailedAttempt,
    Insight,
    Limits,
    Objective,
    PastAttempt,
    Predictor,
    Prices,
    RecordedAttempt,
    Source,
)
from benchmarks.proof.cluster import Outcome
from benchmarks.proof.jobs import LARGEST, Job

MOST_TRIES = 4
"""Of every strategy: the first and three retries."""
LIMITS = Limits(max_container_memory=LARGEST)


@dataclass(frozen=True)
class Tried:
    """One try of a strategy."""

    conf: Conf
    outcome: Outcome
    decision: Decision | None = None
    """What our pipeline said of it, where it was asked."""


class Strategy(Protocol):
    """A way of retrying."""

    name: str

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]: ...


@dataclass(frozen=True)
class Fixed:
    """A rule that does not look at the failure: the next configuration from the last one."""

    name: str
    grow: Callable[[Conf], Conf | None]

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]:
        return self.grow(tries[-1].conf), None


@dataclass(frozen=True)
class TimesTry:
    """The executors' heap that is declared, times the number of the try: ``memory = 8.GB * task.attempt`` in Nextflow,
    ``mem_mb=lambda wildcards, attempt: attempt * 8000`` in Snakemake."""

    name: str = "declared x try"

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]:
        heap = min((len(tries) + 1) * allocation.heap(job.declared, "executor"), int(LARGEST / 1.1))
        return {**job.declared, "spark.executor.memory": format_bytes(heap // MIB * MIB)}, None


@dataclass(frozen=True)
class PodAutoscaler:
    """Kubernetes' VerticalPodAutoscaler by its defaults: a container that was killed for its memory gets a fifth more,
    at least 100 MiB (``--oom-bump-up-ratio``, ``--oom-min-bump-up-bytes``). The heap of the JVM inside stays; what
    fails without a kill is repeated as it was."""

    name: str = "Kubernetes VPA"

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]:
        last = tries[-1]
        if not (job.container and last.outcome.killed):
            return last.conf, None
        container = allocation.container(last.conf, "executor")
        grown = min(max(1.2 * container, container + 100 * MIB), LARGEST)
        overhead = allocation.overhead(last.conf, "executor") + int(grown) - container
        return {**last.conf, "spark.executor.memoryOverhead": format_bytes(overhead // MIB * MIB)}, None


def double_executor(conf: Conf) -> Conf:
    """Twice the executors' heap, up to the largest container."""
    heap = min(2 * allocation.heap(conf, "executor"), int(LARGEST / 1.1))
    return {**conf, "spark.executor.memory": format_bytes(heap // MIB * MIB)}


def double_everything(conf: Conf) -> Conf:
    """Twice every memory of driver and executors: heap, overhead, Python and off-heap where they are used."""
    grown = dict(conf)
    for role in ("driver", "executor"):
        room = LARGEST / allocation.container(conf, role)  # type: ignore[arg-type]
        factor = min(2.0, room)
        sizes = {
            f"spark.{role}.memory": allocation.heap(conf, role),  # type: ignore[arg-type]
            f"spark.{role}.memoryOverhead": allocation.overhead(conf, role),  # type: ignore[arg-type]
        }
        if role == "executor":
            for key in ("spark.executor.pyspark.memory", "spark.memory.offHeap.size"):
                if size := allocation.value(conf, key):
                    sizes[key] = int(size)
        grown |= {key: format_bytes(int(size * factor) // MIB * MIB) for key, size in sizes.items()}
    return grown


@dataclass(frozen=True)
class ByException:
    """Airflow's own ``ExceptionRetryPolicy`` (3.3+) with the rules that a sensible author would write."""

    name: str = "ExceptionRetryPolicy"

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]:
        from airflow.sdk import RetryAction
        from airflow.sdk.exceptions import AirflowException

        # What the hook raises, whatever happened in Spark: an AirflowException.
        answer = _policy().evaluate(AirflowException(tries[-1].outcome.exception), len(tries), MOST_TRIES)
        return (None if answer.action is RetryAction.FAIL else tries[-1].conf), None


@cache
def _policy() -> Any:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    never = (
        "pyspark.errors.AnalysisException",
        "pyspark.errors.ParseException",
        "builtins.FileNotFoundError",
        "builtins.PermissionError",
        "builtins.ImportError",
        "builtins.KeyError",
        "builtins.ValueError",
        "builtins.ZeroDivisionError",
        "builtins.AssertionError",
    )
    again = ("builtins.ConnectionError", "builtins.TimeoutError", "urllib.error.HTTPError")
    return ExceptionRetryPolicy(
        rules=[
            *(RetryRule(exception=name, action=RetryAction.FAIL) for name in never),
            *(RetryRule(exception=name, action=RetryAction.RETRY) for name in again),
        ]
    )


Predictors = Callable[[Job], Predictor | None]
"""The model for a job: one that has not learned from it."""


@dataclass(frozen=True)
class Ours:
    """The pipeline of the plugin, told what the plugin would be told.

    :param read_log: whether it sees the log, or the exception's text alone.
    """

    name: str
    read_log: bool = True
    predictor: Predictors = field(default=lambda job: None)
    objective: Objective = field(default_factory=Objective)

    def next(self, job: Job, tries: Sequence[Tried]) -> tuple[Conf | None, Decision | None]:
        last = tries[-1]
        attempt = AttemptId("proof", "run", job.id, -1, len(tries))
        tap = LogTap(_catalogue)
        if self.read_log:
            with Path(last.outcome.log).open(errors="replace") as lines:
                for line in lines:
                    tap.write(line)
        failed = FailedAttempt(
            attempt,
            job.declared,
            last.conf,
            retries_left=MOST_TRIES - len(tries),
            history=tuple(_past(number, each) for number, each in enumerate(tries[:-1], start=1)),
            duration_s=last.outcome.duration_s,
        )
        more = [(Source.EXCEPTION, last.outcome.exception)]
        decision = pipeline.handle(
            failed, tap, more, LIMITS, Passage(), lambda cause: self._insight(job, tries, cause)
        )
        return (None if decision.action is Action.STOP else decision.conf), decision

    def _insight(self, job: Job, tries: Sequence[Tried], cause: Classification) -> Insight | None:
        if not (cause.memory_configuration or cause.category == "unknown"):
            return None
        predictor = self.predictor(job)
        if predictor is None:
            return None
        records = [recorded(job, number, each) for number, each in enumerate(tries, start=1)]
        return Insight(predictor, tuple(records[:-1]), records[-1], self.objective, Prices())


def recorded(job: Job, number: int, tried: Tried, run: str = "run") -> RecordedAttempt:
    """A try as the history would have it."""
    cause = tried.decision.classification.category if tried.decision else None
    return RecordedAttempt(
        AttemptId("proof", run, job.id, -1, number),
        float(number) * 600,
        job.declared,
        tried.conf,
        tried.outcome.succeeded,
        tried.outcome.duration_s,
        category=None if tried.outcome.succeeded else cause or "unknown",
        operator="SparkSubmitOperator",
        fingerprint=job.id,
    )


def _past(number: int, tried: Tried) -> PastAttempt:
    decision = tried.decision
    return PastAttempt(
        tried.conf,
        decision.classification.category if decision else None,
        tried.outcome.succeeded,
        tried.outcome.duration_s,
        number,
        remediated=decision is not None and decision.action is Action.REMEDIATE,
    )


@cache
def _catalogue() -> Any:
    from airflow_autoremed.failures.rules.loading import load_catalogue

    return load_catalogue()


def classify(outcome: Outcome) -> Classification:
    """What the rules say of a failed try."""
    tap = LogTap(_catalogue)
    with Path(outcome.log).open(errors="replace") as lines:
        for line in lines:
            tap.write(line)
    return tap.classify([(Source.EXCEPTION, outcome.exception)])


SIMPLE: Mapping[str, Strategy] = {
    each.name: each
    for each in (
        Fixed("no retry", lambda conf: None),
        Fixed("blind retry x3", lambda conf: conf),
        PodAutoscaler(),
        TimesTry(),
        Fixed("double executor memory", double_executor),
        Fixed("double everything", double_everything),
        ByException(),
        Ours("exception text alone", read_log=False),
        Ours("ours"),
    )
}
