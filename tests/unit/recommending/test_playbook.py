"""What the next try gets, by cause."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_autoremed.recommending import recommend
from airflow_autoremed.recommending.playbook import PLAYS
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import PATCHABLE, jvm_flag
from airflow_autoremed.spark.limits import violations
from airflow_autoremed.spark.sizes import GIB, MIB
from airflow_autoremed.types import Classification, EvidenceLine, Limits, PastAttempt, Restartable, Side
from tests.support.decisions import said


def cause(category, text="", restartable=Restartable.WITH_CHANGES, rule="a-rule", **sizes):
    return Classification(
        category, rule, restartable, True, lines=(EvidenceLine(1, text),) if text else (), sizes=sizes
    )


def advise(category, conf, *, history=(), limits=None, text="", baseline=None, **sizes):
    past = [PastAttempt(c, category, succeeded=False) for c in history]
    first = history[0] if history else conf
    return recommend(cause(category, text, **sizes), baseline or first, conf, past, limits or Limits())


def container(size):
    return Limits(max_container_memory=size)


@pytest.mark.parametrize(
    ("category", "conf", "key", "value"),
    [
        ("executor_oom_heap", {"spark.executor.memory": "4g"}, "spark.executor.memory", "8g"),
        ("executor_oom_heap", {"spark.executor.memory": "600m"}, "spark.executor.memory", "1624m"),
        ("executor_oom_heap", {}, "spark.executor.memory", "2g"),
        ("executor_oom_overhead", {"spark.executor.memory": "4g"}, "spark.executor.memoryOverhead", "1433m"),
        (
            "executor_oom_overhead",
            {"spark.executor.memory": "4g", "spark.yarn.executor.memoryOverhead": "1024"},
            "spark.yarn.executor.memoryOverhead",
            "2g",
        ),
        (
            "executor_oom_python",
            {"spark.executor.memory": "4g", "spark.executor.pyspark.memory": "300m"},
            "spark.executor.pyspark.memory",
            "1324m",
        ),
        ("executor_oom_python", {"spark.executor.memory": "8g"}, "spark.executor.memoryOverhead", "1843m"),
        ("driver_oom_heap", {"spark.driver.memory": "2g"}, "spark.driver.memory", "4g"),
        ("driver_oom_overhead", {"spark.driver.memoryOverhead": "1g"}, "spark.driver.memoryOverhead", "2g"),
        ("driver_result_size", {"spark.driver.maxResultSize": "2m"}, "spark.driver.maxResultSize", "1g"),
    ],
)
def test_the_setting_that_was_too_small_grows(category, conf, key, value):
    advice = advise(category, conf)
    assert advice.conf[key] == value
    assert advice.changes[key] == (conf.get(key), value)
    assert set(advice.conf) == {*conf, key}


def test_needed_result_size_in_the_message_is_used_and_the_driver_can_hold_it():
    advice = advise("driver_result_size", {"spark.driver.maxResultSize": "1g"}, needed=3 * GIB)
    assert advice.conf["spark.driver.maxResultSize"] == "4608m"
    assert allocation.heap(advice.conf, "driver") > 4608 * MIB


def test_few_declared_partitions_are_raised_too():
    advice = advise("executor_oom_heap", {"spark.executor.memory": "2g", "spark.sql.shuffle.partitions": "1"})
    assert advice.conf["spark.sql.shuffle.partitions"] == "200"
    assert advice.conf["spark.executor.memory"] == "4g"


def test_with_memory_at_its_limit_each_task_gets_a_smaller_share():
    conf = {"spark.executor.memory": "2g", "spark.sql.shuffle.partitions": "4"}
    advice = advise("executor_oom_heap", conf, limits=container(2432 * MIB))
    assert advice.conf == {"spark.executor.memory": "2g", "spark.sql.shuffle.partitions": "200"}


def test_with_memory_at_its_limit_fewer_tasks_share_the_heap():
    conf = {"spark.executor.memory": "2g", "spark.executor.cores": "4"}
    advice = advise("executor_oom_heap", conf, limits=container(2432 * MIB))
    assert advice.conf["spark.executor.cores"] == "2"


def test_what_fits_is_taken_when_it_is_a_real_step_and_the_reason_says_so():
    advice = advise("executor_oom_heap", {"spark.executor.memory": "4g"}, limits=container(6 * GIB))
    assert 5 * GIB < allocation.heap(advice.conf, "executor") < 6 * GIB
    assert allocation.container(advice.conf, "executor") <= 6 * GIB
    assert "clamped" in said(advice)
    assert "largest container is 6g" in said(advice)


def test_what_does_not_fit_is_refused_in_numbers():
    advice = advise("executor_oom_heap", {"spark.executor.memory": "4g"}, limits=container(4600 * MIB))
    assert advice.conf is None
    assert "4g" in said(advice)
    assert "4600m" in said(advice)


def test_a_second_failure_of_the_same_cause_escalates_beyond_what_failed():
    first = {"spark.executor.memory": "2g"}
    second = dict(advise("executor_oom_heap", first).conf)
    third = advise("executor_oom_heap", second, history=[first])
    assert allocation.heap(third.conf, "executor") == 8 * GIB


def test_the_value_that_failed_counts_even_where_the_declared_conf_is_given():
    declared = {"spark.executor.memory": "2g"}
    advice = advise("executor_oom_heap", declared, history=[declared, {"spark.executor.memory": "4g"}])
    assert allocation.heap(advice.conf, "executor") > 4 * GIB


def test_no_chain_of_failures_climbs_over_the_growth_ceiling():
    conf = baseline = {"spark.executor.memory": "2g"}
    history = []
    while (advice := advise("executor_oom_heap", conf, history=history, baseline=baseline)).conf is not None:
        history.append(conf)
        conf = dict(advice.conf)
        assert len(history) < 10
    assert allocation.heap(conf, "executor") == 16 * GIB
    assert "8 times 2g" in said(advice)


def test_another_cause_is_judged_anew_and_keeps_what_the_first_one_needed():
    first = {"spark.executor.memory": "2g"}
    second = {"spark.executor.memory": "4g"}
    history = [PastAttempt(first, "executor_oom_heap", succeeded=False)]
    advice = recommend(cause("driver_oom_heap"), first, second, history, Limits())
    assert advice.conf == {"spark.executor.memory": "4g", "spark.driver.memory": "2g"}


@pytest.mark.parametrize(
    ("text", "conf", "sizes", "key", "value"),
    [
        (
            "Kryo serialization failed: Buffer overflow. Available: 0, required: 1048576",
            {"spark.kryoserializer.buffer.max": "1m"},
            {"needed": 1048576},
            "spark.kryoserializer.buffer.max",
            "64m",
        ),
        (
            "Serialized task 0:0 was 300000000 bytes, which exceeds max allowed: spark.rpc.message.maxSize (134217728 bytes)",
            {},
            {"needed": 300000000},
            "spark.rpc.message.maxSize",
            "573",
        ),
        ("Could not execute broadcast in 3 secs.", {"spark.sql.broadcastTimeout": "3"}, {}, "spark.sql.broadcastTimeout", "300"),
        (
            "Cannot broadcast the table that is larger than 10.0 MiB: 66.4 MiB.",
            {"spark.sql.maxBroadcastTableSize": "10m"},
            {"limit": 10 * MIB, "needed": 67 * MIB},
            "spark.sql.maxBroadcastTableSize",
            "101m",
        ),
        ("Cannot broadcast the table that is larger than 8.0 GiB: 9.1 GiB.", {}, {"needed": 10 * GIB}, "spark.sql.autoBroadcastJoinThreshold", "-1"),
        ("Executor memory 419430400 must be at least 471859200.", {"spark.executor.memory": "400m"}, {}, "spark.executor.memory", "1g"),
        ("System memory 400 must be at least 471859200. Please increase heap size using the --driver-memory option", {"spark.driver.memory": "400m"}, {}, "spark.driver.memory", "1g"),
        (
            "Required executor memory (6144 MB), offHeap memory (0) MB, overhead (614 MB) is above the max threshold (4096 MB)",
            {"spark.executor.memory": "6g"},
            {"executor_memory": 6 * GIB, "overhead": 614 * MIB, "threshold": 4 * GIB},
            "spark.executor.memory",
            "3482m",
        ),
    ],
)  # fmt: skip
def test_the_size_in_the_message_is_used(text, conf, sizes, key, value):
    categories = {"kryo": "serializer_buffer", "rpc": "serializer_buffer", "sql": "broadcast_oom_or_timeout"}
    category = next((c for word, c in categories.items() if word in key), "memory_request_invalid")
    assert advise(category, conf, text=text, **sizes).conf[key] == value


@pytest.mark.parametrize(
    ("category", "flag", "first", "second"),
    [
        ("metaspace_oom", "-XX:MaxMetaspaceSize=", 512 * MIB, 2 * GIB),
        ("stack_overflow", "-Xss", 64 * MIB, 256 * MIB),
    ],
)
def test_jvm_flags_are_set_where_the_failure_was_and_grow(category, flag, first, second):
    text = 'Exception in thread "main" java.lang.Error'
    conf = {"spark.driver.extraJavaOptions": "-Dmine=1 -Xss400k"}
    key = "spark.driver.extraJavaOptions"
    advice = advise(category, conf, text=text)
    assert jvm_flag(advice.conf[key], flag) == first
    assert advice.conf[key].startswith("-Dmine=1")
    assert "spark.executor.extraJavaOptions" not in advice.conf
    again = advise(category, dict(advice.conf), history=[conf], text=text)
    assert jvm_flag(again.conf[key], flag) == second


def test_off_heap_grows_where_the_author_switched_it_on():
    conf = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1m"}
    text = "[UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire 65536 bytes of memory, got 0"
    assert advise("executor_oom_heap", conf, text=text).conf["spark.memory.offHeap.size"] == "1025m"


def test_timeouts_declared_below_sparks_default_go_back_to_it():
    advice = recommend(
        cause("network_timeout", "Executor heartbeat timed out after 8238 ms", Restartable.AS_IS),
        {"spark.network.timeout": "8s"},
        {"spark.network.timeout": "8s"},
        (),
        Limits(),
    )
    assert advice.conf == {"spark.network.timeout": "120s"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ConnectionRefusedError: [Errno 111] Connection refused", "1"),
        ("Lost task 0.0 in stage 1.0 (TID 2): java.net.ConnectException: Connection refused", "4"),
    ],
)
def test_reruns_of_tasks_go_back_to_sparks_default_only_where_a_task_was_lost(text, expected):
    conf = {"spark.task.maxFailures": "1"}
    advice = recommend(cause("network_timeout", text, Restartable.AS_IS), conf, conf, (), Limits())
    assert advice.conf == {"spark.task.maxFailures": expected}


@pytest.mark.parametrize("category", ["network_timeout", "object_store_throttle", "executor_lost_preempted"])
def test_a_transient_fault_leaves_the_configuration_alone(category):
    conf = {"spark.executor.memory": "2g"}
    advice = recommend(cause(category, restartable=Restartable.AS_IS), conf, conf, (), Limits())
    assert advice.conf == conf
    assert advice.changes == {}


def test_a_full_disk_is_retried_once_and_then_refused():
    conf = {"spark.executor.memory": "2g"}
    assert advise("disk_full", conf).conf == conf
    assert advise("disk_full", conf, history=[conf]).conf is None


def test_an_unreadable_declared_value_is_taken_as_not_set_and_named():
    advice = advise("executor_oom_heap", {"spark.executor.memory": "lots"})
    assert allocation.heap(advice.conf, "executor") == 2 * GIB
    assert "'lots' cannot be read" in said(advice)


SIZE = st.integers(min_value=-1, max_value=300_000).map(lambda mib: f"{mib}m")
VALUE = st.one_of(SIZE, st.sampled_from(["", "4g", "0", "lots", "-1", "1.5g", "99999999999999999999g", "2"]))
CONF = st.dictionaries(st.sampled_from([*PATCHABLE, "spark.jars", "spark.app.name"]), VALUE, max_size=6)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(PLAYS)),
    CONF,
    st.lists(CONF, max_size=3),
    st.integers(min_value=256, max_value=100_000),
    st.sampled_from([None, 1, 4]),
    st.dictionaries(st.sampled_from(["needed", "used", "threshold", "overhead"]), st.integers(0, 2**40)),
)
def test_whatever_is_declared_the_advice_stays_within_limits_and_allow_list(
    category, conf, history, mib, cores, sizes
):
    limits = Limits(max_container_memory=mib * MIB, max_cores_per_executor=cores)
    advice = advise(category, conf, history=history, limits=limits, baseline=conf, **sizes)
    assert advice.conf is not None or said(advice).strip()
    if advice.conf is not None and advice.conf != conf:
        assert violations(advice.conf, conf, limits, category=category) == []
        assert set(advice.changes) <= set(PATCHABLE)
        assert {k: v for k, v in advice.conf.items() if k not in advice.changes} == {
            k: v for k, v in conf.items() if k not in advice.changes
        }


def test_the_name_of_a_rule_steers_nothing_and_its_fields_do():
    """A team's own rule may be called anything."""
    conf = {"spark.driver.memory": "1g", "spark.executor.memory": "1g"}

    def changed(**fields):
        named = replace(
            cause("metaspace_oom", "OutOfMemoryError: Metaspace", rule="team-driver-logs-x"), **fields
        )
        return sorted(recommend(named, conf, conf, (), Limits()).changes)

    both = ["spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"]
    assert changed() == both
    assert changed(side=Side.EXECUTOR) == both[1:]
    assert changed(side=Side.DRIVER) == both[:1]


def test_a_limit_that_no_patch_may_raise_is_named():
    own = replace(cause("serializer_buffer", "the team's own buffer is full"), setting="spark.team.buffer")
    advice = recommend(own, {}, {}, (), Limits())
    assert advice.conf is None
    assert "spark.team.buffer is not a setting that may be changed" in said(advice)
