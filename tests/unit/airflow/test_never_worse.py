"""Whatever breaks inside the plugin, the task ends as it would have without it, with one warning."""

from __future__ import annotations

import logging
import stat
import subprocess
import sys
import textwrap
import time

import pytest
from airflow.sdk import RetryAction

from airflow_autoremed import remediate
from airflow_autoremed.airflow.opt_in import cluster_policy, listener
from airflow_autoremed.airflow.opt_in.attach import is_attached
from tests.support.submitted import memory_of
from tests.support.tasks import HEAP_OOM, MISSING_TABLE, TaskInstance, forget


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.INFO, logger="airflow_autoremed")
    return lambda: [
        r.getMessage()
        for r in caplog.records
        if r.levelno >= logging.WARNING and r.name.startswith("airflow_autoremed")
    ]


def outcome_without_us(spark_task):
    ti = TaskInstance(spark_task(executor_memory="1g"))
    return str(ti.run().error)


def unreachable(home, monkeypatch):
    (home / "a-file").touch()
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", f"sqlite:///{home}/a-file/autoremed.db")


def corrupt(home, monkeypatch):
    (home / "autoremed.db").write_bytes(b"this is not a database, whatever its name says" * 100)


def read_only(home, monkeypatch):
    target = home / "autoremed.db"
    target.write_bytes(b"")
    monkeypatch.setattr("airflow_autoremed.history.store.Store.record", _refuse)


def _refuse(self, *args, **kwargs):
    from airflow_autoremed.errors import StoreError

    raise StoreError("attempt to write a readonly database")


def slow(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE_DEADLINE", "0.2")
    monkeypatch.setattr(
        "airflow_autoremed.history.db.engine.Database.__init__", lambda *a, **k: time.sleep(3)
    )


@pytest.mark.parametrize("break_store", [unreachable, corrupt, read_only, slow])
def test_a_broken_store_costs_one_warning_and_nothing_else(
    break_store, airflow_home, monkeypatch, spark_submit, spark_task, warnings
):
    """On Airflow 3.3 the patch travels in the task state store, so even healing goes on."""
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    natural = outcome_without_us(spark_task)
    break_store(airflow_home, monkeypatch)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    first = ti.run()
    assert str(first.error) == natural
    assert len(warnings()) == 1
    assert "The task continues without it" in warnings()[0]
    assert ti.run().error is None


def test_a_store_that_is_down_is_asked_once_at_the_start_and_once_at_the_end(
    monkeypatch, spark_submit, spark_task
):
    asked = []

    def down(*args, **kwargs):
        asked.append(args)
        raise OSError("no route to host")

    monkeypatch.setattr("airflow_autoremed.history.db.engine.Database.__init__", down)
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    for _ in range(2):
        ti.run()
        forget()
        assert len(asked) == 2
        asked.clear()


def test_with_no_way_to_hand_over_the_patch_the_retry_is_airflows_own(
    airflow_home, monkeypatch, spark_submit, spark_task, caplog
):
    caplog.set_level(logging.INFO, logger="airflow_autoremed")
    unreachable(airflow_home, monkeypatch)
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")), state_store=None)
    assert ti.run().decision.action is RetryAction.DEFAULT
    assert "could not be handed to the next attempt" in caplog.text
    assert memory_of(ti.run().argv) == "1g"


def test_a_failing_state_store_falls_back_to_our_own(spark_submit, spark_task, warnings):
    class Down:
        def get(self, key, default=None):
            raise RuntimeError("API server is down")

        set = delete = get

    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")), state_store=Down())
    assert [ti.run().error is None for _ in range(2)] == [False, True]
    assert all(
        "API server is down" in warning or "set() " in warning or "set" in warning for warning in warnings()
    )


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda doc: doc["patch"]["operations"].append({"op": "add", "path": "/spark.jars", "value": "/evil.jar"}), "spark.jars"),
        (lambda doc: doc["patch"]["operations"][-1].update(value="900g"), "largest"),
        (lambda doc: doc["patch"]["operations"][-1].update(value={"$": 1}), "not applied"),
        (lambda doc: doc["patch"]["scope"].update(task_id="other"), "not applied"),
        (lambda doc: doc["patch"]["scope"].update(run_id=""), "not applied"),
        (lambda doc: doc["patch"].pop("scope"), "not applied"),
        (lambda doc: doc["patch"].update(operations="rm -rf"), "not applied"),
    ],
)  # fmt: skip
def test_a_tampered_patch_is_not_applied(tamper, says, spark_submit, spark_task, warnings):
    """Anyone who may write to the state store could have changed it."""
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    tamper(ti.state_store.values["autoremed"])
    assert memory_of(ti.run().argv) == "1g"
    assert "spark.jars" not in ti.tries[-1].argv
    assert len(warnings()) == 1
    assert says in warnings()[0]


@pytest.mark.parametrize(
    "garbage", ["text", 7, [], {"schema": 1}, {"schema": 1, "from_try": "x", "attempts": 3}]
)
def test_garbage_in_the_state_store_means_the_declared_configuration(garbage, spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    ti.state_store.values["autoremed"] = garbage
    (ti_run := ti.run())
    assert memory_of(ti_run.argv) in ("1g", "2g")
    assert ti_run.error is not None


def test_an_author_who_edits_the_configuration_wins_over_the_patch(spark_submit, spark_task, warnings):
    spark_submit(HEAP_OOM)
    ti = TaskInstance(remediate(spark_task(executor_memory="1g")))
    ti.run()
    ti.task = remediate(spark_task(executor_memory="3g"))
    assert memory_of(ti.run().argv) == "3g"
    assert "not applied" in warnings()[0]


def test_a_broken_rules_file_is_named_and_the_other_rules_go_on(
    tmp_path, monkeypatch, spark_submit, spark_task
):
    broken = tmp_path / "rules.yaml"
    broken.write_text("- id: mine\n  pattern: '(unclosed'\n")
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RULES_PATHS", str(broken))
    forget()
    spark_submit(MISSING_TABLE)
    assert TaskInstance(remediate(spark_task())).run().decision.action is RetryAction.FAIL


def test_a_catalogue_that_cannot_be_loaded_at_all_leaves_the_task_alone(
    monkeypatch, spark_submit, spark_task, warnings
):
    def fail(*args, **kwargs):
        raise OSError("rules are gone")

    monkeypatch.setattr("airflow_autoremed.failures.rules.loading.load_catalogue", fail)
    spark_submit(MISSING_TABLE)
    natural = outcome_without_us(spark_task)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert str(outcome.error) == natural
    assert outcome.decision.action is RetryAction.DEFAULT
    assert len(warnings()) == 1


@pytest.mark.parametrize("name", ["_get_hook", "conf"])
def test_a_provider_whose_private_names_changed_runs_unwatched(
    name, monkeypatch, spark_submit, spark_task, warnings
):
    from airflow_autoremed.errors import PrivateApiError
    from airflow_autoremed.platforms.spark_submit import SparkSubmitPlatform

    method = {"_get_hook": "tap", "conf": "read_conf"}[name]

    def renamed(self, *args):
        raise PrivateApiError(f"SparkSubmitOperator has no {name}")

    monkeypatch.setattr(SparkSubmitPlatform, method, renamed)
    spark_submit(HEAP_OOM)
    natural = outcome_without_us(spark_task)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert str(outcome.error) == natural
    assert name in warnings()[0]
    assert len(warnings()) == 1


def test_a_hook_without_the_log_method_is_read_by_its_exception_alone(monkeypatch, spark_submit, spark_task):
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

    plain = SparkSubmitHook._process_spark_submit_log
    hidden = property(lambda self: (_ for _ in ()).throw(AttributeError("gone")))
    monkeypatch.setattr(SparkSubmitHook, "_process_spark_submit_log", hidden)
    monkeypatch.setattr(SparkSubmitHook, "submit", lambda self, app: plain(self, iter(["x\n"])) or _boom())
    spark_submit(HEAP_OOM)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert str(outcome.error) == "boom"


def _boom():
    raise RuntimeError("boom")


def test_a_bug_in_the_pipeline_leaves_the_exception_and_the_retry_as_they_were(
    monkeypatch, spark_submit, spark_task, warnings
):
    monkeypatch.setattr("airflow_autoremed.remediation.pipeline.decide", lambda *a: 1 / 0)
    spark_submit(HEAP_OOM)
    natural = outcome_without_us(spark_task)
    outcome = TaskInstance(remediate(spark_task(executor_memory="1g"))).run()
    assert str(outcome.error) == natural
    assert outcome.decision.action is RetryAction.DEFAULT
    assert len(warnings()) == 1
    assert "division by zero" in warnings()[0]


def test_a_wrong_value_in_the_configuration_is_one_warning_that_says_what_to_write(
    monkeypatch, spark_submit, spark_task, warnings
):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__MODE", "on")
    spark_submit("", cured_by="job.py")
    assert TaskInstance(remediate(spark_task())).run().error is None
    assert len(warnings()) == 1
    assert "'act'" in warnings()[0]


def test_a_faulty_cluster_policy_never_breaks_a_dag_file(monkeypatch, spark_task):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__ATTACH_TO_ALL", "perhaps")
    task = spark_task()
    cluster_policy.task_policy(task)
    assert not is_attached(task)


def test_the_cluster_policy_attaches_spark_tasks_once_switched_on(monkeypatch, spark_task):
    from airflow.providers.standard.operators.empty import EmptyOperator

    task, other = spark_task(), EmptyOperator(task_id="other")
    cluster_policy.task_policy(task)
    assert not is_attached(task)
    monkeypatch.setenv("AIRFLOW__AUTOREMED__ATTACH_TO_ALL", "True")
    forget()
    cluster_policy.task_policy(task)
    cluster_policy.task_policy(other)
    assert is_attached(task)
    assert not is_attached(other)


def test_the_listener_ignores_what_it_does_not_know():
    listener.on_task_instance_running(None, object())


def test_a_dag_file_that_opts_in_loads_nothing_heavy_on_our_account():
    """In a fresh process, beyond what Airflow and the provider have loaded already."""
    program = textwrap.dedent(
        """
        import sys
        from airflow.sdk import DAG
        from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
        with DAG("d"):
            task = SparkSubmitOperator(task_id="t", application="job.py", retries=3)
        before = set(sys.modules)
        from airflow_autoremed import remediate
        remediate(task, limits={"max_container_memory": "8g"})
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        heavy = new & {"numpy", "sklearn", "sqlalchemy", "yaml", "pyspark", "ahocorasick_rs", "jsonpatch", "pandas", "rich"}
        print("heavy:", sorted(heavy))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert "heavy: []" in done.stdout, done.stdout + done.stderr


def test_history_file_is_readable_by_its_owner_only(airflow_home, spark_submit, spark_task):
    spark_submit(HEAP_OOM)
    TaskInstance(remediate(spark_task())).run()
    assert stat.S_IMODE((airflow_home / "autoremed.db").stat().st_mode) == 0o600


def test_secrets_do_not_reach_the_store(airflow_home, spark_submit, spark_task):
    secret = "hunter2hunter2"
    spark_submit(
        HEAP_OOM.replace(
            "Java heap space", f"Java heap space password={secret} jdbc:postgresql://u:{secret}@db/x"
        )
    )
    TaskInstance(
        remediate(spark_task(conf={"spark.hadoop.fs.s3a.secret.key": secret, "spark.executor.memory": "1g"}))
    ).run()
    assert secret.encode() not in (airflow_home / "autoremed.db").read_bytes()
    for side in airflow_home.glob("autoremed.db-*"):
        assert secret.encode() not in side.read_bytes()


def test_a_failure_without_a_name_is_recorded_with_its_template(
    spark_submit, spark_task, airflow_home, monkeypatch
):
    """And with what the text model says, which decides nothing; a fault in describing it costs one warning."""
    from airflow_autoremed.airflow.attempt import unclassified
    from airflow_autoremed.history import Store
    from airflow_autoremed.learning import text_model
    from airflow_autoremed.learning.text_model import Opinion

    monkeypatch.setattr(
        text_model, "second_opinion", lambda directory, texts: Opinion("bad_data", 0.93, True, "abc")
    )
    spark_submit("26/11/24 10:00:06 ERROR LedgerGuard: Shop 17 of region 'north' is sealed\n")
    outcome = TaskInstance(remediate(spark_task())).run()
    assert outcome.decision.action.value == "default"
    (row,) = Store(f"sqlite:///{airflow_home}/autoremed.db").recent(1)
    assert row.category == "unknown"
    assert "Shop <num> of region '<name>' is sealed" in row.template
    assert (row.opinion["category"], row.opinion["confidence"]) == ("bad_data", 0.93)
    assert unclassified.look(None) == unclassified.Unclassified()  # type: ignore[arg-type]


def test_an_exception_of_the_operator_itself_is_not_taken_for_one_of_the_jobs_code(spark_submit, spark_task):
    """A KeyError in the worker (a connection without its extra, say) says nothing about the job: not stopped."""
    spark_submit("")
    task = remediate(spark_task())

    def broken(context):
        raise KeyError("ssl_mode")

    task.execute = broken
    outcome = TaskInstance(task).run()
    assert isinstance(outcome.error, KeyError)
    assert outcome.decision.action.value == "default"


def test_a_setting_that_cannot_be_used_is_said_once_a_process(monkeypatch, spark_task, warnings):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__ATTACH_TO_ALL", "perhaps")
    for number in range(3):
        cluster_policy.task_policy(spark_task(task_id=f"t{number}"))
    assert len(warnings()) == 1


def test_what_a_row_or_a_log_says_forges_no_line_and_steers_no_terminal(caplog):
    logging.getLogger("airflow_autoremed").warning("[autoremed] %s", "x\n[2026] CRITICAL forged\x1b[2J")
    assert (
        caplog.records[-1].getMessage() == "[autoremed] x [2026] CRITICAL forged\N{REPLACEMENT CHARACTER}[2J"
    )
