"""The words of the project as frozen dataclasses: what the rooms hand to each other. No logic lives here.

A Spark configuration (:data:`Conf`) is always *flat*: full Spark keys (``spark.executor.memory``) to string
values as Spark reads them (``"4g"``). Memory in every other field is an ``int`` of bytes, time a ``float`` of
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Conf = Mapping[str, str]
"""A flat Spark configuration: full key to value as Spark reads it."""

UNKNOWN = "unknown"
"""The category of a failure that no rule matches."""


class Source(str, Enum):
    """Where a piece of evidence comes from."""

    EXCEPTION = "exception"
    DRIVER_LOG = "driver_log"
    EXECUTOR_LOG = "executor_log"
    PLATFORM = "platform"
    EVENT_LOG = "event_log"


class Restartable(str, Enum):
    """What a retry can bring."""

    AS_IS = "as_is"
    """A plain retry may work."""
    WITH_CHANGES = "with_changes"
    """Only a retry with another configuration can work."""
    NO = "no"
    """No retry works, whatever the configuration."""


class Action(str, Enum):
    """What is decided about a failed attempt."""

    REMEDIATE = "remediate"
    STOP = "stop"
    LEAVE_ALONE = "leave_alone"


class Mode(str, Enum):
    """How far the plugin may go."""

    ACT = "act"
    SHADOW = "shadow"
    """Decide and record, change nothing."""
    OFF = "off"


@dataclass(frozen=True)
class AttemptId:
    """One try of one task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int


@dataclass(frozen=True)
class EvidenceLine:
    """One line of evidence."""

    number: int
    """1-based position in its source."""
    text: str
    source: Source = Source.DRIVER_LOG


@dataclass(frozen=True)
class Match:
    """A rule that matched, with where and what it captured."""

    rule: str
    category: str
    rank: int
    lines: tuple[EvidenceLine, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Quantities captured from the message: bytes for memory, plain counts and seconds otherwise."""
    why_not: str = ""
    """For a runner-up: why it lost."""


@dataclass(frozen=True)
class Classification:
    """The verdict of the rules on a failure. ``category == "unknown"`` is a verdict too."""

    category: str
    rule: str | None
    restartable: Restartable
    memory_configuration: bool
    lines: tuple[EvidenceLine, ...] = ()
    """The deciding lines."""
    summary: str = ""
    """One sentence for a person: what happened."""
    hint: str = ""
    """One sentence for a person: what to do about it."""
    reference: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Quantities the deciding lines state, e.g. ``{"needed": 1079001088}`` (bytes)."""
    runners_up: tuple[Match, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Hard caps that no recommendation exceeds. ``None`` means: not limited by this."""

    max_container_memory: int | None = 64 * 1024**3
    """Largest container the cluster grants, in bytes: heap + overhead + off-heap + pyspark memory."""
    max_cores_per_executor: int | None = None
    max_executors: int | None = None
    max_total_memory: int | None = None
    """Bytes of all containers of the application together."""
    max_growth: float = 8.0
    """Ceiling for any memory setting, as a multiple of the task's declared (or Spark's default) value."""


@dataclass(frozen=True)
class PastAttempt:
    """An earlier attempt of the same task instance: what it ran with and how it ended."""

    conf: Conf
    category: str | None
    succeeded: bool
    duration_s: float | None = None
    try_number: int | None = None


@dataclass(frozen=True)
class Recommendation:
    """What the playbook (or a model) advises for the next try."""

    conf: Conf | None
    """The full configuration of the next try, or ``None``: no feasible retry."""
    reason: str
    """One readable sentence."""
    changes: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    """Changed keys only: ``(declared value or None, new value)``."""
    decided_by: str = "playbook"


@dataclass(frozen=True)
class Scope:
    """Which attempts a patch applies to. A scope with a missing part matches nothing."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    kind: str = "run"


@dataclass(frozen=True)
class Patch:
    """An RFC 6902 JSON Patch against the declared Spark configuration, with its scope."""

    operations: tuple[Mapping[str, Any], ...]
    scope: Scope
    from_try: int
    """The failed try whose verdict this is: the patch is meant for try ``from_try + 1``."""


@dataclass(frozen=True)
class Decision:
    """What is done about a failed attempt, with the reason in one line."""

    action: Action
    reason: str
    classification: Classification
    conf: Conf
    """The full configuration of the next try (the unchanged one unless ``action`` is ``remediate``)."""
    patch: Patch | None = None
    changes: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    decided_by: str = "rules"


@dataclass(frozen=True)
class FailedAttempt:
    """Everything the pipeline is told about a failure besides its log."""

    attempt: AttemptId
    baseline: Conf
    """The configuration the Dag author declared."""
    effective: Conf
    """The configuration this attempt ran with (baseline plus patch)."""
    retries_left: int
    history: tuple[PastAttempt, ...] = ()
    """Earlier attempts of this task instance, oldest first, without this one."""
    duration_s: float | None = None
