"""``autoremed patches``: a person sees which patches are in force, why, and can take one back."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from typer.testing import CliRunner

from airflow_autoremed import remediate
from airflow_autoremed.cli.main import app
from airflow_autoremed.history import Store
from airflow_autoremed.history.attempt_records import AttemptStart
from airflow_autoremed.types import AttemptId
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, TaskInstance, forget

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def without_floors(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__FLOOR", "off")
    forget()


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, ["patches", *words], env={"COLUMNS": "160"})


@pytest.fixture
def promoted(spark_submit, spark_task, airflow_home):
    """A task whose patch was promoted yesterday."""
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    ti = TaskInstance(task, run_id="yesterday")
    ti.run()
    ti.run()
    return task


def test_promoted_patches_are_listed_with_what_they_change(promoted, run):
    shown = run("list").stdout
    assert "shop.daily, every run" in shown
    assert "spark.executor.memory: 1g -> 2g" in shown
    assert "promoted" in shown


def test_a_patch_is_explained_from_its_first_day_on(promoted, run):
    key = json.loads(run("list", "--format", "json").stdout)[0]["key"]
    shown = run("show", key[:8]).stdout
    assert [word for word in ("proposed", "active", "proven", "promoted") if word in shown] == [
        "proposed",
        "active",
        "proven",
        "promoted",
    ]
    assert "shop.daily yesterday try 2: the patched try succeeded" in shown


def test_a_revoked_patch_is_no_longer_used(promoted, run):
    key = json.loads(run("list", "--format", "json").stdout)[0]["key"]
    assert run("revoke", key, "--why", "more memory was bought").exit_code == 0
    assert "no promoted patch" in run("list").stdout
    assert "more memory was bought" in run("show", key).stdout
    again = run("revoke", key, "--why", "again")
    assert again.exit_code == 1
    assert "is already revoked" in again.stderr
    forget()
    assert memory_of(TaskInstance(promoted, run_id="today").run().argv) == "1g"


def test_revoking_says_whom_it_reaches_and_whom_it_does_not(spark_submit, spark_task, airflow_home, run):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")), run_id="today")
    ti.run()
    (patch,) = json.loads(run("list", "--all", "--format", "json").stdout)
    running = AttemptId("shop", "today", "daily", -1, 2)
    conf = {"spark.executor.memory": "2g"}
    start = AttemptStart(running, {}, conf, "SparkSubmitOperator", NOON, patched=True, patch_key=patch["key"])
    Store(f"sqlite:///{airflow_home}/autoremed.db").record(running, start=start)

    said = run("revoke", patch["key"], "--why", "too large").stdout

    assert "New attempts run with the declared configuration." in said
    assert "Still running with the patch: shop.daily today try 2" in said


def test_an_unknown_key_says_where_to_look(promoted, run):
    result = run("show", "zz")
    assert result.exit_code == 1
    assert "autoremed patches list --all" in result.stderr


def test_without_patches_one_line_says_so(airflow_home, run):
    assert run("list").stdout.startswith("There is no promoted patch in sqlite:///")
