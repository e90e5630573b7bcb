"""Passwords that a task's configuration holds stay in the task: no log, database or patch has them."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from airflow_autoremed import remediate
from tests.support.days import day
from tests.support.tasks import StateStore

METASPACE_OOM = (
    "26/11/24 10:00:05 ERROR TaskSetManager: x\njava.lang.OutOfMemoryError: Metaspace\n"
    "\tat java.lang.ClassLoader.defineClass1\n26/11/24 ERROR SparkContext: failed\n"
)
PASSWORDS = [f"SECRETPW{number}" for number in range(1, 9)]
CONF = {
    "spark.driver.extraJavaOptions": "-Djavax.net.ssl.trustStorePassword=SECRETPW1 -XX:MaxMetaspaceSize=64m",
    "spark.executor.extraJavaOptions": "-Dfs.s3a.secret.key=SECRETPW2 -XX:MaxMetaspaceSize=64m",
    "spark.executorEnv.DB_PASS": "SECRETPW3",
    "spark.yarn.appMasterEnv.MYSQL_PWD": "SECRETPW4",
    "spark.hadoop.x.sas": "SECRETPW5",
    "spark.driverEnv.AUTH": "SECRETPW6",
    "spark.hadoop.fs.azure.account.auth": "SECRETPW7",
    "spark.sql.catalog.c.credential": "SECRETPW8",
}


@pytest.fixture
def failing(spark_submit: Any, spark_task: Any) -> Any:
    spark_submit(METASPACE_OOM)
    return remediate(spark_task(executor_memory="1g", conf=CONF))


def everything_in(home: Any) -> str:
    connection = sqlite3.connect(f"{home}/autoremed.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = [str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables]
    connection.close()
    return "\n".join(rows)


def leaked(*texts: object) -> list[str]:
    return [password for password in PASSWORDS if any(password in str(text) for text in texts)]


def test_passwords_of_a_task_that_fails_reach_nothing_that_we_write(
    failing: Any, airflow_home: Any, log_lines: Any
) -> None:
    ti = day(failing, 1)
    first, second = ti.run(), ti.run()
    assert first.decision is not None
    assert "MaxMetaspaceSize" in first.decision.reason
    assert leaked(first.decision, ti.state_store.values, log_lines(), everything_in(airflow_home)) == []
    assert "-XX:MaxMetaspaceSize=" in second.argv
    assert leaked(second.argv) == PASSWORDS, "the task itself still has them all"


def test_the_retry_keeps_the_other_jvm_options_and_has_more_metaspace(failing: Any) -> None:
    ti = day(failing, 1)
    ti.run()
    argv = ti.run().argv
    assert argv.count("trustStorePassword=SECRETPW1") == 1
    assert argv.count("-XX:MaxMetaspaceSize=64m") < 2


def test_a_patch_for_other_jvm_options_is_not_applied(failing: Any, spark_task: Any, log_lines: Any) -> None:
    ti = day(failing, 1)
    ti.run()
    other = {key: value.replace("SECRETPW", "NEWPW") for key, value in CONF.items()}
    ti.task = remediate(spark_task(executor_memory="1g", conf=other))
    argv = ti.run().argv
    assert "NEWPW1" in argv
    assert "the stored patch was not applied" in log_lines()
    assert "PW1" not in log_lines()


def test_a_state_store_that_somebody_else_filled_loses_no_outcome(
    spark_submit: Any, spark_task: Any, airflow_home: Any
) -> None:
    from tests.support.tasks import HEAP_OOM

    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    ti = day(remediate(spark_task(executor_memory="1g")), 1)
    ti.run()
    assert isinstance(ti.state_store, StateStore)
    (attempt,) = ti.state_store.values["autoremed"]["attempts"]
    attempt["category"] = 5
    attempt["duration_s"] = "nan"
    attempt["conf"] = {**attempt["conf"], **{f"k{number}": "x" * 1000 for number in range(2000)}}
    assert ti.run().error is None
    connection = sqlite3.connect(f"{airflow_home}/autoremed.db")
    assert connection.execute("SELECT count(*) FROM autoremed_outcomes").fetchone() == (2,)
    connection.close()
