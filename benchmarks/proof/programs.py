"""The Spark programs of the proof. Run by ``spark-submit programs.py <name> <JSON of parameters> <try number>``.

Each needs something that its declared configuration does not give, or fails for a reason that none cures, or meets a
fault that passes. Sizes are in megabytes. Nothing here names the cure.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

PROGRAMS: dict[str, Callable[..., Any]] = {}


def program(run: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS[run.__name__] = run
    return run


def session(name: str) -> SparkSession:
    return SparkSession.builder.appName(name).getOrCreate()


def rows(spark: SparkSession, mb: int, row_kb: int, keys: int = 1, partitions: int = 1) -> DataFrame:
    """*mb* megabytes in rows of *row_kb*, over *keys* keys."""
    count = max(1, mb * 1000 // row_kb)
    text = F.concat(F.col("id").cast("string"), F.expr(f"repeat('x', {row_kb * 1000})"))
    return spark.range(count, numPartitions=partitions).select(
        (F.col("id") % keys).alias("key"), text.alias("document")
    )


# --- what an executor's heap has to hold ---------------------------------------------------------------------------


@program
def agg_collect(spark: SparkSession, mb: int, row_kb: int) -> None:
    """All documents of one customer in one row."""
    gathered = rows(spark, mb, row_kb).groupBy("key").agg(F.collect_list("document").alias("all"))
    print(gathered.select("key", F.size("all")).collect())


@program
def wide_rows(spark: SparkSession, mb: int) -> None:
    """Rows of *mb* megabytes each, moved between partitions."""
    wide = spark.range(3, numPartitions=1).select(
        F.col("id"), F.expr(f"repeat(concat('row', id), {mb * 1_000_000 // 4})").alias("v")
    )
    print(wide.repartition(2, "id").select(F.sum(F.length("v"))).collect())


@program
def skew(spark: SparkSession, mb: int, keys: int) -> None:
    """Many groups, in as many partitions as the job declares."""
    gathered = rows(spark, mb, 100, keys).groupBy("key").agg(F.collect_list("document").alias("all"))
    print(gathered.select(F.sum(F.size("all"))).collect())


# --- what Python workers need ----------------------------------------------------------------------------------------


@program
def python_list(spark: SparkSession, mb: int) -> None:
    """A list of *mb* megabytes in a Python worker."""

    def load(_: Iterator[int]) -> Iterator[int]:
        held = []
        for number in range(mb // 10):
            held.append(bytes([number % 251 + 1]) * 10_000_000)
            time.sleep(0.01)
        time.sleep(1.0)
        yield len(held)

    print(spark.sparkContext.parallelize([0], 1).mapPartitions(load).collect())


@program
def pandas_group(spark: SparkSession, mb: int) -> None:
    """A group of *mb* megabytes as one pandas frame."""

    def doubled(frame: Any) -> Any:
        frame = frame.assign(document=frame["document"] + "y")
        return frame.head(1)[["key"]]

    print(rows(spark, mb, 100).groupBy("key").applyInPandas(doubled, "key long").collect())


# --- what the driver has to hold ---------------------------------------------------------------------------------------


def _noise(spark: SparkSession, mb: int, partitions: int) -> Any:
    """*mb* values of a megabyte that no codec makes smaller."""
    return spark.sparkContext.parallelize(range(mb), partitions).map(lambda _: os.urandom(1_000_000))


@program
def driver_collect(spark: SparkSession, mb: int) -> None:
    """A table of *mb* megabytes brought to the driver."""
    print(len(_noise(spark, mb, partitions=max(2, mb // 50)).collect()))


@program
def driver_broadcast(spark: SparkSession, mb: int) -> None:
    """A table of *mb* megabytes, joined by a broadcast."""
    small = rows(spark, mb, 10, keys=10**9, partitions=max(2, mb // 50)).withColumnRenamed("document", "text")
    large = spark.range(1000).withColumnRenamed("id", "key")
    print(large.join(F.broadcast(small), "key").select(F.sum(F.length("text"))).collect())


@program
def result_size(spark: SparkSession, mb: int) -> None:
    """Results of *mb* megabytes in all."""
    print(len(_noise(spark, mb, partitions=4).collect()))


@program
def rpc_message(spark: SparkSession, mb: int) -> None:
    """*mb* megabytes of the driver's own data, shipped with a task."""
    data = ["z" * 1_000_000 for _ in range(mb)]
    print(spark.sparkContext.parallelize(data, 1).map(len).sum())


# --- what is not heap ---------------------------------------------------------------------------------------------------


@program
def many_classes(spark: SparkSession, queries: int) -> None:
    """Generated code, query after query."""
    for number in range(queries):
        spark.range(10).select(F.sum(F.expr(f"id * {number} + {number}"))).collect()


@program
def deep_expression(spark: SparkSession, depth: int) -> None:
    """An expression nested *depth* deep, as generated queries are."""
    column, one = F.col("id"), F.lit(1).cast("long")
    for _ in range(depth):
        column = column + one
    print(spark.range(3).select(column.alias("v")).collect())


@program
def off_heap_sort(spark: SparkSession, mb: int) -> None:
    """Two tables, sorted side by side in Spark's off-heap pool and merged."""
    left, right = rows(spark, mb, 1, keys=10**9), rows(spark, mb, 1, keys=10**9)
    joined = left.hint("merge").join(right.withColumnRenamed("document", "other"), "key")
    print(joined.select(F.sum(F.length("other"))).collect())


# --- what takes its time ------------------------------------------------------------------------------------------------


@program
def slow_broadcast(spark: SparkSession, seconds: int) -> None:
    """A small table that takes *seconds* to make, joined by a broadcast."""

    @F.udf("long")
    def slowly(value: int) -> int:
        time.sleep(seconds)
        return value

    small = spark.range(1, numPartitions=1).select(slowly("id").alias("key"))
    large = spark.range(100).withColumnRenamed("id", "key")
    print(large.join(F.broadcast(small), "key").collect())


@program
def frozen_executor(spark: SparkSession, seconds: int) -> None:
    """An executor that stands still for *seconds*, as one in a long collection of garbage does."""

    def freeze(_: Iterator[int]) -> Iterator[int]:
        jvm = _executor_jvm()
        wake = ["sh", "-c", f"sleep {seconds}; kill -CONT {jvm}"]
        subprocess.Popen(wake, start_new_session=True)
        os.kill(jvm, signal.SIGSTOP)
        time.sleep(seconds + 3)
        yield 1

    print(spark.sparkContext.parallelize([0], 1).mapPartitions(freeze).collect())


def _executor_jvm() -> int:
    daemon = os.getppid()
    return int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])


@program
def healthy(spark: SparkSession) -> None:
    """Needs nothing beyond what any executor has."""
    print(spark.range(1000).select(F.sum("id")).collect())


# --- faults that pass ---------------------------------------------------------------------------------------------------


@program
def refused(spark: SparkSession, attempt: int, fails: int) -> None:
    """A service that is not up yet on the first *fails* tries."""
    if attempt <= fails:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=3)
    healthy(spark)


@program
def unavailable(spark: SparkSession, attempt: int, fails: int) -> None:
    """A service that answers 503 on the first *fails* tries."""
    import http.server
    import threading
    import urllib.request

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503 if attempt <= fails else 200)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if attempt <= fails:
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/rates")
    healthy(spark)


@program
def reset(spark: SparkSession, attempt: int, fails: int) -> None:
    """A task whose peer hangs up on the first *fails* tries."""

    def ask(_: Iterator[int]) -> Iterator[int]:
        if attempt <= fails:
            with socket.socket() as server:
                server.bind(("127.0.0.1", 0))
                server.listen()
                client = socket.create_connection(server.getsockname())
                peer, _address = server.accept()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                client.recv(1)
        yield 1

    print(spark.sparkContext.parallelize([0], 1).mapPartitions(ask).collect())


@program
def lost_executor(spark: SparkSession, attempt: int, fails: int) -> None:
    """An executor that is taken away (SIGTERM, as by a node that is drained) on the first *fails* tries."""

    def die(_: Iterator[int]) -> Iterator[int]:
        if attempt <= fails:
            os.kill(_executor_jvm(), signal.SIGTERM)
            time.sleep(20)
        yield 1

    print(spark.sparkContext.parallelize([0], 1).mapPartitions(die).collect())


# --- what no configuration cures ------------------------------------------------------------------------------------------


@program
def broken(spark: SparkSession, how: str, name: str) -> None:
    """A mistake in the program, the data or the deployment."""
    BROKEN[how](spark, name)


def _in_a_task(spark: SparkSession, work: Callable[[int], Any]) -> None:
    spark.sparkContext.parallelize([1], 1).map(work).collect()


def _file(text: str, suffix: str) -> str:
    path = Path(tempfile.mkdtemp()) / f"data{suffix}"
    path.write_text(text)
    return str(path)


def _permission(spark: SparkSession, name: str) -> None:
    raise PermissionError(13, "Permission denied", f"/data/{name}/secret.parquet")


def _contract(spark: SparkSession, name: str) -> None:
    count = spark.range(0).count()
    assert count > 0, f"{name} is empty, at least one row was promised"


BROKEN: dict[str, Callable[[SparkSession, str], Any]] = {
    "missing_table": lambda spark, name: spark.sql(f"SELECT * FROM {name}.orders").collect(),
    "missing_path": lambda spark, name: spark.read.parquet(f"/data/{name}/2026-11-24").collect(),
    "missing_column": lambda spark, name: spark.range(1).select(f"{name}_id").collect(),
    "syntax": lambda spark, name: spark.sql(f"SELEC {name} FROM x").collect(),
    "ambiguous": lambda spark, name: spark.range(1).crossJoin(spark.range(1)).select("id").collect(),
    "type_mismatch": lambda spark, name: spark.sql(f"SELECT array(1) + '{name}'").collect(),
    "cast": lambda spark, name: spark.sql(f"SELECT CAST('{name}' AS INT)").collect(),
    "division": lambda spark, name: spark.range(1).select(F.expr("1 / id")).collect(),
    "overflow": lambda spark, name: spark.sql("SELECT CAST(3000000000 AS INT)").collect(),
    "unknown_function": lambda spark, name: spark.sql(f"SELECT {name}_hash(1)").collect(),
    "table_exists": lambda spark, name: [spark.range(1).createTempView(name) for _ in range(2)],
    "no_module": lambda spark, name: __import__(f"{name}_helpers"),
    "no_module_task": lambda spark, name: _in_a_task(spark, lambda _: __import__(f"{name}_helpers")),
    "zero_division": lambda spark, name: _in_a_task(spark, lambda x: x / 0),
    "key_error": lambda spark, name: {}[name],
    "bad_json": lambda spark, name: json.loads(f"{{'{name}': "),
    "task_value": lambda spark, name: _in_a_task(spark, lambda _: int(name)),
    "csv_failfast": lambda spark, name: (
        spark.read.schema("a int, b int")
        .option("mode", "FAILFAST")
        .csv(_file(f"1,{name},3\n", ".csv"))
        .collect()
    ),
    "corrupt_parquet": lambda spark, name: spark.read.parquet(_file(name * 50, ".parquet")).collect(),
    "no_file_system": lambda spark, name: spark.read.text(f"s3a://{name}/logs").collect(),
    "no_jdbc_driver": lambda spark, name: (
        spark.read.format("jdbc").options(url=f"jdbc:mysql://db/{name}", dbtable="t").load()
    ),
    "permission": _permission,
    "contract": _contract,
}


def main() -> None:
    name, parameters, attempt = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    spark = session(name)
    if "fails" in parameters:
        parameters["attempt"] = attempt
    PROGRAMS[name](spark, **parameters)
    spark.stop()


if __name__ == "__main__":
    main()
