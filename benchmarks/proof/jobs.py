"""The jobs: which program, with which hidden size, under which declared configuration, and what is wrong with it.

Sizes are drawn from a seed by family and number. Odd numbers draw from the *held-out* seed, which was not used while
rules and playbook were developed; even ones from the development seed. The label (what is wrong, by the taxonomy)
belongs to the family and is fixed before anything runs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from airflow_autoremed.spark.sizes import MIB
from airflow_autoremed.types import Conf

DEVELOPMENT, HELD_OUT = 7, 20261128
SMALL_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""What the cluster's administrator has set: short-lived JVMs on two cores."""
LARGEST = 12 * 1024 * MIB
"""Largest container of the cluster, bytes."""
_LADDER = 1.25
"""Ratio of neighbouring sizes that the oracle tells apart."""


class Kind(str, Enum):
    """What a retry can do about it."""

    CURABLE = "curable"
    """Another configuration cures it, none of the declared kind does."""
    TRANSIENT = "transient"
    """A plain retry cures it."""
    INCURABLE = "incurable"


@dataclass(frozen=True)
class Job:
    """One misconfigured, unlucky or broken Spark job."""

    id: str
    family: str
    kind: Kind
    program: str
    parameters: Mapping[str, Any]
    declared: Conf
    labels: tuple[str, ...]
    """Categories of the taxonomy that name the cause rightly."""
    held_out: bool
    container: str = ""
    """How the emulated platform kills a container that outgrows its memory: ``k8s`` (SIGKILL), ``yarn`` (SIGTERM) or
    ``largest`` (SIGKILL to the largest process, as the kernel does); empty: it does not."""
    oracle: tuple[Conf, ...] = field(default=())
    """Changes that might cure it, cheapest first; passing is monotone along them."""

    @property
    def memory(self) -> bool:
        """Whether it is a memory-configuration failure."""
        return any("oom" in label or label in ("memory_request_invalid",) for label in self.labels)

    def arguments(self, attempt: int) -> list[str]:
        return [self.program, json.dumps(dict(self.parameters)), str(attempt)]


BASE: Conf = {
    "spark.executor.instances": "1",
    "spark.executor.cores": "1",
    "spark.cores.max": "1",
    "spark.executor.memory": "700m",
    "spark.driver.memory": "700m",
}


def ladder(key: str, start_mb: int, largest_mb: int = 9000) -> tuple[Conf, ...]:
    """Sizes of *key* from *start_mb* up."""
    sizes, size = [], float(start_mb)
    while size < largest_mb:
        sizes.append({key: f"{round(size)}m"})
        size *= _LADDER
    return tuple(sizes)


Draw = Callable[[random.Random], tuple[dict[str, Any], dict[str, str], str]]
"""Parameters, settings beside :data:`BASE`, and how containers are killed."""


@dataclass(frozen=True)
class Family:
    """Jobs that are wrong in the same way, by different amounts."""

    name: str
    program: str
    labels: tuple[str, ...]
    count: int
    draw: Draw
    oracle: Callable[[Conf], tuple[Conf, ...]]


def _plain(**ranges: tuple[int, int]) -> Draw:
    return lambda rng: ({name: rng.randint(*bounds) for name, bounds in ranges.items()}, {}, "")


def _with(conf: Mapping[str, str], **ranges: tuple[int, int]) -> Draw:
    return lambda rng: ({name: rng.randint(*bounds) for name, bounds in ranges.items()}, dict(conf), "")


def _agg(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    size = {"mb": round(200 * 3.0 ** rng.random()), "row_kb": rng.choice((100, 400, 1000, 2000))}
    return size, {"spark.executor.memory": rng.choice(("600m", "700m", "800m"))}, ""


def _skew(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    size = {"mb": rng.randint(500, 1500), "keys": rng.randint(30, 120)}
    return size, {"spark.sql.shuffle.partitions": str(rng.choice((1, 2)))}, ""


def _python(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    killed = rng.choice(("k8s", "yarn", "largest"))
    return (
        {"mb": round(740 * 3.5 ** rng.random())},
        {"spark.executor.memory": "600m", "spark.executor.memoryOverhead": "400m"},
        killed,
    )


def _python_limit(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    return {"mb": round(350 * 5.0 ** rng.random())}, {"spark.executor.pyspark.memory": "300m"}, ""


def _pandas(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.executor.pyspark.memory": "400m", "spark.executor.memory": "2g"}
    return {"mb": rng.randint(120, 320)}, conf, ""


def _collect(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.driver.memory": "512m", "spark.driver.maxResultSize": "0", "spark.executor.memory": "2g"}
    return {"mb": round(480 * 2.2 ** rng.random())}, conf, ""


def _broadcast(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.driver.memory": "520m", "spark.driver.maxResultSize": "0", "spark.executor.memory": "3g"}
    return {"mb": round(200 * 3.0 ** rng.random())}, conf, ""


def _result_size(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.driver.maxResultSize": f"{rng.choice((4, 8, 16))}m", "spark.driver.memory": "1g"}
    return {"mb": rng.randint(40, 200)}, conf, ""


def _rpc(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    return {"mb": rng.randint(4, 40)}, {"spark.rpc.message.maxSize": "1"}, ""


def _metaspace(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.driver.extraJavaOptions": f"{SMALL_JVM} -XX:MaxMetaspaceSize={rng.randint(60, 85)}m"}
    return {"queries": rng.randint(40, 80)}, conf, ""


def _stack(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    return (
        {"depth": rng.randint(700, 1400)},
        {"spark.driver.extraJavaOptions": f"{SMALL_JVM} -Xss{rng.choice((320, 400))}k"},
        "",
    )


def _off_heap(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1m"}
    return {"mb": rng.randint(60, 150)}, conf, ""


def _slow_broadcast(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {"spark.sql.broadcastTimeout": str(rng.randint(2, 4)), "spark.sql.adaptive.enabled": "false"}
    return {"seconds": rng.randint(8, 15)}, conf, ""


def _frozen(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    conf = {
        "spark.network.timeout": "8s",
        "spark.network.timeoutInterval": "2s",
        "spark.executor.heartbeatInterval": "2s",
    }
    return {"seconds": rng.randint(14, 18)}, conf, ""


def _too_small(rng: random.Random) -> tuple[dict[str, Any], dict[str, str], str]:
    return {}, {"spark.executor.memory": f"{rng.randint(300, 440)}m"}, ""


def _heap(conf: Conf) -> tuple[Conf, ...]:
    return ladder("spark.executor.memory", int(conf["spark.executor.memory"].rstrip("m")))


def _partitions_or_heap(conf: Conf) -> tuple[Conf, ...]:
    return ({"spark.sql.shuffle.partitions": "200"}, *_heap(conf))


def _driver_heap(conf: Conf) -> tuple[Conf, ...]:
    declared = conf["spark.driver.memory"]
    return ladder("spark.driver.memory", 1024 if declared.endswith("g") else int(declared.rstrip("m")))


def _once(**_: str) -> Callable[[Conf], tuple[Conf, ...]]:
    return lambda conf: ({key.replace("__", "."): value for key, value in _.items()},)


HEAP, DRIVER = "executor_oom_heap", "driver_oom_heap"
OVERHEAD, PYTHON = "executor_oom_overhead", "executor_oom_python"

FAMILIES = (
    Family("few large groups", "agg_collect", (HEAP,), 6, _agg, _heap),
    Family("wide rows", "wide_rows", (HEAP,), 3, _plain(mb=(165, 350)), _heap),
    Family("skew", "skew", (HEAP,), 5, _skew, _partitions_or_heap),
    Family(
        "Python beside the heap",
        "python_list",
        (OVERHEAD, PYTHON),
        5,
        _python,
        lambda conf: ladder("spark.executor.memoryOverhead", 400),
    ),
    Family(
        "Python's own limit",
        "python_list",
        (PYTHON,),
        3,
        _python_limit,
        lambda conf: ladder("spark.executor.pyspark.memory", 300),
    ),
    Family(
        "pandas groups",
        "pandas_group",
        (PYTHON,),
        2,
        _pandas,
        lambda conf: ladder("spark.executor.pyspark.memory", 400),
    ),
    Family("driver collect", "driver_collect", (DRIVER,), 3, _collect, _driver_heap),
    Family(
        "driver broadcast",
        "driver_broadcast",
        (DRIVER, "broadcast_oom_or_timeout"),
        2,
        _broadcast,
        _driver_heap,
    ),
    Family(
        "result size",
        "result_size",
        ("driver_result_size",),
        2,
        _result_size,
        lambda conf: tuple(
            {"spark.driver.maxResultSize": "1g", **more}
            for more in ({}, *ladder("spark.driver.memory", 1024))
        ),
    ),
    Family(
        "RPC message",
        "rpc_message",
        ("serializer_buffer",),
        1,
        _rpc,
        _once(spark__rpc__message__maxSize="128"),
    ),
    Family(
        "metaspace",
        "many_classes",
        ("metaspace_oom",),
        1,
        _metaspace,
        _once(spark__driver__extraJavaOptions=f"{SMALL_JVM} -XX:MaxMetaspaceSize=512m"),
    ),
    Family(
        "stack depth",
        "deep_expression",
        ("stack_overflow",),
        1,
        _stack,
        _once(spark__driver__extraJavaOptions=f"{SMALL_JVM} -Xss64m"),
    ),
    Family(
        "off-heap pool",
        "off_heap_sort",
        ("direct_memory_oom", HEAP),
        1,
        _off_heap,
        lambda conf: ladder("spark.memory.offHeap.size", 16),
    ),
    Family(
        "broadcast time-out",
        "slow_broadcast",
        ("broadcast_oom_or_timeout",),
        1,
        _slow_broadcast,
        _once(spark__sql__broadcastTimeout="300"),
    ),
    Family(
        "network time-out",
        "frozen_executor",
        ("network_timeout", "executor_lost_preempted"),
        1,
        _frozen,
        _once(spark__network__timeout="120s"),
    ),
    Family(
        "request below the minimum",
        "healthy",
        ("memory_request_invalid",),
        1,
        _too_small,
        lambda conf: ladder("spark.executor.memory", 450),
    ),
)

TRANSIENT = (
    ("refused", 1, ("network_timeout",)),
    ("refused", 2, ("network_timeout",)),
    ("unavailable", 1, ("network_timeout", "resource_unavailable")),
    ("unavailable", 2, ("network_timeout", "resource_unavailable")),
    ("reset", 1, ("network_timeout",)),
    ("lost_executor", 1, ("executor_lost_preempted",)),
)

INCURABLE = (
    ("missing_table", "missing_data"),
    ("missing_path", "missing_data"),
    ("missing_column", "schema_or_analysis_error"),
    ("syntax", "schema_or_analysis_error"),
    ("ambiguous", "schema_or_analysis_error"),
    ("type_mismatch", "schema_or_analysis_error"),
    ("cast", "bad_data"),
    ("division", "bad_data"),
    ("unknown_function", "schema_or_analysis_error"),
    ("table_exists", "schema_or_analysis_error"),
    ("no_module", "dependency_missing"),
    ("no_module_task", "dependency_missing"),
    ("zero_division", "user_code_error"),
    ("key_error", "user_code_error"),
    ("task_value", "user_code_error"),
    ("csv_failfast", "bad_data"),
    ("corrupt_parquet", "bad_data"),
    ("no_file_system", "dependency_missing"),
    ("no_jdbc_driver", "dependency_missing"),
    ("permission", "auth_permission"),
    ("bad_json", "user_code_error"),
    ("contract", "user_code_error"),
)


def all_jobs(*, development: bool = False) -> list[Job]:
    """Every job, the same ones each time.

    :param development: draw all sizes from the development seed, in order not to look at the others.
    """
    return [*_curable(development), *_transient(development), *_incurable(development)]


def _rng(family: str, number: int, development: bool = False) -> tuple[random.Random, bool]:
    held_out = number % 2 == 1 and not development
    return random.Random(f"{HELD_OUT if held_out else DEVELOPMENT}:{family}:{number}"), held_out


def _curable(development: bool) -> Iterator[Job]:
    for index, family in enumerate(FAMILIES):
        for number in range(family.count):
            # Families of one job take turns, so that half of them are held out too.
            turn = number + (index if family.count == 1 else 0)
            rng, held_out = _rng(family.name, turn, development)
            parameters, conf, container = family.draw(rng)
            declared = {**BASE, **conf}
            yield Job(
                f"{family.name} {number + 1}",
                family.name,
                Kind.CURABLE,
                family.program,
                parameters,
                declared,
                family.labels,
                held_out,
                container,
                family.oracle(declared),
            )


def _transient(development: bool) -> Iterator[Job]:
    for number, (program, fails, labels) in enumerate(TRANSIENT):
        _, held_out = _rng("transient", number, development)
        yield Job(
            f"{program} {fails}x",
            "faults that pass",
            Kind.TRANSIENT,
            program,
            {"fails": fails},
            BASE,
            labels,
            held_out,
        )


def _incurable(development: bool) -> Iterator[Job]:
    words = ("sales", "clicks", "invoices", "players", "sensors", "parcels", "visits", "claims")
    for number, (how, label) in enumerate(INCURABLE):
        rng, held_out = _rng(how, number, development)
        yield Job(
            how.replace("_", " "),
            "mistakes",
            Kind.INCURABLE,
            "broken",
            {"how": how, "name": rng.choice(words)},
            BASE,
            (label,),
            held_out,
        )


def short() -> list[Job]:
    """The sixteen of the short form: the first of the quicker families, two faults, five mistakes."""
    wanted = {
        "few large groups 1",
        "skew 1",
        "Python beside the heap 1",
        "Python's own limit 1",
        "driver collect 1",
        "result size 1",
        "RPC message 1",
        "broadcast time-out 1",
        "request below the minimum 1",
        "refused 1x",
        "unavailable 2x",
        "missing table",
        "cast",
        "no module",
        "zero division",
        "permission",
    }
    return [job for job in all_jobs() if job.id in wanted]
