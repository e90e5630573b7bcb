"""The words of the project as frozen dataclasses: what the rooms hand to each other.

A Spark configuration (:data:`Conf`) is always *flat*: full Spark keys (``spark.executor.memory``) to string
values as Spark reads them (``"4g"``). Memory in every other field is an ``int`` of bytes, time a ``float`` of
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol

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


class Side(str, Enum):
    """Which process of the application failed."""

    DRIVER = "driver"
    EXECUTOR = "executor"


class Pool(str, Enum):
    """Which memory of a process ran out."""

    HEAP = "heap"
    OVERHEAD = "overhead"
    PYTHON = "python"
    OFF_HEAP = "off_heap"
    DIRECT = "direct"
    METASPACE = "metaspace"
    STACK = "stack"
    DEVICE = "device"


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


class Override(NamedTuple):
    """A mode that a person set, and until when: for one task, a Dag, a category of failures, or, where all three are
    empty, for everything."""

    mode: Mode
    who: str
    why: str
    at: datetime
    dag_id: str = ""
    task_id: str = ""
    """Of the Dag; empty: all its tasks."""
    category: str = ""
    id: int = 0
    """In the store."""
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_why: str | None = None

    @property
    def place(self) -> str:
        """What it holds for, in words."""
        if self.category:
            return f"failures of the category {self.category}"
        if self.task_id:
            return f"the task {self.dag_id}.{self.task_id}"
        return f"the Dag {self.dag_id}" if self.dag_id else "everything"


@dataclass(frozen=True)
class AttemptId:
    """One try of one task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

    def __str__(self) -> str:
        """Its name in messages and audit trails: ``daily.load[3] manual__2026-01-01 try 2``."""
        return f"{self.instance} {self.run_id} try {self.try_number}"

    @property
    def task(self) -> str:
        """``daily.load``: the task, whatever run or mapped instance."""
        return f"{self.dag_id}.{self.task_id}"

    @property
    def instance(self) -> str:
        """``daily.load[3]``: the task with the index of a mapped instance."""
        return self.task if self.map_index < 0 else f"{self.task}[{self.map_index}]"

    def previous(self) -> AttemptId:
        """The try right before this one of the same task instance."""
        return replace(self, try_number=self.try_number - 1)

    def next(self) -> AttemptId:
        """The try right after this one of the same task instance."""
        return replace(self, try_number=self.try_number + 1)


@dataclass(frozen=True)
class EvidenceLine:
    """One line of evidence."""

    number: int
    """1-based position in its source."""
    text: str
    source: Source = Source.DRIVER_LOG


@dataclass(frozen=True)
class Link:
    """One link of a failure chain."""

    what: str
    """What it is: ``exception``, ``caused by``, ``task lost``, ``executor lost``, ``verdict``, ..."""
    line: EvidenceLine


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
    side: Side | None = None
    """``None``: the cause does not say which."""
    pool: Pool | None = None
    setting: str = ""
    """The Spark setting whose limit was hit, where the rule knows it."""
    indivisible: bool = False
    """Whether what ran out is needed at once by one task, so that more partitions do not help."""
    runners_up: tuple[Match, ...] = ()
    chain: tuple[Link, ...] = ()
    """From what ended the run down to its root cause."""
    unseen: tuple[str, ...] = ()
    """What would tell more and was not at hand, each as a short phrase."""


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
    remediated: bool = False
    """Whether the try after it was given another configuration because of it."""
    patch_ignored: bool = False
    """Whether the operator submitted something else than the patch gave it."""


class Advice(str, Enum):
    """What is advised about a failure, before any gate."""

    CHANGE = "change"
    """Retry with another configuration."""
    PLAIN_RETRY = "plain_retry"
    """Retry as before."""
    NO_KNOWN_CURE = "no_known_cure"
    """The cause is known, and no setting that cures it is."""
    UNCLASSIFIED = "unclassified"
    """No rule names the cause."""
    INCURABLE = "incurable"
    """Whatever the configuration, a retry fails."""
    NO_ROOM = "no_room"
    """What would cure it does not fit within the limits."""
    NOT_WORTH_IT = "not_worth_it"
    """A model predicts that every retry within the limits fails."""


@dataclass(frozen=True)
class Shortage:
    """Why no configuration within the limits can cure a failure."""

    limit: str
    """The name of the limit that is in the way (``max_growth``, ``max_container_memory``, ``max_total_memory``,
    ``cluster`` for what the cluster grants, ``setting`` for a setting's own maximum), or empty."""
    text: str
    """In numbers, for a person: a clause without a full stop."""


@dataclass(frozen=True)
class Odds:
    """What a model predicts of the best retry."""

    fails: float
    """P(fail), 0 to 1."""
    similar: int
    """Attempts like it that the model has learned from."""
    model: str
    threshold: float | None = None
    """P(fail) above which no retry is made, where that decided."""
    relative_cost: float | None = None
    """Of the chosen configuration, as a multiple of the playbook's, where it was chosen."""


@dataclass(frozen=True)
class HeldBack:
    """A gate that changed a decision."""

    gate: str
    """Its name in :mod:`airflow_autoremed.remediation.gates`."""
    why: str
    """For a person: a clause without a full stop."""


Changes = Mapping[str, tuple[str | None, str]]
"""Setting to (the value that the failed attempt ran with, or ``None``; the new value)."""


@dataclass(frozen=True)
class Reason:
    """Why a decision was made, as data. :mod:`airflow_autoremed.remediation.reasons` renders it."""

    what_failed: str
    """One sentence for a person."""
    advice: Advice
    changes: Changes = field(default_factory=dict)
    """What is advised to change, also where a gate held it back."""
    notes: tuple[str, ...] = ()
    """For a person: clauses about the changes, such as a value that was clamped."""
    shortage: Shortage | None = None
    odds: Odds | None = None
    held_back: HeldBack | None = None
    lost_attempt: int | None = None
    """The number of the attempt, where it was lost with its worker and judged afterwards."""


@dataclass(frozen=True)
class Recommendation:
    """What the playbook (or a model) advises for the next attempt."""

    conf: Conf | None
    """The full configuration of the next attempt, or ``None``: no feasible retry."""
    advice: Advice
    changes: Changes = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shortage: Shortage | None = None
    odds: Odds | None = None
    decided_by: str = "playbook"


ANY = "*"
"""Every run, or every job fingerprint, in a scope of the kind ``task``: said, never left out."""
FLOOR = "floor"
"""In place of a category, of the patch that is a task's floor (:mod:`airflow_autoremed.recommending.need`)."""
RIGHT_SIZED = "right_sized"
"""In place of a category, of a patch that gives a task less than it declares: the first failure takes it back."""
ANY_MAP_INDEX = -2
"""Every mapped instance, in a scope of the kind ``task``. (-1 is Airflow's index of a task that is not mapped.)"""


@dataclass(frozen=True)
class Scope:
    """Which attempts a patch applies to. A scope with a missing part matches nothing."""

    dag_id: str
    run_id: str
    """:data:`ANY` for the kind ``task``."""
    task_id: str
    map_index: int
    kind: str = "run"
    """``run``: the next try of one task instance. ``task``: every coming run of the task."""
    fingerprint: str = ANY
    """Of the job (see :func:`airflow_autoremed.spark.fingerprint.fingerprint`) that it is for; :data:`ANY`: of
    any."""


class PatchState(str, Enum):
    """Where a patch stands in its life."""

    PROPOSED = "proposed"
    """Decided, and not yet applied to a try."""
    ACTIVE = "active"
    """Applied to a try that has not ended yet."""
    PROVEN = "proven"
    """The patched try succeeded."""
    PROMOTED = "promoted"
    """In force for every coming run of the task."""
    EXPIRED = "expired"
    """Too old, or unused for too long: the next run shows whether it is still needed."""
    REVOKED = "revoked"
    """Did not help, cost more than it saved, or was taken back by a person."""
    SUPERSEDED = "superseded"
    """Another patch, or an edit of the author, took its place."""


@dataclass(frozen=True)
class Patch:
    """An RFC 6902 JSON Patch against the declared Spark configuration, with its scope."""

    operations: tuple[Mapping[str, Any], ...]
    scope: Scope
    from_try: int
    """The failed try whose verdict this is: the patch is meant for try ``from_try + 1``."""


@dataclass(frozen=True)
class Decision:
    """What is done about a failed attempt, and why."""

    action: Action
    reason: Reason
    classification: Classification
    conf: Conf
    """The full configuration of the next attempt (the unchanged one unless ``action`` is ``remediate``)."""
    patch: Patch | None = None
    decided_by: str = "rules"

    @property
    def changes(self) -> Changes:
        """What the next attempt changes; nothing unless it is remediated."""
        return self.reason.changes if self.action is Action.REMEDIATE else {}


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
    runs_promoted_patch: bool = False
    """Whether its patch is the one promoted for the task, which every later attempt finds by itself."""
    unseen: frozenset[str] = frozenset()
    """Settings that hold for the run and whose value cannot be seen from the worker: no change of them is safe."""
    patch_ignored: bool = False
    """Whether the operator submitted something else than the patch gave it."""
    failure_seen: bool = True
    """Whether anybody saw it fail. ``False``: lost with its worker, and its log does not show that it failed."""


@dataclass(frozen=True)
class TaskRecord:
    """What a task's recorded runs say about one of its patches. Costs are medians, in GiB-seconds."""

    proven: int
    """Tries that succeeded with this patch."""
    unpatched_tries: int
    """First tries with the declared configuration."""
    unpatched_failures: int
    """Those of them that failed for the cause that the patch is for."""
    cost_of_failure: float | None = None
    """Of such a failed try."""
    cost_unpatched: float | None = None
    """Of a try that succeeded with the declared configuration."""
    cost_patched: float | None = None
    """Of a try that succeeded with the patch."""


@dataclass(frozen=True)
class PatchRules:
    """When a patch that proved itself is kept for coming runs, and for how long."""

    promote_after: int = 1
    """Patched tries of the task that must have succeeded; 0: no patch ever outlives its run."""
    promote_same_job_only: bool = False
    """Only for the job as it is now: another application or other declared resources start fresh."""
    promote_across_mapped: bool = False
    """Whether the instances of a mapped task share what one of them proved."""
    patch_max_age: float = 90 * 86400.0
    """Seconds after which a promoted patch expires, so that the declared configuration is tried once more."""
    patch_max_idle: float = 35 * 86400.0
    """Seconds without use after which it expires. A little more than a month, for what runs monthly."""
    floor: Mode = Mode.ACT
    """Whether a task starts with what its last runs needed. Shadow: say what it would start with."""


@dataclass(frozen=True)
class Brakes:
    """When remediation pauses because it does not help. Counts are of remediations in a row that ended in failure."""

    brake_task: int | None = 5
    brake_dag: int | None = 10
    brake_category: int | None = 20
    """In the whole deployment."""
    brake_pause: float = 6 * 3600.0
    """Seconds from the last such failure on; then one remediated retry is allowed again, as a trial."""


@dataclass(frozen=True)
class Ceilings:
    """Memory, in bytes, that remediated tries may hold at once beyond what their tasks declare. ``None``: any."""

    max_extra_memory: int | None = None
    """In the whole deployment."""
    max_extra_memory_per_dag: int | None = None


@dataclass(frozen=True)
class AttachRules:
    """Which tasks of a deployment are opted in without a word in their Dag file.

    Each field holds patterns (``*`` and ``?``); one that begins with ``!`` excludes. A task is opted in when it
    meets every field that is not empty.
    """

    attach_operators: tuple[str, ...] = ()
    """Names of operator classes."""
    attach_dags: tuple[str, ...] = ()
    attach_tags: tuple[str, ...] = ()
    """Of the Dag."""
    attach_owners: tuple[str, ...] = ()
    attach_pools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prices:
    """What memory and cores cost.

    The defaults are the public on-demand list prices of AWS Fargate for Linux on x86 in us-east-1
    (https://aws.amazon.com/fargate/pricing, as of 2026), which sells the two apart. Decisions depend on the ratio of
    the two alone.
    """

    price_gib_hour: float = 0.004445
    """Of one GiB of container memory for one hour."""
    price_core_hour: float = 0.04048
    """Of one core for one hour."""
    currency: str = "USD"
    """A name for people; nothing is converted."""


@dataclass(frozen=True)
class RunMetrics:
    """What the event log of one Spark application says about its run. ``None``: the log does not say.

    Memory is in bytes, time in seconds, moments in seconds since 1970 (UTC). Peaks are of the greediest single
    process, and *lower bounds*: Spark takes samples (``spark.executor.metrics.pollingInterval``) and a process
    that is killed reports nothing of its last moments. "Executors" are the ones beside the driver, except in
    local mode, where the driver is the only one.
    """

    app_id: str | None = None
    app_name: str | None = None
    attempt_id: str | None = None
    """Of the application, on YARN in cluster mode; not an Airflow try."""
    user: str | None = None
    spark_version: str | None = None
    conf: Conf = field(default_factory=dict)
    """The settings that count for us: resources (:data:`~airflow_autoremed.spark.keys.PATCHABLE`), where it ran,
    and who submitted it. Not the others: they are many, and may hold secrets."""
    started_at: float | None = None
    ended_at: float | None = None
    """When the application ended or, where it never said so, the last moment that the log tells of."""
    ended: bool = False
    """Whether the application said that it ended. A killed driver does not."""
    complete: bool = True
    """``False``: the log is cut off, or lines of it could not be read. All sums are lower bounds then."""
    jobs: int = 0
    failed_jobs: int = 0
    failure: str | None = None
    """The reason of the last failed job or SQL query, cut to 2,000 characters. ``None`` does not mean success: a
    driver that fails outside of a job says nothing here, and Spark writes exit code 0 all the same."""
    task_failure: str | None = None
    """The reason of the last failed task, in the same way."""
    stages: int = 0
    """Completed attempts of stages, failed ones included."""
    failed_stages: int = 0
    tasks: int = 0
    """Ended attempts of tasks, failed ones included."""
    failed_tasks: int = 0
    """Of them, those that ended otherwise than well. Killed copies (speculation, a failed stage) are not counted."""
    task_seconds: float = 0.0
    """Sum of the time that tasks held a slot."""
    cpu_seconds: float = 0.0
    """Sum of the CPU time of tasks, deserialisation included."""
    gc_share: float | None = None
    """JVM garbage collection as a share (0 to 1) of the run time of tasks."""
    skew: float | None = None
    """Longest task / median task, the largest of all stages with at least 8 tasks that succeeded of which one
    took at least a second; to within 1%."""
    peak_heap: int | None = None
    """Used JVM heap of an executor (``JVMHeapMemory``)."""
    peak_driver_heap: int | None = None
    peak_jvm_off_heap: int | None = None
    """Used JVM memory beside the heap of an executor: metaspace, code (``JVMOffHeapMemory``)."""
    peak_off_heap: int | None = None
    """Managed off-heap memory of an executor, which ``spark.memory.offHeap.size`` bounds."""
    peak_direct: int | None = None
    """Direct and mapped buffers of an executor."""
    peak_python: int | None = None
    """Resident memory of the Python workers of one executor (``ProcessTreePythonRSSMemory``)."""
    peak_rss: int | None = None
    """Resident memory of one executor's whole process tree. Sum of the peaks of its parts, which need not have
    been at the same moment."""
    peak_overhead: int | None = None
    """What was beyond heap, managed off-heap and (where it has a limit of its own) Python memory: *peak_rss* less
    these, of the same executor. What ``spark.executor.memoryOverhead`` has to hold, with heap that is free but
    not given back to the system counted as overhead."""
    peak_driver_rss: int | None = None
    peak_execution: int | None = None
    """Managed execution memory of one task (``Peak Execution Memory``)."""
    memory_spilled: int = 0
    """Size in memory of what was spilled."""
    disk_spilled: int = 0
    """Size on disk of what was spilled."""
    input_bytes: int = 0
    input_records: int = 0
    output_bytes: int = 0
    shuffle_read_bytes: int = 0
    """Remote and local."""
    shuffle_write_bytes: int = 0
    result_bytes: int = 0
    """Serialised results of all tasks, which the driver receives."""
    executors_added: int = 0
    executors_lost: int = 0
    """Those removed for another reason than that they were no longer needed."""
    most_executors: int = 0
    """At once."""
    executor_loss: str | None = None
    """Why the last one was lost, cut to 2,000 characters."""
    executor_seconds: float | None = None
    """Sum of the life times of executors. ``None`` where the log tells of no start or no end."""
    core_seconds: float | None = None
    """Sum over the driver and all executors of cores x life time."""
    gib_seconds: float | None = None
    """Sum over the driver and all executors of container memory x life time, in GiB-seconds."""


@dataclass(frozen=True)
class RecordedAttempt:
    """One attempt as the history has it: what the predictor learns from. Of a try that is still to come, what is
    known of it beforehand."""

    attempt: AttemptId
    started_at: float
    """Seconds since the epoch."""
    baseline: Conf
    effective: Conf
    succeeded: bool | None = None
    """``None``: not known, or still to come."""
    duration_s: float | None = None
    category: str | None = None
    """Of a failure: the verdict of the rules."""
    template_id: str | None = None
    """Of an unclassified failure: the digest of its error template."""
    operator: str = ""
    fingerprint: str = ""
    user: str = ""
    peaks: Mapping[str, float] = field(default_factory=dict)
    """Setting to the bytes that were used of it at most, where that was measured. Of a killed process a lower
    bound."""
    input_bytes: float | None = None
    signs: Mapping[str, float] = field(default_factory=dict)
    """What else its event log says: ``spill_bytes``, ``shuffle_bytes``, ``gc_share`` (0 to 1), ``skew`` (longest over
    median task time), ``stages``, ``executors_lost``. Empty without a log."""


@dataclass(frozen=True)
class Axis:
    """One setting that varies in a search."""

    key: str
    values: tuple[float, ...]
    """Ascending, in bytes, seconds or plain."""


REMEMBERED = 40
"""Attempts of a task that a predictor looks at: the one that failed and those before it."""


@dataclass(frozen=True)
class Question:
    """What a predictor is asked: how would the coming try end with each combination of the axes' values?"""

    coming: RecordedAttempt
    """Its ``effective`` holds where no axis says otherwise."""
    past: tuple[RecordedAttempt, ...]
    """Earlier attempts of the same task, of other runs too, oldest first."""
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Prediction:
    """The answer. Arrays have one dimension for each axis of the question."""

    fails: Any
    """``float64`` array of probabilities; never rises along an axis of memory."""
    duration_s: Any
    """``float64`` array of seconds."""
    similar: int
    """How many attempts like this one the predictor has learned from."""
    model: str
    """Its name, for the record."""


@dataclass(frozen=True)
class Objective:
    """What a predictor's answers are weighed by, and how much evidence it needs before it may decide."""

    weight_of_failure: float = 0.9
    """w of ``w x P(fail) + (1 - w) x cost``, the cost relative to that of what the playbook proposes."""
    feasible_below: float = 0.8
    """A candidate that fails with a higher probability is none."""
    stop_above: float = 0.95
    """Where every candidate fails with a higher probability, no retry is made."""
    rank_from: int = 50
    """Similar attempts from which on a model may choose among what the playbook proposes."""
    free_from: int = 500
    """Similar attempts from which on it may choose any candidate inside the limits, or none."""


@dataclass(frozen=True)
class Insight:
    """What a model can be asked with about one failed attempt."""

    predictor: Predictor
    past: tuple[RecordedAttempt, ...]
    """Earlier attempts of the task, of other runs too, oldest first, the failed one not among them."""
    failed: RecordedAttempt
    """What failed, without its verdict."""
    objective: Objective
    prices: Prices


class Predictor(Protocol):
    """Anything that answers a :class:`Question`."""

    def predict(self, question: Question) -> Prediction:
        """The answer to *question*."""
        ...
