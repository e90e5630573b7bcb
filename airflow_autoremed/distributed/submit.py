"""The script for ``spark-submit``.

::

    spark-submit submit.py metrics  --out s3a://bucket/metrics  s3a://bucket/spark-logs ...
    spark-submit submit.py examples --out s3a://bucket/examples s3a://bucket/export
    spark-submit submit.py replay   [--model DIR] [--after EPOCH] s3a://bucket/export

``python -m airflow_autoremed.distributed.submit --where`` prints where it lies. The export is that of ``autoremed db
export``; ``autoremed train --examples DIR`` trains on what ``examples`` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import typer
from pyspark.sql import SparkSession

from airflow_autoremed.distributed import jobs
from airflow_autoremed.replay import Policy, blind, playbook, with_model
from airflow_autoremed.settings import load as load_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one job; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="job", required=True)
    for name, what in (("metrics", "event logs, or directories of them"), ("examples", "the export")):
        command = commands.add_parser(name)
        command.add_argument("places", nargs="+", help=what)
        command.add_argument("--out", required=True, help="directory to be written; replaced if it is there")
    command = commands.add_parser("replay")
    command.add_argument("places", nargs=1, help="the export")
    command.add_argument("--model", help="directory of a model")
    command.add_argument("--after", type=float, default=0.0, help="only failures after this moment (epoch)")
    given = parser.parse_args(arguments)
    spark = SparkSession.builder.appName(f"autoremed {given.job}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    if given.job == "metrics":
        frame = jobs.event_log_metrics(spark, given.places)
        frame.write.mode("overwrite").parquet(given.out)
        written = spark.read.parquet(given.out)
        damaged = written.where("problem is not null").select("log", "problem").limit(100).collect()
        for row in damaged:
            typer.echo(f"skipped {row.log}: {row.problem}", err=True)
        total = written.count()
        typer.echo(
            f"{total} logs, {written.where('problem is not null').count()} damaged, written to {given.out}"
        )
        return 2 if total and total == len(damaged) else 0
    if given.job == "examples":
        jobs.training_examples(spark, given.places[0]).write.mode("overwrite").parquet(given.out)
        typer.echo(f"{spark.read.parquet(given.out).count()} examples written to {given.out}")
        return 0
    settings = load_settings()
    policies: dict[str, Policy] = {"blind": blind, "playbook": playbook(settings.limits)}
    predictor, after = None, given.after
    if given.model:
        from airflow_autoremed.learning.model import read

        predictor = read(Path(given.model))
        policies[f"playbook and model {predictor.name}"] = with_model(settings.limits)
        after = max(after, float(predictor.manifest.get("learned_until", 0.0)))
    found = jobs.replayed(
        spark,
        given.places[0],
        policies,
        prices=settings.prices,
        predictor=predictor,
        objective=settings.objective,
        after=after,
    )
    typer.echo(json.dumps({name: asdict(tally) for name, tally in found.items()}, indent=2))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--where"]:
        typer.echo(Path(__file__).resolve())
    else:
        sys.exit(main())
