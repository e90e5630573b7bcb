"""The adapter for SparkSubmitOperator, against the provider's real operator and hook."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from airflow_autoremed.errors import PrivateApiError
from airflow_autoremed.platforms import find_platform
from airflow_autoremed.platforms.spark_submit import SparkSubmitPlatform


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


def test_a_hook_that_was_built_with_the_old_conf_runs_with_the_new_one_and_stays_what_it_was(
    platform, spark_task
):
    task = spark_task(conf={"spark.x": "1"}, driver_memory="1g")
    task._hook = built = type("OfTheHouse", (type(task._get_hook()),), {})(
        conf={"spark.house": "yes"}, conn_id="spark_default", driver_memory="1g"
    )
    platform.write_conf(task, {"spark.executor.memory": "4g", "spark.driver.memory": "2g"})
    argv = task._hook._build_spark_submit_command("job.py")
    assert {"spark.house=yes", "spark.executor.memory=4g"} <= set(argv)
    assert argv[argv.index("--driver-memory") + 1] == "2g"
    assert type(task._hook) is type(built)
    assert built._conf == {"spark.house": "yes"}, "another task may share it"


def test_a_hook_of_another_make_is_built_anew_when_a_patch_is_written_and_only_then(platform, spark_task):
    task = spark_task()
    task._hook = other = SimpleNamespace(submit=print)
    platform.tap(task, print)
    assert task._hook is other
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


class HouseHook(SparkSubmitHook):
    """Reads the output itself, and names the argument as the provider does."""

    def submit(self, application="", **kwargs):
        process = subprocess.Popen(
            self._build_spark_submit_command(application),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._submit_sp = process
        self._process_spark_submit_log(itr=iter(process.stdout))
        if process.wait():
            raise RuntimeError("spark-submit failed")


class WithHouseHook(SparkSubmitOperator):
    def _get_hook(self):
        conf = {**(self.conf or {}), "spark.house": "yes"}
        return HouseHook(conf=conf, conn_id=self._conn_id, executor_memory=self._executor_memory)


class HookInInit(SparkSubmitOperator):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._hook = SparkSubmitHook(conf={"spark.house": "yes"}, conn_id="spark_default")


class HookInPreExecute(SparkSubmitOperator):
    def pre_execute(self, context):
        self._hook = SparkSubmitHook(conf={"spark.house": "yes"}, conn_id="spark_default")

    def execute(self, context):
        self._hook.submit(self.application)


class HookWithArguments(SparkSubmitOperator):
    def _get_hook(self, extra=None):
        return SparkSubmitHook(conf={**(self.conf or {}), **(extra or {})}, conn_id="spark_default")

    def execute(self, context):
        self._hook = self._get_hook({"spark.house": "yes"})
        self._hook.submit(self.application)


@pytest.mark.parametrize("kind", [WithHouseHook, HookInInit, HookInPreExecute, HookWithArguments])
def test_operators_of_a_house_run_as_before_and_their_log_is_seen(
    platform, spark_submit, tmp_path, monkeypatch, kind
):
    spark_submit("one line\n")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[1]"}')
    task, seen = kind(task_id="daily", application="job.py", executor_memory="1g"), []
    platform.tap(task, seen.append)
    assert platform.submitted_conf(task) is None
    task.pre_execute({})
    with pytest.raises(Exception, match=r"failed|Error code is: 1"):
        task.execute({})
    assert "spark.house=yes" in (tmp_path / "argv").read_text()
    assert "one line\n" in seen
    declared = {"spark.executor.memory": "1g"} if kind is WithHouseHook else {}
    assert platform.submitted_conf(task) == declared, "what left the worker, not what the operator holds"


def test_a_hook_whose_log_cannot_be_read_costs_one_warning_and_nothing_else(platform, spark_task, caplog):
    class Silent:
        __slots__ = ("submitted",)

        def submit(self, application):
            self.submitted = application

    task = spark_task()
    task._hook = hook = Silent()
    platform.tap(task, print)
    task.pre_execute({})
    hook.submit("job.py")
    assert [record.levelname for record in caplog.records if "cannot be read" in record.message] == [
        "WARNING"
    ]


def test_a_fault_while_listening_does_not_stop_the_run(platform, spark_task):
    def faulty(line):
        raise ValueError("a fault of ours")

    task = spark_task()
    platform.tap(task, faulty)
    hook = task._get_hook()
    hook._process_spark_submit_log(iter(["one\n", "two\n"]))
    assert hook._last_submit_log_lines[-1] == "two"
