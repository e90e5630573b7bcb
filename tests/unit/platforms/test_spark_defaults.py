"""What an administrator or the author has put into a file is the floor of every patch."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from airflow_autoremed.platforms import find_platform
from airflow_autoremed.platforms.spark_defaults import defaults_of

HEAP = "spark.executor.memory"
DRIVER = "spark.driver.extraJavaOptions"


@pytest.fixture
def platform(spark_task):
    return find_platform(spark_task())


@pytest.fixture
def spark_defaults(tmp_path, monkeypatch):
    """Write ``spark-defaults.conf`` of this worker."""
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[1]"}')

    def write(text: str) -> Path:
        path = tmp_path / "spark-defaults.conf"
        path.write_text(text)
        return path

    return write


def test_the_cure_grows_from_the_memory_of_the_properties_file(tmp_path, spark_submit, spark_task):
    from airflow_autoremed import remediate
    from tests.support.tasks import HEAP_OOM, TaskInstance

    spark_submit(HEAP_OOM, cured_by="spark.executor.memory=16g")
    (tmp_path / "job.conf").write_text("spark.executor.memory 8g\nspark.hadoop.fs.s3a.secret.key hush\n")
    ti = TaskInstance(remediate(spark_task(properties_file=str(tmp_path / "job.conf"))))
    assert "spark.executor.memory" not in ti.run().argv
    healed = ti.run()
    assert healed.error is None, "with 8g in the file, 2g would be no cure"
    assert "hush" not in healed.argv


def test_spark_defaults_count_where_the_task_declares_nothing(platform, spark_task, spark_defaults):
    spark_defaults(
        "# of the cluster's owner\n"
        "spark.executor.memory: 8g\n"
        "spark.driver.memory=\\\n   4g\n"
        "spark.sql.shuffle.partitions\t50\n"
        "spark.hadoop.fs.s3a.secret.key hush\n"
    )
    assert platform.read_conf(spark_task(driver_memory="1g")) == {
        HEAP: "8g",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "50",
    }


def test_a_properties_file_replaces_spark_defaults_as_a_whole(platform, spark_task, spark_defaults, tmp_path):
    spark_defaults("spark.executor.memory 8g\nspark.driver.memory 8g\n")
    (tmp_path / "job.conf").write_text("spark.executor.memory 3g\n")
    assert platform.read_conf(spark_task(properties_file=str(tmp_path / "job.conf"))) == {HEAP: "3g"}


def test_flags_of_the_administrator_stay_beside_a_larger_stack(platform, spark_task, spark_defaults):
    spark_defaults(f"{DRIVER} -XX:+UseG1GC -Xss4m\n")
    task = spark_task()
    assert platform.read_conf(task) == {DRIVER: "-Xss4m"}
    for _ in range(2):
        platform.write_conf(task, {DRIVER: "-Xss64m"})
        assert f"{DRIVER}=-XX:+UseG1GC -Xss64m" in task._get_hook()._build_spark_submit_command("job.py")
        assert platform.read_conf(task) == {DRIVER: "-Xss64m"}


@pytest.mark.parametrize(
    "options",
    [
        "-Djavax.net.ssl.trustStorePassword=hush",
        "-XX:+UseG1GC -javaagent:/opt/agent.jar=key=hush",
        "-Xss4m @args",
    ],
)
def test_options_that_may_hold_a_password_are_never_repeated_and_the_option_is_left_alone(
    platform, spark_task, spark_defaults, caplog, options
):
    spark_defaults(f"{DRIVER} {options}\n")
    task = spark_task()
    assert "hush" not in str(platform.read_conf(task))
    assert platform.unseen(task) == {DRIVER}
    with caplog.at_level(logging.WARNING):
        platform.write_conf(task, platform.without_unseen(task, {DRIVER: "-Xss64m", HEAP: "2g"}))
    argv = task._get_hook()._build_spark_submit_command("job.py")
    assert not [word for word in argv if "Xss" in word or "hush" in word]
    assert f"{HEAP}=2g" in argv
    assert f"leaves {DRIVER} as it is" in caplog.text
    assert "hush" not in caplog.text


def test_what_the_task_declares_itself_may_be_changed(platform, spark_task, spark_defaults):
    spark_defaults(f"{DRIVER} -Dx=y\n")
    task = spark_task(conf={DRIVER: "-Dours=1 -Xss1m"})
    assert platform.unseen(task) == frozenset()
    platform.write_conf(task, {DRIVER: "-Dours=1 -Xss64m"})
    assert platform.read_conf(task)[DRIVER] == "-Dours=1 -Xss64m"


def test_a_properties_file_that_is_not_here_hides_every_size(platform, spark_task):
    task = spark_task(properties_file="s3://conf/job.conf", driver_memory="1g")
    assert {HEAP, DRIVER, "spark.executor.memoryOverhead"} <= platform.unseen(task)
    assert "spark.driver.memory" not in platform.unseen(task)
    changes = {HEAP: "2g", "spark.driver.memory": "2g"}
    assert platform.without_unseen(task, changes) == {"spark.driver.memory": "2g"}


def test_without_a_trace_of_sparks_home_only_jvm_options_are_left_alone(platform, spark_task, monkeypatch):
    for name in ("SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert platform.unseen(spark_task()) == {DRIVER, "spark.executor.extraJavaOptions"}


def test_sparks_home_is_found_as_spark_submit_finds_it(tmp_path, monkeypatch):
    home = tmp_path / "spark"
    for folder in ("bin", "jars", "conf"):
        (home / folder).mkdir(parents=True)
    (home / "conf" / "spark-defaults.conf").write_text("spark.executor.memory 8g\n")
    command = home / "bin" / "spark-submit"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "spark-submit").symlink_to(command)
    for env in ({"PATH": str(tmp_path / "usr")}, {"PATH": "/nowhere", "SPARK_HOME": str(home)}):
        assert defaults_of(None, "spark-submit", env).conf == {HEAP: "8g"}
    assert defaults_of(None, "spark-submit", {"SPARK_CONF_DIR": str(tmp_path)}).seen, "no file, nothing set"


def test_a_file_of_another_kind_or_size_is_not_read(tmp_path):
    (tmp_path / "large").write_text("spark.executor.memory 8g\n" * 100_000)
    assert not defaults_of(str(tmp_path / "large"), None, {}).seen
    assert not defaults_of(str(tmp_path), None, {}).seen


def test_a_patch_of_nothing_but_what_cannot_be_seen_is_not_applied(spark_submit, spark_task, caplog):
    from airflow_autoremed import remediate
    from tests.support.tasks import HEAP_OOM, TaskInstance

    spark_submit(HEAP_OOM, cured_by="--never")
    ti = TaskInstance(remediate(spark_task(properties_file="/not/on/this/worker.conf")))
    with caplog.at_level(logging.INFO):
        first = ti.run()
    assert first.decision.action.value == "default"
    assert (
        f"{HEAP} is set outside the task, out of sight; declare it in the task to have it changed"
        in caplog.text
    )
    assert "spark.executor.memory" not in ti.run().argv
