"""The Spark jobs give what one machine gives: a real session with two worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from airflow_autoremed.errors import EventLogError
from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptEnd, AttemptStart
from airflow_autoremed.history.export import export
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.queries.training_attempts import everything
from airflow_autoremed.ingestion.event_logs import measured
from airflow_autoremed.learning.examples import TrainingSet, examples
from airflow_autoremed.learning.parquet_examples import read_examples
from airflow_autoremed.learning.training import train
from airflow_autoremed.replay import blind, describe, playbook, replay, with_model
from airflow_autoremed.spark.event_log_files import find_event_logs
from airflow_autoremed.types import Action, Classification, Limits, Prices, Restartable
from tests.support.decisions import decision, recorded
from tests.support.task_histories import history

pytestmark = pytest.mark.integration

LOGS = Path(__file__).parents[1] / "data" / "event_logs"


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .appName("test")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def store_url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/autoremed.db"
    store = Store(url)
    for record in history(25, 8):
        began = datetime.fromtimestamp(record.started_at, timezone.utc)
        cause = Classification(record.category or "", "r", Restartable.WITH_CHANGES, True)
        verdict = recorded(decision(Action.REMEDIATE, "more", cause, record.effective))
        store.record(
            record.attempt,
            start=AttemptStart(
                record.attempt,
                baseline=record.baseline,
                effective=record.effective,
                operator=record.operator,
                started_at=began,
                patched=False,
                fingerprint=record.fingerprint,
            ),
            decision=None if record.succeeded else verdict,
            end=AttemptEnd(bool(record.succeeded), began, record.duration_s, 1.0),
        )
    store.close()
    return url


@pytest.fixture(scope="module")
def exported(store_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    database = open_database(store_url, 10.0)
    export(database, "default", folder)
    database.close()
    return str(folder)


def test_event_logs_say_the_same_on_a_cluster(spark):
    from airflow_autoremed.distributed.jobs import event_log_metrics

    here, broken = {}, set()
    for log in find_event_logs([str(LOGS)]):
        if isinstance(log, EventLogError):
            continue
        try:
            here[log.name] = measured(log)
        except EventLogError:
            broken.add(log.name)
    rows = {row.log: row for row in event_log_metrics(spark, [str(LOGS)]).collect() if row.log}
    assert rows.keys() == here.keys() | broken
    assert len(here) >= 3
    for name, run in here.items():
        for field, value in asdict(run).items():
            if field != "conf":
                assert getattr(rows[name], field) == (
                    pytest.approx(value) if isinstance(value, float) else value
                ), (
                    name,
                    field,
                )


def test_the_training_set_is_the_same_and_so_is_the_model(spark, store_url, exported, tmp_path):
    from airflow_autoremed.distributed.jobs import training_examples

    training_examples(spark, exported).write.parquet(str(tmp_path / "examples"))
    there = read_examples(str(tmp_path / "examples"))
    here = TrainingSet.of(examples(everything(store_url, "default")))
    assert len(there) == len(here) == len(history(25, 8))
    order_there, order_here = (np.lexsort((each.duration_s, each.started_at)) for each in (there, here))
    assert np.array_equal(there.rows[order_there], here.rows[order_here], equal_nan=True)
    assert (there.failed[order_there] == here.failed[order_here]).all()
    one, other = train(there, name="m"), train(here, name="m")
    assert [(s.family, s.head) for s in one.scores] == [(s.family, s.head) for s in other.scores]
    for mine, theirs in zip(one.scores, other.scores, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=0.01)


def test_replay_counts_the_same(spark, store_url, exported):
    from airflow_autoremed.distributed.jobs import replayed

    model = train(TrainingSet.of(examples(everything(store_url, "default"))), name="m").model
    policies = {"blind": blind, "playbook": playbook(Limits()), "model": with_model(Limits())}
    told = {"prices": Prices(), "predictor": model}
    here = replay(everything(store_url, "default"), policies, describe, **told)
    there = replayed(spark, exported, policies, **told)
    assert here["playbook"].failures > 50
    for name, tally in here.items():
        assert asdict(there[name]) == pytest.approx(asdict(tally)), name


def test_the_script_runs_under_spark_submit(exported, tmp_path):

    from airflow_autoremed.distributed import submit

    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("spark-submit")),
            "--master",
            "local[2]",
            "--conf",
            "spark.ui.enabled=false",
            submit.__file__,
            "replay",
            exported,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "AIRFLOW_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["playbook"]["failures"] > 50
