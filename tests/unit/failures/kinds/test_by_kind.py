"""Where no rule names the cause, the kind of the error that ended the run decides."""

from __future__ import annotations

from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.types import Restartable

CATALOGUE = load_catalogue()
TRACEBACK = """Traceback (most recent call last):
  File "/opt/etl.py", line 44, in <module>
    main()
{}
"""


def verdict(text):
    return classify_texts(CATALOGUE, [(None, text)])


def test_a_refused_connection_of_the_jobs_own_code_is_retried_as_it_is():
    found = verdict(TRACEBACK.format("urllib.error.URLError: <urlopen error [Errno 111] Connection refused>"))
    assert (found.category, found.restartable) == ("network_timeout", Restartable.AS_IS)
    assert found.rule == "kind-errno-econnrefused"
    assert "refused" in found.lines[0].text
    assert found.chain[-1].line.text == found.lines[0].text
    assert found.summary.endswith(".")
    assert found.hint


def test_an_exception_that_says_nothing_is_still_the_jobs_own():
    found = verdict(TRACEBACK.format("acme.errors.ReportError: no rows"))
    assert (found.category, found.rule) == ("user_code_error", "fallback-python-exception")


def test_a_rule_that_knows_the_sentence_comes_before_a_kind():
    found = verdict(
        TRACEBACK.format(
            "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a` "
            "cannot be found. SQLSTATE: 42P01"
        )
    )
    assert not found.rule.startswith("kind-")


def test_a_class_of_the_users_tells_by_its_name():
    found = verdict(
        'Exception in thread "main" com.acme.lake.InsertOperationConflictException: two writers at once\n'
        "\tat com.acme.Lake.write(Lake.scala:12)\n"
    )
    assert (found.category, found.restartable) == ("concurrency_conflict", Restartable.AS_IS)


def test_the_root_cause_is_asked_before_what_wraps_it():
    found = verdict(
        'Exception in thread "main" com.acme.StepFailedException: step 3\n'
        "\tat com.acme.Step.run(Step.scala:1)\n"
        "Caused by: com.acme.io.PartnerGatewayTimeoutException: after 30 s\n"
        "\tat com.acme.Step.fetch(Step.scala:9)\n"
    )
    assert found.category == "network_timeout"


def test_a_warning_names_no_kind():
    found = verdict("24/05/01 10:00:00 WARN Loader: com.acme.SlowGatewayTimeoutException: tried again\n")
    assert found.category == "unknown"


def test_an_executor_lost_in_a_log_that_does_not_end_names_no_kind():
    found = verdict(
        "24/05/01 10:00:00 ERROR TaskSchedulerImpl: Lost executor 1 on h: Command exited with code 143\n"
    )
    assert found.rule is None or not found.rule.startswith("kind-")


def test_an_error_that_the_run_survived_names_no_kind():
    found = verdict(
        "24/05/01 10:00:00 ERROR Loader: x\ncom.acme.PartnerGatewayTimeoutException: slow\n\tat com.acme.A.b(A.scala:1)\n"
        "24/05/01 10:00:09 INFO DAGScheduler: Job 7 finished: save at etl.py:30, took 9.1 s\n"
    )
    assert found.category == "unknown"


def test_an_error_that_a_healthy_application_logs_stops_nothing():
    found = verdict(
        "24/05/01 10:00:00 ERROR ShutdownHookManager: Exception while deleting Spark temp dir: /tmp/spark-0b7c\n"
        "java.nio.file.NoSuchFileException: /tmp/spark-0b7c\n\tat org.apache.spark.util.Utils.x(Utils.scala:1)\n"
    )
    assert found.restartable is Restartable.AS_IS


def test_an_error_at_shutdown_is_no_failure_also_behind_the_prompt_of_a_shell():
    found = verdict(
        "spark-sql> 24/05/01 10:00:00 ERROR Utils: Uncaught exception in thread shutdown-hook-0\n"
        "java.lang.IllegalStateException: Shutdown in progress, cannot cancel\n"
        "\tat com.acme.Files.delete(Files.java:106)\n"
    )
    assert found.category == "unknown"


def test_the_frames_of_an_error_tell_whose_it_is():
    found = verdict(
        "24/05/01 10:00:00 ERROR Client: pushing block 7 failed\n"
        "java.io.IOException: Connection from /10.0.0.5:43893 closed\n"
        "\tat org.apache.celeborn.common.network.client.Handler.inactive(Handler.java:241)\n"
    )
    assert (found.category, found.restartable) == ("shuffle_fetch_failure", Restartable.AS_IS)


def test_an_abort_alone_stops_nothing():
    found = verdict(
        "24/05/01 10:00:00 ERROR TaskSchedulerImpl: Lost executor 1 on h: Command exited with code 134\n"
        "24/05/01 10:00:09 ERROR TaskSetManager: Task 0 in stage 0.0 failed 4 times; aborting job\n"
    )
    assert found.restartable is Restartable.AS_IS
