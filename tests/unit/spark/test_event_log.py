"""What the reader says of real event logs, of damaged ones, and of those of other versions of Spark."""

from __future__ import annotations

import gzip
import json
import random
import sys
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard

from airflow_autoremed.errors import EventLogError
from airflow_autoremed.spark import event_log_files
from airflow_autoremed.spark.event_log import RunReader, read_event_log
from airflow_autoremed.spark.event_log_files import EventLog, find_event_logs
from airflow_autoremed.types import RunMetrics

REAL = Path(__file__).parents[2] / "data" / "event_logs"
MIB = 1024**2


def find(*places: Path | str) -> list[EventLog | EventLogError]:
    return list(find_event_logs([str(place) for place in places]))


def one(*places: Path | str) -> EventLog:
    (log,) = find(*places)
    assert isinstance(log, EventLog)
    return log


def read(*places: Path | str) -> RunMetrics:
    return read_event_log(one(*places))


def plain_text() -> bytes:
    (path,) = (REAL / "plain").iterdir()
    return gzip.decompress(path.read_bytes())


def feed(events: Iterable[dict[str, Any]]) -> RunMetrics:
    reader = RunReader()
    for event in events:
        assert reader.feed_line(json.dumps(event, separators=(",", ":")).encode())
    return reader.result()


def start(at: int = 1_000_000, **more: Any) -> dict[str, Any]:
    event = {"Event": "SparkListenerApplicationStart", "App Name": "job", "App ID": "app-1"}
    return {**event, "Timestamp": at, "User": "ann", **more}


def end(at: int) -> dict[str, Any]:
    return {"Event": "SparkListenerApplicationEnd", "Timestamp": at}


def environment(conf: dict[str, str]) -> dict[str, Any]:
    return {"Event": "SparkListenerEnvironmentUpdate", "Spark Properties": conf}


def task(
    duration: int = 10, *, stage: int = 0, reason: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    info = {"Executor ID": "1", "Launch Time": 1_000_000, "Finish Time": 1_000_000 + duration}
    return {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": stage,
        "Stage Attempt ID": 0,
        "Task End Reason": reason or {"Reason": "Success"},
        "Task Info": info,
        **more,
    }


def executor(name: str, at: int, cores: int = 2) -> dict[str, Any]:
    info = {"Host": "h", "Total Cores": cores}
    return {
        "Event": "SparkListenerExecutorAdded",
        "Timestamp": at,
        "Executor ID": name,
        "Executor Info": info,
    }


def removal(name: str, at: int, reason: str) -> dict[str, Any]:
    return {
        "Event": "SparkListenerExecutorRemoved",
        "Timestamp": at,
        "Executor ID": name,
        "Removed Reason": reason,
    }


# ----------------------------------------------------------------------------------------------------- real logs


def test_a_real_log_tells_who_ran_what_for_how_long_and_how_much_it_took() -> None:
    found = read(REAL / "plain")
    assert (found.app_name, found.spark_version, found.user) == ("autoremed plain", "4.1.4", "root")
    assert found.app_id is not None
    assert found.app_id.startswith("local-")
    assert found.conf["spark.driver.memory"] == "700m"
    assert found.ended
    assert found.complete
    assert found.started_at is not None
    assert found.ended_at is not None
    assert 1 < found.ended_at - found.started_at < 120
    lines = [json.loads(line) for line in plain_text().splitlines()]
    by_name = [line["Event"] for line in lines]
    assert found.tasks == by_name.count("SparkListenerTaskEnd")
    assert found.stages == by_name.count("SparkListenerStageCompleted")
    assert found.jobs == by_name.count("SparkListenerJobStart")
    assert (found.failed_jobs, found.failed_tasks, found.failure) == (0, 0, None)


def test_peaks_of_a_real_log_are_the_largest_samples_in_it() -> None:
    found = read(REAL / "plain")
    samples = [
        line["Task Executor Metrics"]
        for line in map(json.loads, plain_text().splitlines())
        if line["Event"] == "SparkListenerTaskEnd"
    ] + [
        line["Executor Metrics"]
        for line in map(json.loads, plain_text().splitlines())
        if line["Event"] == "SparkListenerStageExecutorMetrics"
    ]
    assert found.peak_heap == max(sample["JVMHeapMemory"] for sample in samples)
    assert found.peak_driver_heap == found.peak_heap, "in local mode the driver is the executor"
    assert found.peak_python == max(sample["ProcessTreePythonRSSMemory"] for sample in samples)
    assert found.peak_rss is not None
    assert found.peak_python is not None
    assert found.peak_heap is not None
    assert found.peak_rss > found.peak_python + found.peak_heap
    assert found.peak_overhead == found.peak_rss - found.peak_heap


def test_the_task_that_slept_two_seconds_among_short_ones_is_seen_as_skew() -> None:
    found = read(REAL / "plain")
    assert found.skew is not None
    assert 5 < found.skew < 30


def test_a_rolling_directory_is_one_log_and_a_failed_job_says_why() -> None:
    found = read(REAL / "rolling_failed")
    assert (found.jobs, found.failed_jobs, found.failed_stages) == (1, 1, 1)
    assert found.failed_tasks == 1
    assert found.failure is not None
    assert found.task_failure is not None
    assert "ZeroDivisionError" in found.failure
    assert "ZeroDivisionError" in found.task_failure
    assert found.ended, "Spark says that the application ended, and exit code 0"


def test_the_log_of_a_killed_driver_is_read_as_far_as_it_goes() -> None:
    log = one(REAL / "killed")
    assert log.name.endswith(".lz4.inprogress")
    found = read_event_log(log)
    assert not found.ended
    assert not found.complete
    assert found.tasks == 4
    assert found.ended_at is not None
    assert found.gib_seconds is not None
    assert found.gib_seconds > 0


def test_a_lost_executor_is_counted_with_its_reason_and_both_life_times() -> None:
    found = read(REAL / "executor_lost")
    assert (found.executors_added, found.executors_lost, found.most_executors) == (2, 1, 1)
    assert found.executor_loss == "Command exited with code 137"
    assert found.task_failure == "ExecutorLostFailure: Command exited with code 137"
    assert (found.failed_tasks, found.failed_jobs) == (1, 0)
    assert found.started_at is not None
    assert found.ended_at is not None
    assert found.executor_seconds is not None
    assert found.gib_seconds is not None
    whole = found.ended_at - found.started_at
    assert 0 < found.executor_seconds < whole
    # 700 MiB + 384 MiB for the driver, 600 MiB + 400 MiB for each executor.
    assert found.gib_seconds == pytest.approx((whole * 1084 + found.executor_seconds * 1000) / 1024)
    assert found.core_seconds == pytest.approx(whole + found.executor_seconds)


@pytest.mark.parametrize("codec", ["lz4", "snappy"])
def test_what_sparks_own_codecs_packed_is_read(codec: str) -> None:
    found = read(REAL / "codecs" / f"log.{codec}")
    assert (found.app_name, found.ended, found.complete, found.tasks) == ("autoremed plain", True, True, 3)


def test_lzf_is_refused_with_the_setting_to_write_instead() -> None:
    with pytest.raises(EventLogError, match=r"log.lzf is packed with lzf.*compression.codec=zstd"):
        read(REAL / "codecs" / "log.lzf")


# ------------------------------------------------------------------------------------------- packing and damage


@pytest.mark.parametrize(
    "pack",
    [
        lambda text: text,
        lambda text: gzip.compress(text),
        lambda text: lz4.frame.compress(text),
        lambda text: zstandard.compress(text),
        lambda text: zstandard.compress(text[:5000]) + zstandard.compress(text[5000:]),
    ],
)
def test_the_same_log_says_the_same_however_it_is_packed(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "application_1_1"
    path.write_bytes(pack(plain_text()))
    assert read(path) == read(REAL / "plain")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, lz4.frame.compress])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_log_cut_anywhere_is_read_as_far_as_it_goes_and_said_to_be_incomplete(
    tmp_path: Path, pack: Any, share: float
) -> None:
    # Random numbers keep the packed log from fitting into one block that is whole or not there.
    noise = random.Random(0)
    events = [start(), environment({"spark.executor.memory": "4g"})]
    events += [task(number % 977, Noise=noise.random()) for number in range(20_000)]
    text = b"\n".join(json.dumps(event).encode() for event in [*events, end(2_000_000)])
    packed = pack(text)
    path = tmp_path / "cut"
    path.write_bytes(packed[: int(len(packed) * share)])
    found = read(path)
    assert not found.complete
    assert 0.5 * share < found.tasks / 20_000 <= share * 1.5
    assert found.conf == {"spark.executor.memory": "4g"}


def test_the_parts_of_a_rolling_log_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "eventlog_v2_local-1"
    folder.mkdir()
    lines = plain_text().splitlines(keepends=True)
    pieces = [lines[at : at + 5] for at in range(0, len(lines), 5)]
    assert len(pieces) > 10, "so that 10 sorts after 9"
    (folder / "appstatus_local-1").touch()
    (folder / ".events_1_local-1.crc").write_text("junk")
    for number, piece in enumerate(pieces, start=1):
        (folder / f"events_{number}_local-1.zstd").write_bytes(zstandard.compress(b"".join(piece)))
    assert [Path(part).name.split("_")[1] for part in one(tmp_path).parts][8:11] == ["9", "10", "11"]
    assert read(tmp_path) == read(REAL / "plain") == read(folder)


def test_a_compacted_part_stands_for_all_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "eventlog_v2_local-1"
    folder.mkdir()
    for name in ("events_1_a", "events_2_a", "events_2_a.compact", "events_3_a"):
        (folder / name).write_text(json.dumps(start()) + "\n")
    assert [Path(part).name for part in one(folder).parts] == ["events_2_a.compact", "events_3_a"]


def test_a_damaged_part_of_a_rolling_log_does_not_hide_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "eventlog_v2_local-1"
    folder.mkdir()
    lines = plain_text().splitlines(keepends=True)
    good = zstandard.compress(b"".join(lines))
    (folder / "events_1_a").write_bytes(b"".join(lines[:20]))
    (folder / "events_2_a").write_bytes(good[:200] + bytes(200) + good[400:])
    (folder / "events_3_a").write_bytes(b"".join(lines[-2:]))
    found = read(folder)
    assert found.ended
    assert not found.complete


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"not an event log\n" * 10,
        b'{"Event":"Something"}\n',
        b'{"a": 1}\n[1]\n',
        b"\x28\xb5\x2f\xfd" + b"junk" * 100,
        b"LZ4Block" + b"\xff" * 100,
        b"\x82SNAPPY\x00" + b"\xff" * 100,
        b"\x1f\x8b" + b"junk" * 100,
        bytes(range(256)) * 10,
    ],
)
def test_what_is_no_event_log_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "application_7"
    path.write_bytes(content)
    with pytest.raises(EventLogError, match="application_7"):
        read(path)


def test_a_directory_without_logs_and_a_path_that_is_not_there_say_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    nothing, missing = find(tmp_path, tmp_path / "nowhere")
    assert "holds no event logs; name the directory of spark.eventLog.dir" in str(nothing)
    assert "nowhere does not exist" in str(missing)


def test_logs_in_an_object_store_are_read_through_fsspec() -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    (path,) = (REAL / "plain").iterdir()
    files.pipe("/logs/2026/app-1.gz", path.read_bytes())
    (part,) = (REAL / "rolling_failed").glob("*/events_*")
    files.pipe("/logs/eventlog_v2_app-2/events_1_app-2.zstd", part.read_bytes())
    try:
        logs = [log for log in find("memory://logs") if isinstance(log, EventLog)]
        assert [log.name for log in logs] == [
            "memory:///logs/2026/app-1.gz",
            "memory:///logs/eventlog_v2_app-2",
        ]
        assert read_event_log(logs[0]) == read(REAL / "plain")
        assert read_event_log(logs[1]) == read(REAL / "rolling_failed")
        assert find("memory://logs") == logs, "found again unchanged"
    finally:
        files.rm("/logs", recursive=True)


@pytest.mark.parametrize(("module", "path"), [("zstandard", "executor_lost"), ("lz4.block", "killed")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, module: str, path: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        EventLogError, match=r"needs (zstandard|lz4): pip install 'airflow-autoremed\[ingest\]'"
    ):
        read(REAL / path)


def test_memory_does_not_grow_with_the_log_nor_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log_files, "MAX_LINE", 2 * MIB)
    path = tmp_path / "app"
    line = json.dumps(task(5, stage=3, **{"Task Metrics": {"Executor Run Time": 5}})).encode() + b"\n"
    with path.open("wb") as file:
        file.write(json.dumps(start()).encode() + b"\n")
        for _ in range(100):
            file.write(line * 600)
        file.write(
            b'{"Event":"org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart"' + b" " * 30 * MIB
        )
        file.write(b"}\n" + json.dumps(end(2_000_000)).encode())
    tracemalloc.start()
    found = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.tasks == 60_000
    assert found.ended
    assert not found.complete, "a line was left out"
    assert peak < 8 * MIB


# -------------------------------------------------------------------------------------------- events of any kind


def test_a_log_of_spark_2_has_no_peaks_and_all_the_rest() -> None:
    metrics = {
        "Executor Run Time": 2000,
        "JVM GC Time": 500,
        "Memory Bytes Spilled": 7 * MIB,
        "Disk Bytes Spilled": MIB,
        "Shuffle Read Metrics": {"Remote Bytes Read": 10, "Local Bytes Read": 5},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": 8},
        "Input Metrics": {"Bytes Read": 100, "Records Read": 3},
    }
    found = feed(
        [
            {"Event": "SparkListenerLogStart", "Spark Version": "2.4.8"},
            environment({"spark.executor.memory": "4g", "spark.hadoop.fs.s3a.secret.key": "hush"}),
            start(),
            {"Event": "SparkListenerExecutorAdded", "Timestamp": 1_000_000, "Executor ID": "1",
             "Executor Info": {"Host": "h", "Total Cores": 4, "Log Urls": {}}},
            task(2000, **{"Task Metrics": metrics}),
            end(1_100_000),
        ]
    )  # fmt: skip
    assert found.spark_version == "2.4.8"
    assert found.conf == {"spark.executor.memory": "4g"}
    assert (found.peak_heap, found.peak_rss, found.peak_overhead, found.peak_python) == (None,) * 4
    assert found.gc_share == 0.25
    assert (found.memory_spilled, found.disk_spilled) == (7 * MIB, MIB)
    assert (found.shuffle_read_bytes, found.shuffle_write_bytes) == (15, 8)
    assert (found.input_bytes, found.input_records) == (100, 3)
    assert found.executor_seconds == 100
    assert found.core_seconds == 500
    # driver 1 GiB + 384 MiB, executor 4 GiB + a tenth
    assert found.gib_seconds == pytest.approx(100 * (1.375 + 4.4), rel=1e-6)


def test_only_settings_that_count_are_kept_and_of_jvm_options_the_sizes() -> None:
    found = feed(
        [
            start(),
            environment(
                {
                    "spark.executor.extraJavaOptions": "-Dtoken=hush -Xss4m -XX:+UseG1GC",
                    "spark.driver.extraJavaOptions": "-Dtoken=hush",
                    "spark.yarn.dist.files": "a,b",
                    "spark.executor.cores": "4",
                    "spark.openlineage.parentJobName": "etl.daily",
                    "spark.ssl.keyPassword": "hush",
                }
            ),
        ]
    )
    assert found.conf == {
        "spark.executor.extraJavaOptions": "-Xss4m",
        "spark.executor.cores": "4",
        "spark.openlineage.parentJobName": "etl.daily",
    }


def test_a_killed_process_that_reports_zero_or_minus_one_lowers_no_peak() -> None:
    dead = {"JVMHeapMemory": -1, "JVMOffHeapMemory": 0, "ProcessTreePythonRSSMemory": 0}
    alive = {"JVMHeapMemory": 500 * MIB}
    assert feed([start(), task(**{"Task Executor Metrics": dead})]).peak_heap is None
    found = feed([start(), task(**{"Task Executor Metrics": alive}), task(**{"Task Executor Metrics": dead})])
    assert (found.peak_heap, found.peak_jvm_off_heap, found.peak_rss) == (500 * MIB, None, None)


def test_peaks_of_the_driver_and_of_executors_are_kept_apart() -> None:
    def stage(executor_id: str, heap: int) -> dict[str, Any]:
        return {
            "Event": "SparkListenerStageExecutorMetrics",
            "Executor ID": executor_id,
            "Stage ID": 0,
            "Stage Attempt ID": 0,
            "Executor Metrics": {"JVMHeapMemory": heap},
        }

    found = feed([start(), stage("driver", 900), stage("1", 300), stage("2", 400)])
    assert (found.peak_driver_heap, found.peak_heap) == (900, 400)


def test_python_memory_with_a_limit_of_its_own_is_no_overhead() -> None:
    sample = {
        "JVMHeapMemory": 1000,
        "ProcessTreeJVMRSSMemory": 1500,
        "ProcessTreePythonRSSMemory": 700,
        "OffHeapUnifiedMemory": 200,
    }
    shared = feed([start(), task(**{"Task Executor Metrics": sample})])
    assert (shared.peak_rss, shared.peak_overhead) == (2200, 1200)
    conf = {
        "spark.executor.pyspark.memory": "1g",
        "spark.memory.offHeap.enabled": "true",
        "spark.memory.offHeap.size": "1g",
    }
    apart = feed([start(), environment(conf), task(**{"Task Executor Metrics": sample})])
    assert apart.peak_overhead == 300


def test_skew_is_told_for_stages_of_enough_tasks_that_take_long_enough() -> None:
    assert feed([start(), *(task(100) for _ in range(20)), task(900)]).skew is None, "all within a second"
    assert feed([start(), task(100), task(9000)]).skew is None, "two tasks have no median worth the name"
    skewed = [start(), *(task(100) for _ in range(20)), task(5000)]
    assert feed(skewed).skew == pytest.approx(50, rel=0.011)
    even = [start(), *(task(3000) for _ in range(20))]
    assert feed(even).skew == pytest.approx(1, rel=0.011)
    apart = [start(), *(task(100) for _ in range(20)), *(task(5000, stage=1) for _ in range(20))]
    assert feed(apart).skew == pytest.approx(1, rel=0.011), "stages differ, tasks of a stage do not"


def test_executors_that_were_given_up_are_not_lost() -> None:
    found = feed(
        [
            start(1_000_000),
            *(executor(str(number), 1_000_000) for number in range(5)),
            removal("0", 1_010_000, "Executor killed by driver."),
            removal("1", 1_010_000, "Container container_1 exited from explicit termination request."),
            removal("2", 1_010_000, "Command exited with code 0"),
            removal(
                "3",
                1_010_000,
                "The executor with id 3 exited with exit code 137(SIGKILL, possible container OOM).",
            ),
            end(1_020_000),
        ]
    )
    assert (found.executors_added, found.executors_lost, found.most_executors) == (5, 1, 5)
    assert found.executor_loss is not None
    assert "137" in found.executor_loss
    assert found.executor_seconds == 4 * 10 + 20


def test_a_stage_level_resource_profile_counts_with_its_own_memory() -> None:
    amounts = {"memory": {"Amount": 8192}, "memoryOverhead": {"Amount": 2048}, "cores": {"Amount": 4}}
    added = executor("1", 1_000_000, cores=4)
    added["Executor Info"]["Resource Profile Id"] = 1
    profile = {
        "Event": "SparkListenerResourceProfileAdded",
        "Resource Profile Id": 1,
        "Executor Resource Requests": amounts,
    }
    found = feed([start(1_000_000), profile, added, end(1_010_000)])
    assert found.gib_seconds == pytest.approx(10 * (1.375 + 10))


def test_killed_copies_of_tasks_are_no_failures() -> None:
    killed = {"Reason": "TaskKilled", "Kill Reason": "another attempt succeeded"}
    found = feed(
        [start(), task(), task(reason=killed), task(reason={"Reason": "FetchFailed", "Message": "gone"})]
    )
    assert (found.tasks, found.failed_tasks) == (3, 1)
    assert found.task_failure == "FetchFailed: gone"


def test_a_query_that_failed_outside_of_a_job_says_why() -> None:
    event = {
        "Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd",
        "executionId": 0,
        "time": 1_000_500,
        "errorMessage": "Not enough memory to build and broadcast the table",
    }
    found = feed([start(), event])
    assert found.failure == "Not enough memory to build and broadcast the table"
    assert feed([start(), {**event, "errorMessage": ""}]).failure is None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"Event": "SparkListenerTaskEnd"},
        {"Event": "SparkListenerTaskEnd", "Task Info": None, "Stage ID": [1]},
        {"Event": "SparkListenerTaskEnd", "Task Info": {"Launch Time": "now"}, "Task Metrics": 3},
        {"Event": "SparkListenerStageCompleted", "Stage Info": 7},
        {"Event": "SparkListenerExecutorAdded"},
        {"Event": "SparkListenerEnvironmentUpdate", "Spark Properties": [1, 2]},
        {"Event": "SparkListenerJobEnd", "Job Result": "JobSucceeded"},
        {"Event": "SparkListenerStageExecutorMetrics", "Executor ID": 1, "Executor Metrics": []},
        {
            "Event": "SparkListenerResourceProfileAdded",
            "Resource Profile Id": 1,
            "Executor Resource Requests": 4,
        },
    ],
)
def test_nonsense_in_an_event_leaves_out_that_event_alone(nonsense: dict[str, Any]) -> None:
    found = feed([start(), nonsense, task(), end(1_100_000)])
    assert not found.complete
    assert found.tasks >= 1
    assert found.ended


def test_negative_and_absurd_figures_count_as_none() -> None:
    metrics = {
        "Executor Run Time": -5,
        "Memory Bytes Spilled": 10**30,
        "Disk Bytes Spilled": "9",
        "JVM GC Time": 7,
    }
    found = feed([start(), task(-50, **{"Task Metrics": metrics}), end(900_000)])
    assert (found.memory_spilled, found.disk_spilled, found.gc_share, found.task_seconds) == (0, 0, None, 0)
    assert found.started_at == found.ended_at == 1000, "a clock that went back makes no negative time"
    assert found.gib_seconds == 0


def test_a_reader_that_was_fed_nothing_knows_nothing() -> None:
    reader = RunReader()
    assert not reader.knows_application
    assert reader.result() == replace(RunMetrics(), complete=False)
