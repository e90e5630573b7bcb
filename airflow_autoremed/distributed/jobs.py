"""The jobs, for a Spark session of whoever calls them; :mod:`airflow_autoremed.distributed.submit` is the script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_autoremed.learning.features import task_key
from airflow_autoremed.replay import Policy, Tally, describe
from airflow_autoremed.types import Objective, Predictor, Prices, RecordedAttempt, RunMetrics

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession

_LOGS_A_TASK = 8
"""Event logs that one Spark task reads: few, because they differ in size by orders of magnitude."""
_NOT_KEPT = ("conf",)

EXAMPLE_SCHEMA = (
    "features array<float>, failed boolean, log_duration double, usual_duration_s double, duration_s double, "
    "started_at double, group string, task string, template string, followed_memory_failure boolean"
)
_METRIC_TYPES = {"str": "string", "bool": "boolean", "int": "bigint", "float": "double"}


def event_log_metrics(spark: SparkSession, places: Sequence[str]) -> DataFrame:
    """One row for each event log under *places*: the fields of :class:`~airflow_autoremed.types.RunMetrics` but
    its configuration, and ``log`` (where it was read) and ``problem`` (why it could not be, else null)."""
    from airflow_autoremed.errors import EventLogError
    from airflow_autoremed.spark.event_log_files import find_event_logs

    problems: list[EventLogError] = []
    logs: list[Any] = []
    for each in find_event_logs(list(places)):
        if isinstance(each, EventLogError):
            problems.append(each)
        else:
            logs.append(each)
    context = spark.sparkContext
    rows = context.parallelize(logs, max(1, len(logs) // _LOGS_A_TASK)).map(_metrics_row)
    unreadable = context.parallelize([_row(None, "", str(each)) for each in problems], 1)
    return spark.createDataFrame(rows.union(unreadable), _metrics_schema())


def recorded_attempts(spark: SparkSession, export: str) -> RDD[RecordedAttempt]:
    """The attempts of a Parquet export (``autoremed db export``) whose end is known.

    :param export: its directory, anywhere that Spark can read.
    """
    attempts, decisions, outcomes, runs = (
        _as_text(spark.read.parquet(f"{export.rstrip('/')}/{name}.parquet"))
        for name in ("attempts", "decisions", "outcomes", "run_metrics")
    )
    joined = (
        attempts.where("effective is not null")
        .join(outcomes.select("key", "succeeded", "duration_s"), "key")
        .join(decisions.select("key", "category", "template_id"), "key", "left")
    )
    of_runs = runs.rdd.map(lambda row: (row.attempt_key, row)).groupByKey()
    return (
        joined.rdd.map(lambda row: (row.key, row))
        .leftOuterJoin(of_runs)
        .map(lambda pair: _attempt(pair[1][0], pair[1][1]))
    )


def training_examples(spark: SparkSession, export: str) -> DataFrame:
    """One row for each example that training learns from: :data:`EXAMPLE_SCHEMA`."""
    rows = _by_task(recorded_attempts(spark, export)).flatMap(_examples)
    return spark.createDataFrame(rows, EXAMPLE_SCHEMA)


def replayed(
    spark: SparkSession,
    export: str,
    policies: dict[str, Policy],
    *,
    prices: Prices,
    predictor: Predictor | None = None,
    objective: Objective | None = None,
    after: float = 0.0,
) -> dict[str, Tally]:
    """What each policy would have done: :func:`airflow_autoremed.replay.replay`, task by task on the executors."""
    judge = partial(
        _tallies, policies=policies, prices=prices, predictor=predictor, objective=objective, after=after
    )
    found = {name: Tally() for name in policies}
    for part in _by_task(recorded_attempts(spark, export)).map(judge).collect():
        for name, tally in part.items():
            found[name].add(tally)
    return found


def _by_task(records: RDD[RecordedAttempt]) -> RDD[list[RecordedAttempt]]:
    return records.map(lambda record: (task_key(record), record)).groupByKey().values().map(list)


def _tallies(records: list[RecordedAttempt], policies: dict[str, Policy], **told: Any) -> dict[str, Tally]:
    from airflow_autoremed.replay import of_task

    return of_task(records, policies, describe, **told)


def _examples(records: list[RecordedAttempt]) -> Iterator[tuple[Any, ...]]:
    from airflow_autoremed.learning.examples import Refused, of_task

    for each in of_task(records, Refused()):
        fields = asdict(each)
        fields["row"] = [float(value) for value in each.row]
        yield tuple(fields.values())


def _attempt(row: Any, runs: Iterable[Any] | None) -> RecordedAttempt:
    from airflow_autoremed.history.queries.run_metrics import run_of, with_runs
    from airflow_autoremed.history.queries.training_attempts import record

    ordered = sorted(runs or (), key=lambda each: (each.started_at or "", each.key))
    return with_runs(record(row), [run_of(each) for each in ordered])


def _as_text(frame: DataFrame) -> DataFrame:
    """Times as the store has them: texts in UTC."""
    from pyspark.sql import functions

    for name, kind in frame.dtypes:
        if kind.startswith("timestamp"):
            text = functions.date_format(functions.col(name), "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx")
            frame = frame.withColumn(name, text)
    return frame


def _metrics_row(log: Any) -> tuple[Any, ...]:
    from airflow_autoremed.errors import EventLogError
    from airflow_autoremed.ingestion.event_logs import measured

    try:
        return _row(measured(log), log.name, None)
    except EventLogError as error:
        return _row(None, log.name, str(error))


def _row(run: RunMetrics | None, log: str, problem: str | None) -> tuple[Any, ...]:
    return (*(None if run is None else getattr(run, name) for name, _ in _kept()), log, problem)


def _kept() -> list[tuple[str, str]]:
    from dataclasses import fields

    return [
        (each.name, _METRIC_TYPES[str(each.type).partition(" ")[0]])
        for each in fields(RunMetrics)
        if each.name not in _NOT_KEPT
    ]


def _metrics_schema() -> str:
    return ", ".join(
        f"`{name}` {kind}" for name, kind in (*_kept(), ("log", "string"), ("problem", "string"))
    )
