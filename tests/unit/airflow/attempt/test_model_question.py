"""A trained model in a failing task: found, asked, and never in the way."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history import Store
from airflow_autoremed.learning import registry
from airflow_autoremed.learning.examples import TrainingSet, examples
from airflow_autoremed.learning.families import Constant
from airflow_autoremed.learning.model import ARRAYS, write
from airflow_autoremed.learning.training import train
from tests.support.submitted import memory_of
from tests.support.task_histories import history
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, TaskInstance, forget


@pytest.fixture(scope="module")
def trained():
    return train(TrainingSet.of(examples(history(60, 20))), name="m1").model


@pytest.fixture
def models(airflow_home):
    return airflow_home / "autoremed" / "models"


def in_use(models, model):
    write(model, models / model.name)
    registry.promote(models, model.name, who="me", why="test")


def known(model, number=10_000):
    return replace(model, similar={"category=executor_oom_heap": number})


def test_the_retry_runs_with_what_the_model_chose_and_the_record_says_who_decided(
    airflow_home, models, trained, spark_submit, spark_task
):
    in_use(models, known(trained))
    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g")))
    ti.run()
    chosen = memory_of(ti.run().argv)
    store = Store(f"sqlite:///{airflow_home}/autoremed.db")
    rows = [row for row in store.recent(10) if row.attempt.try_number == 1]
    assert rows[0].decided_by == "m1"
    assert "model m1, 10000 similar attempts" in rows[0].reason
    assert chosen != "2g"


@pytest.mark.parametrize("damage", ["arrays", "champion", "manifest"])
def test_a_damaged_model_is_one_warning_and_the_playbook_decides(
    models, trained, spark_submit, spark_task, caplog, damage
):
    in_use(models, known(trained))
    if damage == "arrays":
        (models / "m1" / ARRAYS).write_bytes(b"PK")
    elif damage == "champion":
        (models / "champion.json").write_text("{")
    else:
        (models / "m1" / "manifest.json").write_text(json.dumps({"schema": 7}))
    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g")))
    ti.run()
    assert memory_of(ti.run().argv) == "4g"
    said = [r for r in caplog.records if r.levelname == "WARNING" and "model" in r.getMessage()]
    assert len(said) == (0 if damage == "champion" else 1)


def test_a_model_that_breaks_while_it_is_asked_leaves_the_playbook_in_charge(
    models, trained, spark_submit, spark_task, monkeypatch, caplog
):
    in_use(models, known(trained))
    monkeypatch.setattr(
        "airflow_autoremed.learning.model.Model.predict",
        lambda *_: (_ for _ in ()).throw(RuntimeError("bug")),
    )
    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g")))
    ti.run()
    assert memory_of(ti.run().argv) == "4g"
    assert sum("bug" in r.getMessage() for r in caplog.records if r.levelname == "WARNING") == 2  # one a try


def test_a_task_for_which_no_configuration_is_worth_it_is_stopped_on_its_first_try(
    models, trained, spark_submit, spark_task
):
    in_use(models, replace(known(trained), fails=Constant(8.0), slope=1.0, offset=0.0))
    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g")))
    decision = ti.run().decision
    assert decision.action is RetryAction.FAIL
    assert "No retry is worth it" in decision.reason


def test_a_task_may_ask_for_more_certainty_than_the_deployment(models, trained, spark_submit, spark_task):
    in_use(models, replace(known(trained), fails=Constant(4.0), slope=1.0, offset=0.0))  # P(fail) 98%
    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(executor_memory="2g"), objective={"stop_above": 0.99}))
    assert ti.run().decision.action is not RetryAction.FAIL


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        ({"stop": 0.9}, "write one of weight_of_failure"),
        ({"stop_above": 95}, "write a number from 0 to 1"),
        ({"rank_from": 0}, "whole number"),
        (0.9, "write a mapping"),
    ],
)
def test_a_wrong_objective_is_refused_with_what_to_write(spark_task, objective, says):
    with pytest.raises(SettingsError, match=says):
        remediate(spark_task(), objective=objective)


def test_a_failure_that_nothing_cures_never_asks_the_model(
    models, trained, spark_submit, spark_task, monkeypatch
):
    in_use(models, known(trained))
    asked = []
    monkeypatch.setattr("airflow_autoremed.learning.registry.champion", asked.append)
    spark_submit(MISSING_TABLE, cured_by="--never")
    TaskInstance(remediate(spark_task())).run()
    assert asked == []


def test_what_the_history_knows_of_other_runs_reaches_the_model(
    airflow_home, models, trained, spark_submit, spark_task, monkeypatch
):
    in_use(models, known(trained))
    questions = []
    real = type(trained).predict
    monkeypatch.setattr(type(trained), "predict", lambda self, q: questions.append(q) or real(self, q))
    spark_submit(HEAP_OOM, cured_by="--never")
    for run in ("monday", "tuesday"):
        forget()
        ti = TaskInstance(remediate(spark_task(executor_memory="2g")), run_id=run)
        ti.run()
    assert {each.attempt.run_id for each in questions[-1].past} == {"monday", "tuesday"}
    assert questions[-1].past[0].category == "executor_oom_heap"


def test_deciding_with_a_model_imports_no_scikit_learn(tmp_path, trained):
    in_use(tmp_path, known(trained))
    script = f"""
import sys
from airflow_autoremed.learning.registry import champion
from airflow_autoremed.types import *
model = champion({str(tmp_path)!r})
failed = RecordedAttempt(AttemptId("d", "r", "t", -1, 1), 1.7e9, {{}}, {{}}, False, 60.0, "executor_oom_heap")
coming = RecordedAttempt(AttemptId("d", "r", "t", -1, 2), 1.7e9, {{}}, {{}})
answer = model.predict(Question(coming, (failed,), (Axis("spark.executor.memory", (2.0**31, 2.0**33)),)))
assert answer.fails.shape == (2,)
heavy = sorted(name for name in sys.modules if name.partition(".")[0] in ("sklearn", "scipy", "joblib", "pandas", "airflow", "sqlalchemy"))
print(heavy)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
