"""Sees from the lines of a running application that it waits for what it will not get, and makes no progress.

Three misconfigurations out of 74 that were tried hang instead of failing (docs/facts-spark.md, section 1). Such an
application goes on printing that it waits. What it prints besides, as long as it waits, is known; *any other
line counts as progress*, so that no job is ended that does something this file has not heard of.

Cheap while all is well: lines are kept as they come, and some thousand of them are looked at together, from the
last one backwards to the first that means progress; in a healthy log that is the last line itself.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import jvm_flag
from airflow_autoremed.spark.sizes import MIB, format_bytes, parse_bytes
from airflow_autoremed.types import Conf

log = logging.getLogger("airflow_autoremed")

MARK = "[autoremed] The application waited"
"""How the line of :func:`describe` begins; ``catalogue/stalls.yaml`` looks for it."""

_AT_ONCE = 4096
"""Lines that are held at most until they are looked at."""
_LONGEST_LINE = 500
"""Characters of a line that are held."""
_FIRST, _LAST = 2, 4
"""Lines that a stall keeps of its beginning and of its end."""
_FRESH_S = 40.0
"""Spark repeats its starvation warning every 15 s; one that was not repeated for longer is over."""
_LOOP = 3
"""Executors that must die, without anything else happening, before it is called a loop."""
_IDS = 256
"""Dead executors that are told apart; more count as more."""
_SMALLEST_DIRECT = 200 * MIB
"""Default of spark.network.maxRemoteBlockSizeFetchToMem. Executors of Spark 4.1 refuse to start with less direct
memory (measured: ``Netty direct memory should at least be bigger than ..., but got 67108864 bytes < 209715200``)."""


class StallKind(Enum):
    """What an application waits for."""

    NO_EXECUTOR = "no_executor"
    """Tasks are ready, and no executor takes them."""
    QUEUED = "queued"
    """YARN has not started the application."""
    POD_PENDING = "pod_pending"
    """Kubernetes has not started the driver pod."""
    EXECUTORS_DIE = "executors_die"
    """Every executor ends at its start, and the next one is launched."""


@dataclass(frozen=True)
class Stall:
    """An application that waits."""

    kind: StallKind
    since: float
    """When the waiting began; seconds of the detector's clock."""
    until: float
    """Up to when it is known to have waited; seconds of the same clock."""
    lines: tuple[str, ...]
    """The first and the last lines that say so."""
    summary: str
    """What it waits for, as the end of a sentence."""
    died: int = 0
    """Executors that ended meanwhile."""

    @property
    def waited_s(self) -> float:
        """Seconds without progress."""
        return self.until - self.since


class _Means(Enum):
    PROGRESS = 0
    NOTHING = 1
    """Printed while waiting, too."""
    NO_EXECUTOR = 2
    QUEUED = 3
    POD_PENDING = 4
    EXECUTOR_DIED = 5


_BAR = re.compile(r"^\s*(?:\[Stage \d+:[=> ]*\((\d+) \+ (\d+)\) / \d+\]\s*)+")
"""Spark's progress bar: (finished + running) / all. It is drawn while nothing runs, too."""
_YARN_STATE = re.compile(r"Application report for \S+ \(state: (\w+)\)")
_POD_PHASE = re.compile(r"^\s+phase: (\w+)|Application status for \S+ \(phase: (\w+)\)")
_DIED = (
    re.compile(r"Executor updated: \S*?(\d+) is now (?:EXITED|FAILED|LOST)(?: \((.*)\))?"),
    re.compile(r"Executor \S*?(\d+) removed: (.*)"),
    re.compile(r"Lost (?:an )?executor (\d+) (?:on \S+:|\(already removed\):) (.*)"),
    re.compile(r"Asked to remove non-existent executor (\d+)()"),
)
_WANTED_TO = re.compile(r"killed by driver|[Dd]ecommission|idle for|preempted", re.IGNORECASE)
_REPORT = re.compile(
    r"^\s+(?:client token|diagnostics|ApplicationMaster (?:host|RPC port)|queue|start time|final status"
    r"|tracking URL|user|pod name|namespace|labels|pod uid|creation time|service account name|volumes|node name"
    r"|container (?:name|image|state|status)|pending reason)\s*:"
)
"""The indented lines of YARN's application report and of spark-submit's report on the driver pod."""
_STACK = re.compile(
    r"^\s*$|^\s+at \S+\(|^\s*\.{3} \d+ more|^Caused by: |^(?:\w+\.){2,}[\w$]+(?:Exception|Error)\b"
)
"""The rest of a message whose first line says what it means."""
_LOGGERS = re.compile(
    r"\b(?:DEBUG|INFO|WARN|ERROR)\]?:?\s+(?:\[[^\]]{0,60}\]:?\s+)?(?:[\w.$]{1,120}\.)?(?:(?:"
    r"StandaloneAppClient|StandaloneSchedulerBackend|CoarseGrainedSchedulerBackend|YarnSchedulerBackend"
    r"|YarnClientSchedulerBackend|YarnAllocator|KubernetesClusterSchedulerBackend|ExecutorPods\w{1,40}"
    r"|KubernetesClientUtils|BasicExecutorFeatureStep|LoggingPodStatusWatcherImpl|ExecutorAllocationManager"
    r"|ExecutorMonitor|BlockManagerMaster|BlockManagerMasterEndpoint|HeartbeatReceiver|TransportChannelHandler"
    r"|TransportResponseHandler|ContextCleaner|HealthTracker|HadoopDelegationTokenManager"
    r"|WatchConnectionManager|AbstractWatchManager|WatcherWebSocketListener"
    r")(?:\$\w+)*(?::\d+)?(?: -|:)\s"
    r"|Client: ?$"
    r"|DAGScheduler: (?:Executor lost|Shuffle files lost|Resubmitt))"
)
"""Parts of Spark that ask for executors, count them and clean up after them. They do no work of the job's."""
_JOB_ENDED = re.compile(r"Job \d+ (?:is )?(?:finished|failed|cancelled)")


@dataclass
class _Wait:
    """What was seen since the last progress."""

    since: float
    last: float
    signs: set[_Means] = field(default_factory=set)
    died: set[str] = field(default_factory=set)
    reason: str = ""
    first_lines: list[str] = field(default_factory=list)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST))


class StallDetector:
    """Takes the lines of a running attempt and says since when it has been waiting. For several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """:param clock: seconds that never go back."""
        self._clock = clock
        self._lock = threading.Lock()
        # A deque takes lines from one thread and gives them to another without a lock, which would be the
        # largest part of what a line costs.
        self._held: deque[str] = deque()
        self._wait: _Wait | None = None
        self._running = 0
        """Tasks that were started and have not ended, as far as the log says."""
        self._logs_tasks = False
        """The log says when tasks are handed out, so silence means that none are."""
        self._job_open = False

    def write(self, line: str) -> None:
        """Take one line, with or without its line end. Never raises: it stands in the stream of the task's log."""
        try:
            held = self._held
            held.append(line[:_LONGEST_LINE])
            if len(held) >= _AT_ONCE:
                with self._lock:
                    self._look()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the task
            self._held, self._wait = deque(maxlen=0), None
            log.warning("[autoremed] Stall detection failed and is off for this attempt: %r", error)

    def stall(self) -> Stall | None:
        """What the application waits for at this moment; ``None`` when it makes progress or nobody can tell."""
        with self._lock:
            self._look()
            return self._stall()

    # ------------------------------------------------------------------------------------------------ looking

    def _look(self) -> None:
        """Look at the lines that came since the last time."""
        lines = [self._held.popleft() for _ in range(len(self._held))]
        if not lines:
            return
        now = self._clock()
        self._count_tasks("\n".join(lines))
        means: list[_Means] = []
        for line in reversed(lines):
            what = _read(line)
            if what is _Means.PROGRESS:
                self._wait = None
                break
            means.append(what)
        for what, line in zip(reversed(means), lines[len(lines) - len(means) :], strict=True):
            self._take(what, line, now)

    def _count_tasks(self, text: str) -> None:
        started = text.count("Starting task ")
        ended = text.count("Finished task ") + text.count("Lost task ")
        self._running = max(0, self._running + started - ended)
        opened = text.rfind("Adding task set ")
        closed = max((found.start() for found in _JOB_ENDED.finditer(text)), default=-1)
        if opened >= 0:
            self._logs_tasks = True
        if opened != closed:
            self._job_open = opened > closed

    def _take(self, what: _Means, line: str, now: float) -> None:
        if what is _Means.NOTHING:
            return
        wait = self._wait
        if wait is None:
            wait = self._wait = _Wait(now, now)
        wait.last = now
        wait.signs.add(what)
        if what is _Means.EXECUTOR_DIED:
            identifier, reason = _death(line)
            if len(wait.died) < _IDS:
                wait.died.add(identifier)
            wait.reason = reason or wait.reason
        line = line.strip()
        if len(wait.first_lines) < _FIRST:
            wait.first_lines.append(line)
        else:
            wait.last_lines.append(line)

    # ------------------------------------------------------------------------------------------------ judging

    def _stall(self) -> Stall | None:
        wait = self._wait
        if wait is None:
            return None
        now = self._clock()
        if wait.signs & {_Means.QUEUED, _Means.POD_PENDING}:
            # The same logger would have reported that the application was started, so silence means waiting.
            if _Means.QUEUED in wait.signs:
                return _made(StallKind.QUEUED, wait, now, "YARN did not start it (state ACCEPTED)")
            summary = "Kubernetes did not start its driver pod (phase Pending)"
            return _made(StallKind.POD_PENDING, wait, now, summary)
        if now - wait.last > _FRESH_S:
            return None
        # A driver that logs warnings only says no word when its executors come: then it has waited up to the
        # last warning, and nobody knows more.
        until = now if self._logs_tasks else wait.last
        starved = _Means.NO_EXECUTOR in wait.signs  # Spark stops saying so once it has handed out any task
        if len(wait.died) >= _LOOP and (
            starved or (self._logs_tasks and self._job_open and not self._running)
        ):
            count = f"{len(wait.died)}{' or more' if len(wait.died) >= _IDS else ''}"
            last = f"; the last: {wait.reason}" if wait.reason else ""
            summary = f"its executors ended at their start, one after the other ({count} of them{last})"
            return _made(StallKind.EXECUTORS_DIE, wait, until, summary)
        if starved:
            return _made(StallKind.NO_EXECUTOR, wait, until, "no executor took its tasks")
        return None


def describe(
    stall: Stall,
    timeout_s: float,
    conf: Conf | None = None,
    largest_container: int | None = None,
    *,
    shadow: bool = False,
) -> str:
    """One line for the log: that the application was ended, why, and what in its configuration may be the cause.

    :param conf: what it ran with.
    :param largest_container: the largest container that the cluster grants, in bytes.
    :param shadow: nothing was ended, because of the mode.
    """
    ended = "would have been ended if this were not shadow mode" if shadow else "was ended"
    text = (
        f"{MARK} {stall.waited_s:.0f} s without progress and {ended} (stall_timeout = {timeout_s:g} s): "
        f"{stall.summary}"
    )
    if conf is None:
        return text
    if stall.kind is StallKind.EXECUTORS_DIE:
        return text + _too_little_direct_memory(conf)
    role: allocation.Role = "executor" if stall.kind is StallKind.NO_EXECUTOR else "driver"
    asked = allocation.container(conf, role)
    text += f"; it asks for {format_bytes(asked)} per {role}"
    if largest_container is not None and asked > largest_container:
        text += f", above the largest container of {format_bytes(largest_container)}"
    return text


def _too_little_direct_memory(conf: Conf) -> str:
    flag = "-XX:MaxDirectMemorySize="
    size = jvm_flag(conf.get("spark.executor.extraJavaOptions", ""), flag)
    least = _SMALLEST_DIRECT
    with contextlib.suppress(KeyError, ValueError):
        least = parse_bytes(conf["spark.network.maxRemoteBlockSizeFetchToMem"])
    if size is None or size >= least:
        return ""
    return (
        f"; executors start with {flag}{format_bytes(size)}, below the {format_bytes(least)} that they need"
    )


def _made(kind: StallKind, wait: _Wait, until: float, summary: str) -> Stall:
    lines = (*wait.first_lines, *wait.last_lines)
    return Stall(kind, wait.since, until, lines, summary, died=len(wait.died))


def _read(line: str) -> _Means:
    """What one line means for an application that may be waiting."""
    bar = _BAR.match(line)
    if bar is not None:
        if any(running != "0" for _, running in re.findall(r"\((\d+) \+ (\d+)\)", bar.group())):
            return _Means.PROGRESS
        line = line[bar.end() :]
    if "Initial job has not accepted any resources" in line:
        return _Means.NO_EXECUTOR
    state = _YARN_STATE.search(line)
    if state is not None:
        waits = state.group(1) in ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED")
        return _Means.QUEUED if waits else _Means.PROGRESS
    phase = _POD_PHASE.search(line)
    if phase is not None:
        return _Means.POD_PENDING if "Pending" in phase.groups() else _Means.PROGRESS
    if _death(line)[0]:
        return _Means.EXECUTOR_DIED
    if _LOGGERS.search(line) or _REPORT.search(line) or _STACK.search(line):
        return _Means.NOTHING
    return _Means.PROGRESS


def _death(line: str) -> tuple[str, str]:
    """Number of the executor that ended by itself, and why; both empty when the line says no such thing."""
    if "xecutor" not in line or _WANTED_TO.search(line):
        return "", ""
    for pattern in _DIED:
        found = pattern.search(line)
        if found is not None:
            return found.group(1), (found.group(2) or "").strip()[:200]
    return "", ""
