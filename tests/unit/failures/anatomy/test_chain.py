"""What ended the run is told from what the application got over, and its cause is followed down to the root."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.types import Restartable, Source

CATALOGUE = load_catalogue()

HEAP_LOST = (
    "26/03/02 10:00:01 WARN TaskSetManager: Lost task 1.0 in stage 4.0 (TID 40) (10.0.0.4 executor 3): "
    "java.lang.OutOfMemoryError: Java heap space"
)
RAN_AGAIN = (
    "26/03/02 10:01:01 INFO TaskSetManager: Finished task 1.1 in stage 4.0 (TID 44) in 4000 ms on 10.0.0.5 "
    "(executor 5) (8/8)"
)
JOB_FINISHED = "26/03/02 10:09:00 INFO DAGScheduler: Job 7 finished: save at etl.py:30, took 200.1 s"
MISSING_TABLE = (
    "Traceback (most recent call last):\n"
    '  File "/opt/etl.py", line 44, in <module>\n'
    '    orders = spark.table("lake.orders")\n'
    "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view "
    "`lake`.`orders` cannot be found. SQLSTATE: 42P01"
)
ZERO = (
    "Traceback (most recent call last):\n"
    '  File "/opt/job.py", line 51, in <module>\n'
    "    print(total / count)\n"
    "ZeroDivisionError: division by zero"
)
KILLED = (
    "26/03/02 10:00:05 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: Command exited with code 137\n"
    "26/03/02 10:00:05 WARN TaskSetManager: Lost task 1.0 in stage 3.0 (TID 9) (10.0.0.4 executor 1): "
    "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Command exited with code 137"
)
SURVIVED = {
    "an executor's heap, the task ran again": f"{HEAP_LOST}\n{RAN_AGAIN}\n{JOB_FINISHED}",
    "a killed executor": KILLED + "\n" + RAN_AGAIN.replace("stage 4.0", "stage 3.0"),
    "a speculative copy killed in its spill": (
        "26/03/02 10:00:01 INFO Executor: Executor is trying to kill task 9.1 in stage 4.0 (TID 41), reason: another "
        "attempt succeeded\n"
        "26/03/02 10:00:01 ERROR TaskMemoryManager: error while calling spill() on "
        "org.apache.spark.util.collection.unsafe.sort.UnsafeExternalSorter@1a2b\n"
        "java.io.InterruptedIOException\n" + JOB_FINISHED
    ),
    "a logging library about itself": 'SLF4J: Failed to load class "org.slf4j.impl.StaticLoggerBinder".',
    "the crash of a helper's JVM": (
        "# A fatal error has been detected by the Java Runtime Environment:\n"
        "#  SIGSEGV (0xb) at pc=0x00007f, pid=4321, tid=4400\n" + RAN_AGAIN
    ),
    "a warning of the metastore": (
        "26/03/02 10:00:05 WARN ObjectStore: Version information not found in metastore. "
        "hive.metastore.schema.verification is not enabled so recording the schema version 2.3.0"
    ),
    "a warning that names an error": (
        "26/03/02 10:00:01 WARN DataSourceManager: Skipping the lookup of Python Data Sources due to the failure: "
        "java.lang.StackOverflowError"
    ),
    "a warning with its stack trace": (
        "26/03/02 10:00:01 WARN Retry: attempt 1 failed\n"
        "org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] no table x SQLSTATE: 42P01\n"
        "\tat org.example.A.b(A.scala:1)\n\tat org.example.A.c(A.scala:2)"
    ),
    "a row that the job shows": (
        "+---+------+\n|id |message|\n|7  |java.lang.OutOfMemoryError: Java heap space|\n+---+------+"
    ),
    "an error that the job prints": "processing ticket 77: java.lang.OutOfMemoryError: Java heap space",
    "data that the job logs as JSON": (
        '26/03/02 10:00:05 INFO Payload: {"msg":"java.lang.OutOfMemoryError: Java heap space"}'
    ),
    "a caught exception, and jobs after it": f"{ZERO}\n{JOB_FINISHED}",
}
ENDS = {
    "a missing table": (MISSING_TABLE, "missing_data"),
    "the job's own code": (ZERO, "user_code_error"),
    "a full disk": (
        "26/03/02 11:00:00 ERROR TaskSetManager: Task 3 in stage 9.0 failed 4 times; aborting job\n"
        'Exception in thread "main" org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage '
        "9.0 failed 4 times, most recent failure: Lost task 3.3 in stage 9.0 (TID 99) (10.0.0.1 executor 9): "
        "java.io.IOException: No space left on device",
        "disk_full",
    ),
}


def verdict(*texts, source=None):
    return classify_texts(CATALOGUE, [(source, text) for text in texts])


def told(found):
    return [link.line.text for link in found.chain]


@pytest.mark.parametrize("survived", SURVIVED.values(), ids=SURVIVED.keys())
@pytest.mark.parametrize(("end", "category"), ENDS.values(), ids=ENDS.keys())
def test_what_the_application_got_over_does_not_name_its_failure(survived, end, category):
    found = verdict(f"{survived}\n{end}\n26/03/02 12:00:00 INFO ShutdownHookManager: Shutdown hook called\n")
    assert found.category == category
    assert all("TableX" not in text for text in told(found))
    assert found.lines[0].number > survived.count("\n")


@pytest.mark.parametrize("survived", SURVIVED.values(), ids=SURVIVED.keys())
def test_a_healthy_log_has_no_failure(survived):
    if "Finished" in survived or "Job 7" in survived:
        assert verdict(f"{survived}\n{JOB_FINISHED}\n").category == "unknown"


def test_the_chain_goes_from_the_end_down_to_the_executor_that_ran_out_of_memory():
    log = "\n".join(
        [
            "26/03/02 10:00:01 WARN TaskSetManager: Lost task 2.0 in stage 1.0 (TID 7) (10.0.0.4 executor 7): "
            "java.lang.OutOfMemoryError: Java heap space",
            "26/03/02 10:00:02 ERROR TaskSchedulerImpl: Lost executor 7 on 10.0.0.4: Command exited with code 52",
            "26/03/02 10:00:09 WARN TaskSetManager: Lost task 0.0 in stage 2.0 (TID 9) (10.0.0.5 executor 8): "
            "FetchFailed(BlockManagerId(7, 10.0.0.4, 7337, None), shuffleId=0, mapIndex=0, mapId=0, reduceId=1, message=",
            "org.apache.spark.shuffle.FetchFailedException: Failed to connect to /10.0.0.4:7337",
            "\tat org.apache.spark.storage.ShuffleBlockFetcherIterator.next(ShuffleBlockFetcherIterator.scala:1)",
            "Caused by: java.net.ConnectException: Connection refused: /10.0.0.4:7337",
            "Traceback (most recent call last):",
            '  File "/opt/job.py", line 3, in <module>',
            "py4j.protocol.Py4JJavaError: An error occurred while calling o1.count.",
            ": org.apache.spark.SparkException: Job aborted due to stage failure: ResultStage 2 (count at x.java:0) has "
            "failed the maximum allowable number of times: 4. Most recent failure reason:",
            "org.apache.spark.shuffle.FetchFailedException: Failed to connect to /10.0.0.4:7337",
            "\tat org.apache.spark.storage.ShuffleBlockFetcherIterator.next(ShuffleBlockFetcherIterator.scala:1)",
        ]
    )
    found = verdict(log)
    assert found.category == "executor_oom_heap"
    assert found.chain[0].what == "exception"
    assert "Py4JJavaError" in told(found)[0]
    assert "Java heap space" in told(found)[-1]
    numbers = [link.line.number for link in found.chain]
    assert numbers[0] == 9
    assert numbers[-1] == 1


def test_a_lost_executor_is_explained_by_the_log_of_that_executor_and_else_it_is_said_that_it_was_not_seen():
    driver = (
        f"{KILLED}\n26/03/02 10:00:09 ERROR TaskSetManager: Task 1 in stage 3.0 failed 4 times; aborting job\n"
        'Exception in thread "main" org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 3.0 '
        "failed 4 times, most recent failure: Lost task 1.3 in stage 3.0 (TID 12) (10.0.0.4 executor 1): ExecutorLostFailure "
        "(executor 1 exited caused by one of the running tasks) Reason: Command exited with code 137"
    )
    alone = verdict(driver)
    assert alone.memory_configuration
    assert "the log of the executor that was lost" in alone.unseen
    executor = (
        "26/03/02 10:00:01 ERROR Executor: Exception in task 1.3 in stage 3.0 (TID 12)\n"
        "java.lang.OutOfMemoryError: Java heap space\n\tat A.b(A.java:1)\n"
    )
    both = classify_texts(CATALOGUE, [(Source.DRIVER_LOG, driver), (Source.EXECUTOR_LOG, executor)])
    assert both.category == "executor_oom_heap"
    assert both.unseen == ()


def test_wrappers_around_a_wrapper_lead_to_the_traceback_of_the_job():
    log = (
        f"{ZERO}\n26/03/02 12:00:00 INFO ShutdownHookManager: Shutdown hook called\n"
        "[2026-03-02T12:00:01.000+0000] {taskinstance.py:3313} ERROR - Task failed with exception\n"
        "Traceback (most recent call last):\n"
        '  File "/opt/airflow/spark_submit.py", line 500, in submit\n'
        "airflow.exceptions.AirflowException: Cannot execute: spark-submit /opt/job.py. Error code is: 1.\n"
    )
    found = verdict(log)
    assert found.category == "user_code_error"
    assert "AirflowException" in told(found)[1]
    assert "ZeroDivisionError" in told(found)[-1]


def test_a_traceback_right_below_an_error_of_the_driver_ended_the_run_all_the_same():
    error = "26/03/02 11:00:00 ERROR LiveListenerBus: SparkListenerBus has already stopped!"
    found = verdict(f"{KILLED}\n{error}\n{ZERO}\n")
    assert found.category == "user_code_error"
    assert found.chain[0].what == "exception"


def test_a_traceback_that_python_logs_as_a_warning_ended_nothing():
    logged = f"WARNING:root:no ledger yet\n{MISSING_TABLE}\n26/03/02 11:00:00 INFO Loader: going on\n"
    found = verdict(f"{logged}{ZERO}\n")
    assert found.category == "user_code_error"


def test_a_nested_remote_traceback_belongs_to_the_exception_that_quotes_it():
    log = (
        "Traceback (most recent call last):\n"
        '  File "/opt/job.py", line 9, in <module>\n'
        "pyspark.errors.exceptions.captured.PythonException: \n"
        "  An exception was thrown from the Python worker. Please see the stack trace below.\n"
        "Traceback (most recent call last):\n"
        '  File "/opt/job.py", line 4, in parse\n'
        "ValueError: invalid literal for int() with base 10: 'x'\n"
    )
    found = verdict(log)
    assert found.category in ("user_code_error", "bad_data")
    assert "ValueError" in told(found)[-1]


def test_the_cause_of_an_exception_that_was_raised_while_another_was_handled_is_on_the_chain():
    log = (
        MISSING_TABLE
        + "\n\nDuring handling of the above exception, another exception occurred:\n\n"
        + ZERO.replace("ZeroDivisionError: division by zero", "SystemExit: 3")
    )
    found = verdict(log)
    assert found.category == "missing_data"
    assert [text for text in told(found) if "TABLE_OR_VIEW_NOT_FOUND" in text]


def test_what_was_only_warned_of_never_stops_the_retries_of_a_task_that_failed_of_something_else():
    warned = "26/03/02 10:00:05 WARN Hive: [TABLE_OR_VIEW_NOT_FOUND] The table or view `a`.`b` cannot be found. SQLSTATE: 42P01"
    for end in (
        "Error code is: 1.",
        "py4j.protocol.Py4JNetworkError: Answer from Java side is empty",
        'Exception in thread "main" org.apache.spark.SparkException: Application application_1_1 finished with failed status',
    ):
        assert verdict(f"{warned}\n{end}\n").restartable is not Restartable.NO


def test_a_text_without_any_structure_is_judged_as_it_stands():
    assert (
        verdict("Exit status: -100. Diagnostics: Container released on a *lost* node").category
        == "executor_lost_preempted"
    )
    assert (
        verdict(
            "Serialized task 9:1 was 495236231 bytes, which exceeds max allowed: spark.rpc.message.maxSize"
        ).category
        == "serializer_buffer"
    )


# ---------------------------------------------------------------------------------------------- the same, wrapped

RAW = f"{SURVIVED['a killed executor']}\n{MISSING_TABLE}\n26/03/02 12:00:00 INFO ShutdownHookManager: Shutdown hook called"


def airflow_2(line):
    return f"[2026-03-02T10:00:00.000+0000] {{spark_submit.py:634}} INFO - {line}"


def airflow_3(line):
    stamp = "2026-03-02T10:00:00.000000Z"
    logger = "airflow.task.hooks.airflow.providers.apache.spark.hooks.spark_submit.SparkSubmitHook"
    return json.dumps(
        {
            "timestamp": stamp,
            "level": "info",
            "event": line,
            "logger": logger,
            "filename": "spark_submit.py",
            "lineno": 644,
        }
    )


def container(line):
    return json.dumps({"log": line + "\n", "stream": "stderr", "time": "2026-03-02T10:00:00Z"})


WRAPPED = {
    "as it is": str,
    "the task log of Airflow 2": airflow_2,
    "the task log of Airflow 3": airflow_3,
    "the operator for pods": lambda line: (
        "[2026-03-02T10:00:00.000+0000] {pod_manager.py:471} INFO - [base] " + line
    ),
    "a container's runtime, as JSON": container,
    "a container's runtime, as text": lambda line: "2026-03-02T10:00:00.123456789Z stderr F " + line,
    "Compose": lambda line: "spark-master-1  | " + line,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_a_log_reads_the_same_whoever_passes_it_on(wrap):
    plain = verdict(RAW)
    found = verdict("\n".join(map(wrap, RAW.split("\n"))))
    assert (found.category, found.rule) == (plain.category, plain.rule) == ("missing_data", plain.rule)
    assert [link.line.number for link in found.chain] == [link.line.number for link in plain.chain]
    assert [link.what for link in found.chain] == [link.what for link in plain.chain]


def test_two_streams_in_one_log_do_not_break_a_traceback():
    lines = MISSING_TABLE.split("\n")
    quiet = "26/03/02 10:09:01 INFO BlockManagerInfo: Removed broadcast_3_piece0 on 10.0.0.4:4000 in memory"
    mixed = "\n".join(part for line in lines for part in (line, quiet))
    found = verdict(f"{KILLED}\n{mixed}\n")
    assert found.category == "missing_data"


def test_the_log_may_be_cut_anywhere():
    whole = f"{SURVIVED['an executor' + chr(39) + 's heap, the task ran again']}\n{MISSING_TABLE}\n".encode()
    want = verdict(whole.decode())
    for size in (1, 7, 100, 1000):
        matcher = LogMatcher(CATALOGUE)
        for start in range(0, len(whole), size):
            matcher.feed(whole[start : start + size])
        found = matcher.classification()
        assert (found.rule, found.chain) == (want.rule, want.chain)


def test_a_trace_across_two_blocks_stays_one_event(monkeypatch):
    from airflow_autoremed.failures.matching import log_blocks

    frames = "".join(f"\tat org.example.Deep.call{n}(Deep.scala:{n})\n" for n in range(200))
    log = (
        "26/03/02 10:00:00 INFO SparkContext: Running\n" * 20
        + 'Exception in thread "main" org.example.Wrapper: outer\n'
        + frames
        + "Caused by: java.io.IOException: No space left on device\n"
        + frames
    )
    want = verdict(log)
    monkeypatch.setattr(log_blocks, "BLOCK", 256)
    found = verdict(log)
    assert want.category == found.category == "disk_full"
    assert found.chain == want.chain
    assert [link.what for link in found.chain] == ["exception", "caused by"]


# -------------------------------------------------------------------------------------------------------- bounds


def test_memory_stays_bounded_when_every_line_is_an_event():
    lines = (
        "\n".join(
            f"26/03/02 10:00:00 ERROR Loop: {'x' * 800} java.io.IOException: {number}\n\tat A.b(A.java:1)"
            for number in range(300)
        )
        + "\n"
    ).encode()
    matcher = LogMatcher(CATALOGUE)
    matcher.feed(lines)
    tracemalloc.start()
    for _ in range(40):
        matcher.feed(lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_what_ended_the_run_is_named_after_a_thousand_survived_losses():
    log = (
        f"{HEAP_LOST}\n{RAN_AGAIN}\n" * 1000 + f"{JOB_FINISHED}\n{KILLED}\n" + RAN_AGAIN.replace("4.0", "3.0")
    )
    found = verdict(f"{log}\n{MISSING_TABLE}\n")
    assert found.category == "missing_data"
    assert len(found.chain) <= 12


@pytest.mark.parametrize(
    "part",
    [
        "1",
        "1 ",
        " ",
        "\t",
        ": ",
        "- ",
        "a -",
        "a | ",
        "[",
        "{",
        "a.",
        "aA.",
        "Error ",
        "[Stage 1:",
        "T1",
        "Caused by: a.",
    ],
)
def test_no_line_made_of_what_stands_before_a_level_hangs(part):
    line = (part * 2000)[:1900]
    log = "".join(f"{line} {end}\n" for end in ("Error", "Exception: x", "ERROR", "Lost task 1.1 in stage "))
    began = time.process_time()
    verdict(log * 3)
    assert time.process_time() - began < 3
