"""The adapter for SparkSubmitOperator, against the provider's real operator and hook."""

from __future__ import annotations

import pytest

from airflow_autoremed.platforms import find_platform
from airflow_autoremed.platforms.spark_submit import PrivateApiError, SparkSubmitPlatform


@pytest.fixture
def platform():
    return SparkSubmitPlatform()


def command(operator) -> list[str]:
    return operator._get_hook()._build_spark_submit_command("job.py")


@pytest.fixture(autouse=True)
def spark_connection(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[1]"}')


def test_a_spark_submit_task_and_its_subclasses_are_recognised(spark_task):
    assert isinstance(find_platform(spark_task()), SparkSubmitPlatform)
    assert isinstance(find_platform(type("Ours", (type(spark_task()),), {})), SparkSubmitPlatform)


def test_a_task_that_launches_no_spark_is_not_recognised():
    from airflow.providers.standard.operators.empty import EmptyOperator

    assert find_platform(EmptyOperator(task_id="nothing")) is None


def test_arguments_and_conf_are_read_as_one_spark_configuration(platform, spark_task):
    task = spark_task(
        conf={"spark.sql.shuffle.partitions": 50, "spark.ui.enabled": False},
        executor_memory="2g",
        driver_memory="1g",
        executor_cores=4,
        num_executors=3,
    )
    assert platform.read_conf(task) == {
        "spark.sql.shuffle.partitions": "50",
        "spark.ui.enabled": "false",
        "spark.executor.memory": "2g",
        "spark.driver.memory": "1g",
        "spark.executor.cores": "4",
        "spark.executor.instances": "3",
    }


def test_the_argument_wins_over_conf_as_it_does_in_spark_submit(platform, spark_task):
    task = spark_task(conf={"spark.executor.memory": "1g"}, executor_memory="2g")
    assert platform.read_conf(task)["spark.executor.memory"] == "2g"


def test_a_change_reaches_the_command_line_wherever_the_author_set_the_key(platform, spark_task):
    task = spark_task(
        conf={"spark.executor.memory": "1g", "spark.x": "{{ kept }}"},
        executor_memory="2g",
        driver_memory="1g",
    )
    platform.write_conf(
        task, {"spark.executor.memory": "4g", "spark.driver.memory": "3g", "spark.rpc.message.maxSize": "256"}
    )
    argv = command(task)
    assert "spark.executor.memory=4g" in argv
    assert argv[argv.index("--executor-memory") + 1] == "4g"
    assert argv[argv.index("--driver-memory") + 1] == "3g"
    assert "spark.driver.memory=3g" not in argv
    assert "spark.rpc.message.maxSize=256" in argv
    assert "spark.x={{ kept }}" in argv
    assert platform.read_conf(task)["spark.executor.memory"] == "4g"


def test_writing_twice_is_writing_once(platform, spark_task):
    task = spark_task(executor_memory="2g")
    platform.write_conf(task, {"spark.executor.memory": "4g"})
    once = command(task)
    platform.write_conf(task, {"spark.executor.memory": "4g"})
    assert command(task) == once


def test_the_authors_own_dictionary_is_not_changed(platform, spark_task):
    shared = {"spark.executor.memory": "1g"}
    platform.write_conf(spark_task(conf=shared), {"spark.executor.memory": "4g"})
    assert shared == {"spark.executor.memory": "1g"}


def test_a_hook_that_was_built_with_the_old_conf_is_built_anew(platform, spark_task):
    task = spark_task()
    task._hook = task._get_hook()
    platform.write_conf(task, {"spark.executor.memory": "4g"})
    assert task._hook is None


def test_every_line_of_the_log_is_seen_and_the_hook_reads_it_as_before(platform, spark_task):
    task, seen = spark_task(), []
    platform.tap(task, seen.append)
    hook = task._get_hook()
    lines = [f"line {number}\n" for number in range(465)]
    hook._process_spark_submit_log(iter(lines))
    assert seen == lines
    assert hook._last_submit_log_lines[-1] == "line 464"


def test_a_provider_without_the_private_names_is_named(platform, spark_task):
    class Renamed:
        pass

    with pytest.raises(PrivateApiError, match="_get_hook"):
        platform.tap(Renamed(), print)
    with pytest.raises(PrivateApiError, match="conf"):
        platform.read_conf(Renamed())
