"""From a log to the setting that the next attempt changes: the right process, the right pool, the right size."""

from __future__ import annotations

import pytest

from airflow_autoremed.failures.matching.classify import classify_texts
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.recommending import recommend
from airflow_autoremed.spark.keys import NETTY_DIRECT, jvm_flag, jvm_flags_only_differ_in_sizes, with_jvm_flag
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import Limits, PastAttempt, Pool, Side
from tests.support.decisions import said

CATALOGUE = load_catalogue()
DIRECT = "-XX:MaxDirectMemorySize="
LOST = "26/03/02 10:00:01 WARN TaskSetManager: Lost task 1.0 in stage 4.0 (TID 40) (10.0.0.4 executor 3): "
LOCAL = (
    "26/03/02 10:00:01 WARN TaskSetManager: Lost task 1.0 in stage 4.0 (TID 40) (node-1 executor driver): "
)
STATED = "java.lang.OutOfMemoryError: Cannot reserve 1048576 bytes of direct buffer memory (allocated: {}, limit: {})"


def judged(log):
    return classify_texts(CATALOGUE, [(None, log)])


def advised(log, conf, *, earlier=(), limits=None):
    verdict = judged(log)
    past = [PastAttempt(each, verdict.category, succeeded=False) for each in earlier]
    return recommend(verdict, earlier[0] if earlier else conf, conf, past, limits or Limits())


def changed(log, conf, **more):
    advice = advised(log, conf, **more)
    return {key: new for key, (_, new) in advice.changes.items()}


@pytest.mark.parametrize(
    "log",
    [
        "26/03/02 10:00:01 ERROR SparkSQLDriver: Failed in [MERGE INTO a USING b]\njava.lang.OutOfMemoryError: Java heap space",
        "26/03/02 10:00:01 ERROR MicroBatchExecution: Query [id = 1] terminated with error\njava.lang.OutOfMemoryError: Java heap space",
        "java.lang.OutOfMemoryError: Java heap space\n"
        "\tat org.apache.spark.sql.delta.commands.MergeIntoCommand.run(MergeIntoCommand.scala:90)",
        "java.lang.OutOfMemoryError: Java heap space\n"
        "\tat java.util.ArrayList.grow(ArrayList.java:10)\n"
        "\tat org.apache.spark.sql.catalyst.optimizer.Optimizer.execute(Optimizer.scala:9)",
    ],
)
def test_an_oom_in_the_drivers_own_code_grows_the_driver(log):
    conf = {"spark.driver.memory": "2g", "spark.executor.memory": "4g"}
    assert changed(log, conf) == {"spark.driver.memory": "4g"}
    assert judged(log).side is Side.DRIVER


def test_an_executors_oom_that_the_driver_tells_of_grows_the_executors():
    log = (
        "py4j.protocol.Py4JJavaError: An error occurred while calling o49.save.\n"
        ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 8.0 failed 4 times, most "
        "recent failure: Lost task 3.3 in stage 8.0 (TID 99) (10.0.0.4 executor 12): java.lang.OutOfMemoryError: Java heap space\n"
        "Driver stacktrace:\n"
        "\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:9)"
    )
    assert list(changed(log, {"spark.executor.memory": "4g"})) == ["spark.executor.memory"]


@pytest.mark.parametrize(
    ("trouble", "key"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", "spark.driver.memory"),
        ("org.apache.spark.memory.SparkOutOfMemoryError: Unable to acquire 64 bytes of memory, got 0", "spark.driver.memory"),
        ("java.lang.OutOfMemoryError: Metaspace", "spark.driver.extraJavaOptions"),
        ("java.lang.StackOverflowError", "spark.driver.extraJavaOptions"),
    ],
)  # fmt: skip
def test_in_local_mode_only_the_drivers_settings_change(trouble, key):
    assert list(changed(LOCAL + trouble, {"spark.executor.memory": "4g"})) == [key]


def test_a_local_master_is_one_jvm_whatever_the_log_says():
    conf = {"spark.master": "local[4]", "spark.driver.memory": "2g"}
    assert changed("java.lang.OutOfMemoryError: Java heap space", conf) == {"spark.driver.memory": "4g"}


def test_metaspace_grows_only_in_the_jvm_that_failed():
    log = (
        "26/03/02 10:00:01 ERROR SparkContext: Error initializing SparkContext.\njava.lang.OutOfMemoryError: Metaspace\n"
        "\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)"
    )
    assert list(changed(log, {})) == ["spark.driver.extraJavaOptions"]


@pytest.mark.parametrize("limit", [64 * MIB, 2 * GIB, 8 * GIB])
def test_the_new_limit_of_direct_memory_is_above_the_stated_one_and_has_room_beside_the_heap(limit):
    conf = {"spark.executor.memory": "8g"}
    advice = advised(LOST + STATED.format(limit - 1, limit), conf)
    new = jvm_flag(advice.conf["spark.executor.extraJavaOptions"], DIRECT)
    assert new > 1.2 * limit
    assert (
        int(advice.conf["spark.executor.memoryOverhead"].rstrip("mg"))
        * (GIB if advice.conf["spark.executor.memoryOverhead"].endswith("g") else MIB)
        >= new
    )


def test_without_a_stated_limit_the_jvms_own_counts_which_is_the_heap():
    advice = advised(
        LOST + "java.lang.OutOfMemoryError: Direct buffer memory", {"spark.executor.memory": "4g"}
    )
    assert jvm_flag(advice.conf["spark.executor.extraJavaOptions"], DIRECT) == 6 * GIB


def test_nettys_own_limit_rises_with_that_of_the_jvm():
    conf = {
        "spark.executor.memory": "4g",
        "spark.executor.extraJavaOptions": f"{NETTY_DIRECT}1073741824 -Da=b",
    }
    log = LOST + (
        "io.netty.util.internal.OutOfDirectMemoryError: failed to allocate 16 byte(s) of direct memory "
        "(used: 1073741820, max: 1073741824)"
    )
    options = changed(log, conf)["spark.executor.extraJavaOptions"]
    assert jvm_flag(options, NETTY_DIRECT) == jvm_flag(options, DIRECT) == 4 * GIB
    assert f"{NETTY_DIRECT}{4 * GIB}" in options.split()


def test_a_patch_may_write_nettys_limit_in_bytes_alone():
    assert jvm_flags_only_differ_in_sizes("-Da=b", with_jvm_flag("-Da=b", NETTY_DIRECT, GIB))
    assert not jvm_flags_only_differ_in_sizes("-Da=b", f"-Da=b {NETTY_DIRECT}1g")
    assert not jvm_flags_only_differ_in_sizes("-Da=b", f"-Da=b {NETTY_DIRECT}99999999999999")


def test_fetches_made_large_go_back_to_sparks_default():
    conf = {"spark.executor.memory": "4g", "spark.reducer.maxSizeInFlight": "512m"}
    assert (
        changed(LOST + "java.lang.OutOfMemoryError: Direct buffer memory", conf)[
            "spark.reducer.maxSizeInFlight"
        ]
        == "48m"
    )


def test_with_no_room_for_direct_memory_less_is_fetched_and_the_reason_says_so():
    conf = {"spark.executor.memory": "8g"}
    log = LOST + STATED.format(30 * GIB - 1, 30 * GIB)
    advice = advised(log, conf)
    assert {key: new for key, (_, new) in advice.changes.items()} == {"spark.reducer.maxSizeInFlight": "24m"}
    assert "less is fetched at once" in said(advice)


def test_another_services_direct_memory_is_not_ours_to_grow():
    log = (
        "java.io.IOException: Failed to write: Connection closed after GOAWAY. HTTP/2 error code: INTERNAL_ERROR, debug "
        "data: failed to allocate 16 byte(s) of direct memory (used: 1073741820, max: 1073741824)"
    )
    assert changed(log, {"spark.executor.memory": "8g"}) == {}


VELOX = "Reason: Not enough spark off-heap execution memory. Acquired: 8.0 MiB, granted: 1024.0 KiB."
COMET = (
    "org.apache.comet.CometNativeException: External error: Resources exhausted: Failed to allocate additional "
    "838860800 bytes for ExternalSorter[3] with 0 bytes already allocated for this reservation"
)


@pytest.mark.parametrize("log", [VELOX, LOST + COMET])
def test_a_native_engine_gets_more_off_heap_memory(log):
    conf = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "2g"}
    assert changed(log, conf) == {"spark.memory.offHeap.size": "4g"}


def test_comet_without_off_heap_memory_gets_more_of_its_own_overhead():
    assert changed(LOST + COMET, {"spark.comet.memoryOverhead": "1024"}) == {
        "spark.comet.memoryOverhead": "2g"
    }


def test_an_off_heap_pool_that_is_sized_elsewhere_is_shared_by_fewer_tasks_and_never_set_lower():
    advice = advised(VELOX, {"spark.executor.cores": "4"})
    assert {key: new for key, (_, new) in advice.changes.items()} == {"spark.executor.cores": "2"}
    assert "does not declare spark.memory.offHeap.size" in said(advice)
    assert advised(VELOX, {}).conf is None


def test_a_graphics_card_is_shared_by_fewer_tasks_and_no_heap_grows():
    log = (
        LOST
        + "java.lang.OutOfMemoryError: Could not allocate native memory: std::bad_alloc: out_of_memory: RMM failure at: a.hpp:1"
    )
    conf = {"spark.executor.memory": "8g", "spark.rapids.sql.concurrentGpuTasks": "4"}
    assert judged(log).pool is Pool.DEVICE
    new = changed(log, conf)
    assert new == {"spark.rapids.sql.concurrentGpuTasks": "2", "spark.rapids.sql.batchSizeBytes": "512m"}
    last = {**conf, "spark.rapids.sql.concurrentGpuTasks": "1", "spark.rapids.sql.batchSizeBytes": "64m"}
    assert advised(log, last).conf is None


def test_the_limit_of_a_connect_client_is_named_with_the_line_to_change():
    log = 'details = "CLIENT: Received message larger than max (210000000 vs. 134217728)"'
    advice = advised(log, {})
    assert advice.conf is None
    assert "SparkSession.builder.channelBuilder" in said(advice)


def test_the_limit_of_an_orc_file_is_named_with_the_line_to_change():
    log = (
        LOST
        + "java.lang.IllegalArgumentException: Buffer size too small. size = 262144 needed = 2272881 in column 3"
    )
    advice = advised(log, {})
    assert advice.conf is None
    assert "orc.compress.size" in said(advice)


def test_arrow_batches_get_smaller_instead_of_a_kryo_buffer_larger():
    log = LOST + "org.apache.arrow.vector.util.OversizedAllocationException: Unable to expand the buffer"
    assert changed(log, {}) == {"spark.sql.execution.arrow.maxRecordsPerBatch": "1000"}


def test_a_buffer_a_mebibyte_below_its_maximum_is_not_raised():
    log = "org.apache.spark.SparkException: Kryo serialization failed: Buffer overflow. Available: 0, required: 24."
    advice = advised(log, {"spark.kryoserializer.buffer.max": "2046m"})
    assert advice.conf is None
    assert "is at its maximum" in said(advice)


@pytest.mark.parametrize(
    ("log", "conf", "expected"),
    [
        (
            "java.lang.IllegalArgumentException: Required executor memory (4096+20480 MB) is above the max threshold (12288 MB) of this cluster!",
            {"spark.executor.memory": "4g", "spark.executor.memoryOverhead": "20g"},
            {"spark.executor.memoryOverhead": "8g"},
        ),
        (
            "java.lang.IllegalArgumentException: Required executor memory (16384+2048 MB) is above the max threshold (12288 MB) of this cluster!",
            {"spark.executor.memory": "16g", "spark.executor.memoryOverhead": "2g"},
            {"spark.executor.memory": "10g"},
        ),
        (
            "java.lang.IllegalArgumentException: Required executor memory (102400 MB), offHeap memory (0) MB, overhead (102400 MB), and PySpark memory (0 MB) is above the max threshold (52224 MB) of this cluster!",
            {"spark.executor.memory": "100g", "spark.executor.memoryOverhead": "100g"},
            {"spark.executor.memory": "26112m", "spark.executor.memoryOverhead": "26112m"},
        ),
        (
            "java.lang.IllegalArgumentException: Required AM memory (16384+1638 MB) is above the max threshold (8192 MB) of this cluster!",
            {"spark.driver.memory": "16g", "spark.executor.memory": "2g"},
            {"spark.driver.memory": "6554m"},
        ),
        (
            "[INVALID_DRIVER_MEMORY] System memory 419430400 must be at least 471859200.\nPlease increase heap size using the --driver-memory option",
            {"spark.driver.memory": "400m", "spark.executor.memory": "1g"},
            {"spark.driver.memory": "1g"},
        ),
        (
            "Error occurred during initialization of VM: Could not reserve enough space for 33554432KB object heap",
            {"spark.driver.memory": "32g"},
            {"spark.driver.memory": "16g"},
        ),
    ],
)  # fmt: skip
def test_what_was_asked_for_too_much_is_cut_and_the_rest_is_kept(log, conf, expected):
    advice = advised(log, conf)
    assert {key: new for key, (_, new) in advice.changes.items()} == expected
    assert "cannot be read" not in said(advice)


GAVE_UP = (
    "26/03/02 10:00:01 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: Command exited with code 137\n"
    "org.apache.spark.SparkException: Job aborted due to stage failure: ResultStage 1 (collect at job.py:9) has failed "
    "the maximum allowable number of times: 2. Most recent failure reason:"
)


@pytest.mark.parametrize("conf", [{"spark.stage.maxConsecutiveAttempts": "2"}, {}])
def test_the_setting_that_made_one_lost_executor_fatal_goes_back_before_memory_grows(conf):
    assert changed(GAVE_UP, conf) == {"spark.stage.maxConsecutiveAttempts": "4"}


def test_few_retries_for_a_port_go_back_to_sparks_default():
    log = "java.net.BindException: Address already in use: Service 'SparkUI' failed after 1 retries (starting from 4040)!"
    assert changed(log, {"spark.port.maxRetries": "1"}) == {"spark.port.maxRetries": "16"}
    assert changed(log, {}) == {}


def test_a_broadcast_far_above_its_estimate_is_not_broadcast_again():
    log = "Size of broadcasted table far exceeds estimates and exceeds limit of spark.driver.maxResultSize=1073741824."
    assert changed(log, {"spark.driver.memory": "2g"}) == {"spark.sql.autoBroadcastJoinThreshold": "-1"}


def test_nothing_is_said_to_be_clamped_when_all_that_was_wanted_fits():
    log = "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM)."
    assert "clamped" not in said(advised(log, {"spark.executor.memory": "6g"}))
