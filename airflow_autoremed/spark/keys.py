"""The Spark settings that remediation may touch: an allow-list of resources, each with unit, range and default.

Defaults and units are those of Spark's configuration page (4.1). What is not listed here cannot be patched,
whatever a stored patch says: above all nothing that runs code, loads files or opens a door. Of the JVM options
only sized flags that we build ourselves may differ (:func:`jvm_flags_only_differ_in_sizes`), and only they are ever
written down (:func:`carried`): the others may hold passwords.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from airflow_autoremed.spark.sizes import GIB, KIB, MIB, format_bytes, parse_bytes, parse_seconds
from airflow_autoremed.types import Conf

Kind = Literal["memory", "count", "duration", "ratio", "flag", "jvm_flags"]


class KeySpec(NamedTuple):
    """One setting."""

    kind: Kind
    unit: str = ""
    """Unit of a bare number: ``b``, ``k``, ``m`` for memory, ``s`` or ``ms`` for durations."""
    default: float | None = None
    """Spark's default in bytes, seconds or plain; ``None`` where it depends on other settings."""
    minimum: float = 0
    maximum: float = float("inf")
    bare: bool = False
    """Whether Spark wants a bare number in *unit* rather than a size with a suffix."""
    footprint: bool = False
    """Whether the growth ceiling applies: memory that a container has to hold."""

    def parse(self, text: str) -> float:
        """The value in bytes, seconds or plain.

        :raises ValueError: when Spark would not read it, or it is out of range.
        """
        value = self.read(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{text!r} is out of range ({self.minimum:g} to {self.maximum:g})")
        return value

    def read(self, text: str) -> float:
        """The value, whatever the range: what is below Spark's minimum is too small, not unreadable.

        :raises ValueError: when Spark would not read it.
        """
        if self.kind == "memory":
            return parse_bytes(text, self.unit)
        if self.kind == "duration":
            return parse_seconds(text, self.unit)
        if self.kind == "count":
            if not re.fullmatch(r"\s*-?[0-9]{1,10}\s*", text):
                raise ValueError(f"{text!r} is not a whole number")
            return int(text)
        if self.kind == "ratio":
            if not re.fullmatch(r"\s*[0-9]{0,3}\.?[0-9]{1,6}\s*", text):
                raise ValueError(f"{text!r} is not a number")
            return float(text)
        if self.kind == "flag":
            if text.strip().lower() not in ("true", "false"):
                raise ValueError(f"{text!r} is neither true nor false")
            return float(text.strip().lower() == "true")
        raise ValueError("JVM options have no single value")

    def format(self, value: float) -> str:
        """*value* (bytes, seconds or plain) in the spelling that Spark wants for this key."""
        if self.kind == "memory":
            if not self.bare:
                return format_bytes(int(value))
            unit = {"b": 1, "k": KIB, "m": MIB}[self.unit]
            return str(-(-int(value) // unit))
        if self.kind == "duration":
            return str(round(value)) if self.bare else f"{round(value)}s"
        return f"{value:g}" if self.kind == "ratio" else str(int(value))


_HEAP_MINIMUM = 450 * MIB
"""Spark refuses less: 1.5 x the 300 MiB it reserves (``UnifiedMemoryManager``)."""


def _heap() -> KeySpec:
    return KeySpec("memory", "m", 1 * GIB, _HEAP_MINIMUM, 4096 * GIB, footprint=True)


def _overhead() -> KeySpec:
    return KeySpec("memory", "m", None, 0, 4096 * GIB, footprint=True)


PATCHABLE: Mapping[str, KeySpec] = {
    "spark.executor.memory": _heap(),
    "spark.driver.memory": _heap(),
    "spark.executor.memoryOverhead": _overhead(),
    "spark.driver.memoryOverhead": _overhead(),
    "spark.yarn.executor.memoryOverhead": _overhead(),
    "spark.yarn.driver.memoryOverhead": _overhead(),
    "spark.executor.memoryOverheadFactor": KeySpec("ratio", default=0.1, minimum=0.01, maximum=2),
    "spark.driver.memoryOverheadFactor": KeySpec("ratio", default=0.1, minimum=0.01, maximum=2),
    "spark.executor.pyspark.memory": KeySpec("memory", "m", None, 0, 4096 * GIB, footprint=True),
    "spark.memory.offHeap.enabled": KeySpec("flag", default=0),
    "spark.memory.offHeap.size": KeySpec("memory", "b", None, 0, 4096 * GIB, footprint=True),
    "spark.comet.memoryOverhead": KeySpec("memory", "m", None, 0, 4096 * GIB, footprint=True),
    "spark.memory.fraction": KeySpec("ratio", default=0.6, minimum=0.1, maximum=0.9),
    "spark.executor.cores": KeySpec("count", default=1, minimum=1, maximum=1024),
    "spark.task.cpus": KeySpec("count", default=1, minimum=1, maximum=1024),
    "spark.executor.instances": KeySpec("count", minimum=1, maximum=100_000),
    "spark.cores.max": KeySpec("count", minimum=1, maximum=1_000_000),
    "spark.dynamicAllocation.maxExecutors": KeySpec("count", minimum=1, maximum=100_000),
    "spark.sql.shuffle.partitions": KeySpec("count", default=200, minimum=1, maximum=100_000),
    "spark.default.parallelism": KeySpec("count", minimum=1, maximum=100_000),
    "spark.sql.execution.arrow.maxRecordsPerBatch": KeySpec(
        "count", default=10_000, minimum=1, maximum=10_000_000
    ),
    "spark.rapids.sql.concurrentGpuTasks": KeySpec("count", default=2, minimum=1, maximum=64),
    "spark.rapids.sql.batchSizeBytes": KeySpec("memory", "b", 1 * GIB, 1 * MIB, 2047 * MIB),
    "spark.driver.maxResultSize": KeySpec("memory", "b", 1 * GIB, 0, 4096 * GIB),
    "spark.sql.autoBroadcastJoinThreshold": KeySpec("memory", "b", 10 * MIB, -1, 8 * GIB, bare=True),
    "spark.sql.broadcastTimeout": KeySpec("duration", "s", 300, 1, 86_400, bare=True),
    "spark.sql.maxBroadcastTableSize": KeySpec("memory", "b", 8 * GIB, 1 * MIB, 8 * GIB),
    "spark.kryoserializer.buffer": KeySpec("memory", "k", 64 * KIB, 1 * KIB, 2047 * MIB),
    "spark.kryoserializer.buffer.max": KeySpec("memory", "m", 64 * MIB, 1 * MIB, 2047 * MIB),
    "spark.rpc.message.maxSize": KeySpec("memory", "m", 128 * MIB, 1 * MIB, 2047 * MIB, bare=True),
    "spark.connect.grpc.maxInboundMessageSize": KeySpec(
        "memory", "b", 128 * MIB, 1 * MIB, 2047 * MIB, bare=True
    ),
    "spark.reducer.maxSizeInFlight": KeySpec("memory", "m", 48 * MIB, 1 * MIB, 2047 * MIB),
    "spark.maxRemoteBlockSizeFetchToMem": KeySpec("memory", "b", 200 * MIB, 1 * MIB, 2047 * MIB),
    "spark.port.maxRetries": KeySpec("count", default=16, minimum=0, maximum=1000),
    "spark.network.timeout": KeySpec("duration", "s", 120, 1, 86_400),
    "spark.executor.heartbeatInterval": KeySpec("duration", "ms", 10, 1, 3_600),
    "spark.rpc.askTimeout": KeySpec("duration", "s", 120, 1, 86_400),
    "spark.shuffle.io.maxRetries": KeySpec("count", default=3, minimum=0, maximum=100),
    "spark.shuffle.io.retryWait": KeySpec("duration", "s", 5, 0, 600),
    "spark.stage.maxConsecutiveAttempts": KeySpec("count", default=4, minimum=1, maximum=50),
    "spark.task.maxFailures": KeySpec("count", default=4, minimum=1, maximum=50),
    "spark.driver.extraJavaOptions": KeySpec("jvm_flags"),
    "spark.executor.extraJavaOptions": KeySpec("jvm_flags"),
}
"""Setting to what it is."""

NETTY_DIRECT = "-Dio.netty.maxDirectMemory="
"""Netty's own limit of direct memory: a whole number of bytes, because Netty reads no unit."""
SIZED_FLAGS = ("-Xss", "-XX:MaxMetaspaceSize=", "-XX:MaxDirectMemorySize=", NETTY_DIRECT)
"""The only JVM options that remediation writes."""

_SIZED_FLAG = (
    rf"(?:{'|'.join(re.escape(flag) for flag in SIZED_FLAGS if flag != NETTY_DIRECT)})[0-9]{{1,7}}[kKmMgG]"
    rf"|{re.escape(NETTY_DIRECT)}[0-9]{{1,12}}"
)
_CARRIED_FLAG = rf"(?:{'|'.join(map(re.escape, SIZED_FLAGS))})[0-9]{{1,12}}[kKmMgGtT]?"
_OTHERS = "others:"
_LARGEST_FLAG = 16 * GIB


def jvm_flag(options: str, flag: str) -> int | None:
    """The bytes of a sized *flag* (one of :data:`SIZED_FLAGS`) in *options*; ``None`` where it is not set."""
    for word in reversed(options.split()):
        if word.startswith(flag):
            try:
                return parse_bytes(word[len(flag) :])
            except ValueError:
                return None
    return None


def with_jvm_flag(options: str, flag: str, size: int) -> str:
    """*options* with the sized *flag* set to *size* bytes; every other option as it is."""
    if flag not in SIZED_FLAGS:
        raise ValueError(f"{flag!r} is not one of {', '.join(SIZED_FLAGS)}")
    kept = [word for word in options.split() if not word.startswith(flag)]
    return " ".join([*kept, f"{flag}{size if flag == NETTY_DIRECT else format_bytes(size)}"])


def sized_flags(options: str) -> list[str]:
    """The words of *options* that are sized flags."""
    return [word for word in options.split() if re.fullmatch(_CARRIED_FLAG, word)]


def carried(conf: Conf) -> dict[str, str]:
    """*conf* as it may leave the attempt, for a log, a store or the next attempt: of JVM options the sized flags, and a
    mark that changes when the others do.

    The mark is short on purpose: it tells a change, and does not tell a guessed password from ten thousand others.
    """
    return {key: _carried(value) if _is_jvm_flags(key) else value for key, value in conf.items()}


def _carried(options: str) -> str:
    sized, others = sized_flags(options), _others(options)
    if others:
        sized.append(_OTHERS + hashlib.sha256("\0".join(others).encode("utf-8", "replace")).hexdigest()[:4])
    return " ".join(sized)


def restored(values: Conf, declared: Conf) -> dict[str, str]:
    """*values* that were :func:`carried`, as the task can run with them: with the other JVM options of *declared*.

    :raises ValueError: when *declared* has other ones by now, or *values* hold anything but sized flags.
    """
    return {
        key: _restored(value, declared.get(key, "")) if _is_jvm_flags(key) else value
        for key, value in values.items()
    }


def _restored(value: str, declared: str) -> str:
    if value == _carried(declared):
        return declared
    marks = [word for word in value.split() if word.startswith(_OTHERS)]
    sized = sized_flags(value)
    if len(marks) + len(sized) != len(value.split()):
        raise ValueError("it changes JVM options that no patch may change")
    others = _others(declared)
    if marks != _carried(" ".join(others)).split():
        raise ValueError("the task declares other JVM options by now")
    return " ".join([*others, *sized])


def _others(options: str) -> list[str]:
    return [word for word in options.split() if not re.fullmatch(_CARRIED_FLAG, word)]


def _is_jvm_flags(key: str) -> bool:
    return key in PATCHABLE and PATCHABLE[key].kind == "jvm_flags"


def jvm_flags_only_differ_in_sizes(declared: str, patched: str) -> bool:
    """Whether *patched* differs from *declared* in nothing but sized flags of a sensible size."""

    def others(options: str) -> list[str]:
        return [word for word in options.split() if not word.startswith(SIZED_FLAGS)]

    sized = [word for word in patched.split() if word.startswith(SIZED_FLAGS)]
    new = [word for word in sized if word not in declared.split()]
    if others(declared) != others(patched) or not all(re.fullmatch(_SIZED_FLAG, word) for word in new):
        return False
    return all((jvm_flag(patched, flag) or 0) <= _LARGEST_FLAG for flag in SIZED_FLAGS)
