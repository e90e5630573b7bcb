"""The history as Parquet files. Imports SQLAlchemy, and pyarrow, which is an extra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, Table, func, select
from sqlalchemy.sql import Select

from airflow_autoremed import atomic_file
from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import encoding, schema, schema_version
from airflow_autoremed.history.db.engine import Database
from airflow_autoremed.history.db.run_metrics_table import run_metrics

CHUNK = 2000
"""Rows that are read and written at once. A row with all its texts full is of about 400 KB; one of a usual
attempt or decision of about 2 KB."""


@dataclass(frozen=True)
class _Part:
    """A table to be written, and how the deployment that a row belongs to is found."""

    table: Table
    through: Table
    """The table that names the deployment; its key is *link* of *table*."""
    link: Column[Any]

    @property
    def name(self) -> str:
        return self.table.name.removeprefix("autoremed_")


_PARTS = (
    _Part(schema.attempts, schema.attempts, schema.attempts.c.key),
    _Part(schema.decisions, schema.attempts, schema.decisions.c.key),
    _Part(schema.outcomes, schema.attempts, schema.outcomes.c.key),
    _Part(schema.patches, schema.patches, schema.patches.c.key),
    _Part(schema.patch_changes, schema.patches, schema.patch_changes.c.patch_key),
    _Part(run_metrics, run_metrics, run_metrics.c.key),
)


@dataclass(frozen=True)
class Progress:
    """How far the export is."""

    table: str
    rows: int
    of: int


def export(
    database: Database,
    deployment: str,
    directory: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[Path, int]:
    """Write the history of *deployment* to *directory*: one Parquet file per table, which replaces a former one.

    Rows are written as they are stored: what was masked then is masked here. Times become timestamps in UTC; what
    is JSON stays JSON text. The files are readable by their owner only. A file appears when it is complete.

    :returns: the files, with their numbers of rows.
    :raises StoreError: when pyarrow is missing, or a row cannot be read.
    """
    arrow = _arrow()
    directory.mkdir(parents=True, exist_ok=True)
    written: dict[Path, int] = {}
    for part in _PARTS:
        path = directory / f"{part.name}.parquet"
        written[path] = _write(arrow, database, deployment, part, path, on_progress)
    return written


def _write(
    arrow: Any,
    database: Database,
    deployment: str,
    part: _Part,
    path: Path,
    on_progress: Callable[[Progress], None] | None,
) -> int:
    total = int(
        database.read(lambda connection: connection.execute(_counting(part, deployment)).scalar()) or 0
    )
    fields = arrow.schema([(column.name, _type(arrow, column)) for column in part.table.columns])
    fields = fields.with_metadata({"autoremed.schema_version": str(schema_version.VERSION)})
    done = 0
    with (
        atomic_file.replacing(path, mode=0o600) as file,
        arrow.parquet.ParquetWriter(file, fields, compression="zstd") as writer,
    ):
        for rows in _chunks(database, deployment, part):
            writer.write_table(_batch(arrow, part.table, fields, rows))
            done += len(rows)
            if on_progress is not None:
                on_progress(Progress(part.name, done, max(done, total)))
    return done


def _chunks(database: Database, deployment: str, part: _Part) -> Iterator[Sequence[Any]]:
    """All rows in the order of their keys, some at a time: each chunk is a query of its own, so that neither a
    transaction nor a result stays open for as long as the export takes."""
    key = next(iter(part.table.primary_key))
    last: Any = None
    while True:
        query = _of(select(*part.table.columns), part, deployment).order_by(key).limit(CHUNK)
        if last is not None:
            query = query.where(key > last)
        rows: Sequence[Any] = database.read(lambda connection, q=query: list(connection.execute(q)))  # type: ignore[misc]
        if not rows:
            return
        yield rows
        last = getattr(rows[-1], key.name)


def _of(query: Select[Any], part: _Part, deployment: str) -> Select[Any]:
    if part.through is not part.table:
        query = query.select_from(part.table.join(part.through, part.through.c.key == part.link))
    else:
        query = query.select_from(part.table)
    return query.where(part.through.c.deployment == deployment)


def _counting(part: _Part, deployment: str) -> Select[Any]:
    return _of(select(func.count()), part, deployment)


def _batch(arrow: Any, table: Table, fields: Any, rows: Sequence[Any]) -> Any:
    columns = []
    for index, column in enumerate(table.columns):
        values = [row[index] for row in rows]
        if _is_time(column):
            values = [encoding.to_moment(value) for value in values]
        columns.append(arrow.array(values, type=fields.field(index).type))
    return arrow.Table.from_arrays(columns, schema=fields)


def _type(arrow: Any, column: Column[Any]) -> Any:
    if _is_time(column):
        return arrow.timestamp("us", tz="UTC")
    # BigInteger is an Integer to SQLAlchemy.
    for kind, written_as in (
        (Boolean, arrow.bool_()),
        (BigInteger, arrow.int64()),
        (Integer, arrow.int32()),
        (Float, arrow.float64()),
    ):
        if isinstance(column.type, kind):
            return written_as
    return arrow.string()


def _arrow() -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise StoreError("writing Parquet needs pyarrow: pip install 'airflow-autoremed[parquet]'") from None


def _is_time(column: Column[Any]) -> bool:
    return column.name == "at" or column.name.endswith(("_at", "_until"))
