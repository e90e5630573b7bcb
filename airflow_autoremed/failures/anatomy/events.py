"""Events of a log that matter: exceptions, lost tasks and executors, verdicts; found while it streams, bounded."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Protocol

from airflow_autoremed.failures.anatomy import lines
from airflow_autoremed.failures.anatomy.place import side_of
from airflow_autoremed.types import EvidenceLine, Side, Source

LITERALS = (
    *("Traceback (most recent", "Exception", "Error", "Caused by: ", "Throwable"),
    *("ERROR", "FATAL", "SEVERE", "CRITICAL"),
    *(
        "Lost task ",
        "Lost executor ",
        "Executor lost: ",
        "Removing executor ",
        "is now EXITED",
        "is now LOST",
    ),
    *("Loss was due to", "Container marked as failed", "Container killed", "executor with id "),
    *("xit code", "xitCode", "xit status", "xited with", "inal status: ", "inal app status: "),
    *(
        "RECEIVED SIGNAL",
        "OOMKilled",
        "signal: killed",
        "Killed by",
        "Job aborted",
        "Job failed",
        "User application exited",
    ),
    *("Failed to connect to master", "interruption notice", "preempted", "has not accepted any resources"),
    *(f".{attempt} in stage " for attempt in range(1, 8)),
)
"""One of them stands in every line at which an event may begin, and in every sign that a lost task ran again."""

Position = tuple[int, int]
"""Number of the text, number of the line."""


class What(str, Enum):
    """What an event is."""

    EXCEPTION = "exception"
    """An exception that nothing logged: it ended the program, or a part of it."""
    VERDICT = "verdict"
    """How a process or the application ended: an exit code, a signal, a final status."""
    ABORTED = "job aborted"
    TASK_LOST = "task lost"
    EXECUTOR_LOST = "executor lost"
    ERROR = "error"
    """Logged as an error, or the end of a thread that is not the program."""
    MESSAGE = "message"
    """Of no logger, and no exception by its form: a platform's sentence, a line of an excerpt, a printed text."""
    WARNING = "warning"
    """Logged below the level of an error: the application goes on."""


ENDS = frozenset((What.EXCEPTION, What.VERDICT, What.ABORTED))
TROUBLES = frozenset((*ENDS, What.TASK_LOST, What.EXECUTOR_LOST, What.ERROR))


@dataclass(frozen=True)
class Reading:
    """What a rule reads in a line of an event."""

    target: int
    """Number of the rule."""
    number: int
    lines: tuple[tuple[int, str], ...]
    """Number and text (raw) of the lines that decide."""
    sizes: Mapping[str, int]


@dataclass
class Event:
    """A stretch of lines that says one thing."""

    what: What
    text: int
    """Number of the text that it stands in."""
    first: int
    last: int
    source: Source | None
    told: list[tuple[int, str]] = field(default_factory=list)
    """Number and text of the lines that say what happened: the first, then each exception down to the root."""
    stack: bytes = b""
    """The beginning of its stack traces."""
    frames: list[str] = field(default_factory=list)
    """Frames of its stack traces: those next to each exception, the first exceptions' alone where there are many."""
    more: list[str] = field(default_factory=list)
    """Further lines of its messages."""
    readings: list[Reading] = field(default_factory=list)
    waits: bool = False
    """It says that the application waits, for the master or for resources."""
    framed: bool = False
    """With the frames of a stack trace, or marked as the end of a thread: nobody just printed it."""
    quiet: bool = False
    """Logged as INFO or below, or printed by the job."""

    @cached_property
    def tasks(self) -> frozenset[tuple[str, str]]:
        """The tasks that it speaks of: stage and index. Ask when it is complete."""
        return frozenset(
            (task[2], task[1])
            for text in self._texts()
            if "in stage " in text
            for task in _TASK.finditer(text)
        )

    @cached_property
    def stages(self) -> frozenset[str]:
        """The stages that it speaks of."""
        gave_up = (_STAGE.search(text) for text in self._texts() if "failed the maximum" in text)
        return frozenset((*(stage for stage, _ in self.tasks), *(found[1] for found in gave_up if found)))

    @cached_property
    def executors(self) -> frozenset[str]:
        """The executors that it speaks of."""
        return frozenset(
            next(filter(None, executor.groups()))
            for text in self._texts()
            if "xecutor" in text or "BlockManagerId(" in text
            for executor in _EXECUTOR.finditer(text)
        )

    @property
    def side(self) -> Side | None:
        """The process that it befell; ``None``: it does not say."""
        return side_of(self._texts(), self.stack.decode("utf-8", "replace"))

    def _texts(self) -> Iterator[str]:
        yield from (text for _, text in self.told)
        yield from self.more

    @property
    def position(self) -> Position:
        """Where its last line is."""
        return (self.text, self.last)

    def evidence(self) -> Iterator[EvidenceLine]:
        """Its telling lines."""
        for number, text in self.told:
            yield EvidenceLine(number, text, self.source or Source.DRIVER_LOG)


class View(Protocol):
    """What is needed of a block: its bytes, and the numbers of its lines."""

    data: bytes
    moved: bool
    """The lines are not those of the text one by one: JSON was spread over several."""

    def number(self, line_start: int, /) -> int:
        """1-based number of the line that begins there."""
        ...

    def line_before(self, line_start: int, /) -> str:
        """The line above the one that begins there, of the same text; empty: none."""
        ...


_MOST_ENDS = 64
_MOST_TROUBLES = 192
_MOST_WEAK = 64
_MOST_TOLD = 16
_MOST_FRAMES = 24
_MOST_STACK = 4096
"""Bytes of the stack of an event that are kept to tell which process it befell."""
_MOST_READINGS = 12
_MOST_FINISHED = 4096
_MOST_LINES = 3000
"""Lines of one event that are gone through."""
_LONGEST_MESSAGE = 14
"""Lines that the message of an exception, or a record, may go on for."""
_LONGEST_TOLD = 600
_BETWEEN_STREAMS = 30
"""Lines of other writers between the frames of a traceback."""

_FRAMES = re.compile(rb"(?:[ \t]+(?:at |File \"|\.\.\. \d)[^\n]*\n)+")
_FINISHED = re.compile(r"Finished task (\d+)\.\d+ in stage (\d+)\.")
_TASK = re.compile(r"\b[Tt]ask (\d+)(?:\.\d+)? in stage (\d+)\.")
_STAGE = re.compile(r"\b(?:ShuffleMap|Result)Stage (\d+) .{0,300}?failed the maximum")
_EXECUTOR = re.compile(
    r"\bexecutor (\d+|driver)\)|Lost executor (\w+) on|ExecutorLostFailure \(executor (\w+) |BlockManagerId\((\w+),"
    r"|executor with id (\w+) |Executor updated: \S{1,80}/(\d+) is now|Executor lost: (\w+)"
    r"|Removing executor (\w+)|remote executor\(Id: (\w+)\)|, executor (\d+)\)"
)
_TASK_LOST = re.compile(r"Lost task \d|Loss was due to|Exception in task \d")
_EXECUTOR_LOST = re.compile(
    r"Lost executor |Executor lost: |ExecutorLostFailure|Container (?:marked as failed|killed|from a bad node)"
    r"|is now (?:EXITED|LOST|FAILED|KILLED)|executor with id \w+ (?:exited|was lost)"
    r"|interruption notice|was preempted|Removing executor \w+ with no recent|^ ?\S{0,60} ?Executor self-exiting"
)
_OF_EXECUTORS = ("xecutor", "ontainer", "is now", "was preempted", "interruption")
_ABORTED = re.compile(r"[Aa]borting job|Job aborted|\bJob \d+ failed: |FileFormatWriter: Aborting")
_UNCAUGHT = re.compile(
    r"User class threw exception|Uncaught exception in main|Error initializing SparkContext"
    r"|Failed to initialize Spark session|ncaught throwable from user code|terminated with (?:error|exception)"
    r"|Failed in \[|Task failed with exception|Exception in thread \"+(?:main|Driver|streaming-start)"
)
_AT_SHUTDOWN = re.compile(r"in thread \W{0,3}shutdown-hook|ShutdownHookManager: ")
"""The program had ended, well or badly, when this was logged."""
_VERDICT = re.compile(
    r"[Ff]inal (?:app )?status: ?(?:FAILED|KILLED|UNDEFINED)|User application exited|Cannot execute: "
    r"|Error code is: ?-?[1-9]|[Ee]xit(?:ed with)? ?(?:code|status|Code|Status)[:=]? ?\(?-?[1-9]|exitCode[:=] ?-?[1-9]"
    r"|finished with (?:failed|killed) status|OOMKilled|signal: killed|RECEIVED SIGNAL|[Kk]illed by (?:signal|external)"
    r"|Application application_\S{1,40} failed"
)
_WAITS = re.compile(r"Failed to connect to master|has not accepted any resources")
"""Logged as a warning again and again until somebody gives up."""
_OF_AN_EXECUTOR = re.compile(r"[Ee]xecutor|[Cc]ontainer_|Lost task")
_SPEAKS_OF_A_FAULT = re.compile(r"[Ee]xception|[Ee]rror|[Ff]ail|[Cc]aught|[Rr]etry")
_THREAD = re.compile(r"^Exception in thread \"+(?!main|Driver|streaming-start)")


class EventLog:
    """Takes the lines of a stream that may matter, and keeps the last events of each strength."""

    def __init__(self) -> None:
        self._ends: deque[Event] = deque(maxlen=_MOST_ENDS)
        self._troubles: deque[Event] = deque(maxlen=_MOST_TROUBLES)
        self._weak: deque[Event] = deque(maxlen=_MOST_WEAK)
        self.finished: dict[tuple[str, str], Position] = {}
        """Lost tasks (stage, index) that finished afterwards, and where."""
        self.last_finished: Position = (-1, -1)
        """Where a task that was run again finished, the last."""
        self._lost: dict[tuple[str, str], None] = {}
        self._fresh: list[Event] = []
        """Events of the block that is being read, in order of their first line."""
        self._latest: Event | None = None
        self._open: Event | None = None
        self._state = _State()
        self._done_to = 0
        self.sources: set[Source | None] = set()

    # ------------------------------------------------------------------------------------------------ reading

    def begin_block(self, view: View) -> None:
        """A new block of the same text: go on with the event that reached the end of the one before."""
        self._done_to = 0
        self._fresh = []
        if self._open is not None:
            self._fresh.append(self._open)
            self._done_to = self._follow(view, 0, view.number(0), self._open)

    def end_text(self) -> None:
        """The text is complete."""
        self._open = None
        self._fresh = []

    def note(
        self, view: View, line: tuple[int, int], number: int, text_number: int, source: Source | None
    ) -> None:
        """Look at a line that has one of :data:`LITERALS`.

        :param line: where it starts and ends in the block.
        :param number: its number in the text.
        """
        if line[0] < self._done_to:
            return
        text = _decoded(view.data, *line)
        if " in stage " in text:
            ran = _FINISHED.search(text)
            if ran is not None:
                self._note_finished((ran[2], ran[1]), (text_number, number))
                return
        event = self._begin(view, line[0], text, (text_number, number), source)
        if event is None:
            return
        self._fresh.append(event)
        self._keep(event)
        end = line[1] + 1
        if end >= len(view.data):
            self._open, self._done_to = event, len(view.data)
        else:
            self._done_to = self._follow(view, end, number + 1, event)

    def attach(self, readings: list[tuple[Reading, str]], text_number: int, source: Source | None) -> None:
        """Give what rules read in the block to the events that they read it in; the rest become events.

        :param readings: each with the text of its line.
        """
        starts = [event.first for event in self._fresh]
        for reading, text in readings:
            at = bisect_right(starts, reading.number) - 1
            event = self._fresh[at] if at >= 0 else None
            if event is None or reading.number > event.last:
                if lines.is_table_row(text):
                    continue
                if self._is_of_latest(reading.number, text_number):
                    assert self._latest is not None
                    _add(self._latest, reading)
                    continue
                event = self._message(reading, text, text_number, source)
                at += 1
                self._fresh.insert(at, event)
                starts.insert(at, reading.number)
            _add(event, reading)
            for number, _ in reading.lines[1:]:  # what it depends on may stand in another event
                at = bisect_right(starts, number) - 1
                if at >= 0 and self._fresh[at] is not event and number <= self._fresh[at].last:
                    _add(self._fresh[at], reading)

    def attach_late(self, reading: Reading, text: str, text_number: int, source: Source | None) -> None:
        """The same for a reading that waited for lines after it."""
        for event in (*reversed(self._fresh), *self.events()):
            if event.text == text_number and event.first <= reading.number <= event.last:
                _add(event, reading)
                return
        _add(self._message(reading, text, text_number, source), reading)

    def events(self) -> list[Event]:
        """All that were kept, the last first."""
        kept = [*self._ends, *self._troubles, *self._weak]
        return sorted(kept, key=lambda event: (event.text, event.first), reverse=True)

    # ------------------------------------------------------------------------------------------------ events

    def _note_finished(self, task: tuple[str, str], where: Position) -> None:
        self.last_finished = max(self.last_finished, where)
        if task not in self._lost:
            return
        self.finished.pop(task, None)
        self.finished[task] = where

    def _is_of_latest(self, number: int, text_number: int) -> bool:
        """Whether a line was read before: it is a long one, and comes in pieces."""
        latest = self._latest
        return latest is not None and latest.text == text_number and latest.first <= number <= latest.last

    def _keep(self, event: Event) -> None:
        self._latest = event
        self.sources.add(event.source)
        if event.what in ENDS:
            self._ends.append(event)
        elif event.what in TROUBLES:
            self._troubles.append(event)
        else:
            self._weak.append(event)
        if event.what is What.TASK_LOST:
            for task in _TASK.finditer(event.told[0][1]):
                self._lost[task[2], task[1]] = None
            while len(self._lost) > _MOST_FINISHED:
                oldest = next(iter(self._lost))
                del self._lost[oldest]
                self.finished.pop(oldest, None)

    def _message(self, reading: Reading, text: str, text_number: int, source: Source | None) -> Event:
        """A line that a rule reads, and that is no event by its form."""
        record = lines.record(text)
        what = What.MESSAGE if record is None and not lines.is_printed(text) else What.WARNING
        quiet = what is What.WARNING and (record is None or record.level not in lines.WARNED)
        event = Event(what, text_number, reading.number, reading.number, source, quiet=quiet)
        self._tell(event, reading.number, reading.lines[0][1])  # of a long line what the rule read
        self._keep(event)
        return event

    def _begin(
        self, view: View, start: int, text: str, where: Position, source: Source | None
    ) -> Event | None:
        """The event that the line begins; ``None``: none."""
        record = lines.record(text)
        if record is None and lines.is_table_row(text):
            return None
        what, quiet = _what(text, record), False
        trace = "Traceback (most recent" in text
        if record is None and (trace or what is What.EXCEPTION):
            above = lines.record(view.line_before(start))
            if above is not None and _is_of(above, text, trace, view.data, start):
                loud = above.level in lines.LOUD
                what, quiet = (
                    (What.ERROR if loud else What.WARNING),
                    not loud and above.level not in lines.WARNED,
                )
        elif record is not None:
            quiet = record.level not in lines.LOUD and record.level not in lines.WARNED
        if what is None:
            return None
        event = Event(what, *where, where[1], source, quiet=quiet)
        self._tell(event, event.first, text)
        traced = text.startswith("Traceback (most recent")
        self._state = _State(
            traced,
            traced,
            trace,
            recorded=record is not None,
            of_python=record is not None and record.of_python,
        )
        return event

    def _follow(self, view: View, start: int, number: int, event: Event) -> int:
        """Take the lines from ``start`` (of that number) on that belong to ``event``.

        :return: where the first line that does not belong to it begins.
        """
        data, state = view.data, self._state
        begin = counted = start
        before = -1  # where blank lines began
        self._open = None
        while start < len(data):
            frames = _FRAMES.match(data, start)
            if frames is not None:
                state.framed, state.soft, before = True, 0, -1
                event.framed = True
                if len(event.frames) < _MOST_FRAMES:
                    event.frames += _nearest(data, start, frames.end())
                if len(event.stack) < _MOST_STACK:
                    event.stack += data[start : min(frames.end(), start + _MOST_STACK)]
                start = frames.end()
                continue
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            text = _decoded(data, start, end)
            state.lines += 1
            number, counted = number + data.count(b"\n", counted, start), start
            state.number = view.number(start) if view.moved else number
            if state.lines > _MOST_LINES:
                break
            if not text.strip():
                before = start if before < 0 else before
                state.blank += 1
                if state.blank > 2:
                    break
            elif self._belongs(event, text):
                before, state.blank = -1, 0
            elif state.traced and state.strangers < _BETWEEN_STREAMS and _is_stranger(text):
                state.strangers += 1
            else:
                break
            start = end + 1
        stop = start if before < 0 else before
        if start >= len(data):
            self._open, stop = event, len(data)
            start = stop
        last = data.rfind(b"\n", 0, max(0, stop - 1)) + 1
        if stop > 0 and last >= begin:
            number += (
                data.count(b"\n", counted, last) if last >= counted else -data.count(b"\n", last, counted)
            )
            event.last = max(event.last, view.number(last) if view.moved else number)
        if start < len(data):
            self._state = _State()
        return stop

    def _belongs(self, event: Event, text: str) -> bool:
        """Whether the line goes on with the event; notes what it says."""
        state = self._state
        if lines.record(text) is not None:
            return False
        if lines.is_between(text):
            state.framed, state.soft = False, 0
            state.waiting = state.waiting or not text.rstrip().endswith("stacktrace:")
            return True
        if "Traceback (most recent" in text and text.startswith("Traceback"):
            if not state.waiting and not state.of_python and not state.within:
                return False
            state.waiting = state.traced = True
            return True
        header = lines.header(text)
        if header is not None and header.is_aside:
            return True
        if header is not None:
            joined = header.is_cause or state.waiting or state.within or not state.framed
            if not joined:
                return False
            if not state.waiting and not state.within and self._is_another(event, header, text):
                return False
            state.waiting = state.traced = state.within = state.framed = False
            state.soft = 0
            self._tell(event, state.number, text)
            return True
        if lines.continues(text):
            if lines.is_frame(text):
                state.framed, state.soft = True, 0
                event.stack += text[:_LONGEST_TOLD].encode("utf-8", "replace")
            return True
        if state.framed and not state.waiting and not state.within:
            return False
        if event.what is What.WARNING or lines.is_table_row(text) or event.what is What.MESSAGE:
            return False
        state.soft += 1
        if state.soft > _LONGEST_MESSAGE:
            return False
        event.more.append(text[:_LONGEST_TOLD])
        return True

    def _is_another(self, event: Event, header: lines.Header, text: str) -> bool:
        """Whether an exception below a record that names one of its own is none of it."""
        if header.lead.startswith("Caused by"):
            return False
        if event.what is What.WARNING and (header.lead.startswith(":") or _ABORTED.search(text)):
            return True
        first = event.told[0][1]
        if not self._state.recorded or header.name in first or first.endswith(("=", ":")):
            return False
        return lines.names_an_error(first) or "ExecutorLostFailure" in first

    def _tell(self, event: Event, number: int, text: str) -> None:
        if len(event.told) >= _MOST_TOLD:
            del event.told[_MOST_TOLD // 2]  # the first and the last say most
        event.told.append((number, text.strip().removeprefix(": ")[:_LONGEST_TOLD]))


@dataclass
class _State:
    """Where in an event the reader is."""

    waiting: bool = False
    """In a traceback whose exception has not come yet."""
    traced: bool = False
    """In the traceback of a program, between whose lines those of another stream may stand."""
    within: bool = False
    """In a message that quotes a traceback."""
    framed: bool = False
    """Frames have come since the last exception."""
    recorded: bool = False
    """The event is the record of a logger."""
    of_python: bool = False
    soft: int = 0
    blank: int = 0
    lines: int = 0
    number: int = 0
    """Of the line that is being read."""
    strangers: int = 0


def _what(text: str, record: lines.Record | None) -> What | None:
    """What a line says by its form."""
    if record is None:
        return _of_bare(text)
    message, loud = record.message, record.level in lines.LOUD
    if loud and "hutdown" in text and _AT_SHUTDOWN.search(text):
        return What.WARNING
    if ("task" in message or "Loss" in message) and _TASK_LOST.search(message):
        return What.TASK_LOST
    if any(word in message for word in _OF_EXECUTORS) and _EXECUTOR_LOST.search(message):
        return What.EXECUTOR_LOST
    if loud and _UNCAUGHT.search(message):
        return What.EXCEPTION
    of_a_job = " Job " in message
    if (of_a_job or (loud and "bort" in message)) and _ABORTED.search(message):
        return What.ABORTED
    if _VERDICT.search(message) and (loud or not _OF_AN_EXECUTOR.search(message)):
        return What.VERDICT
    if loud or _WAITS.search(message):
        return What.ERROR
    return What.WARNING if record.level in lines.WARNED and _SPEAKS_OF_A_FAULT.search(message) else None


def _of_bare(text: str) -> What | None:
    """The same of a line without a level."""
    if text.startswith("Traceback (most recent"):
        return What.EXCEPTION
    if _THREAD.match(text):
        return What.ERROR
    header = lines.header(text)
    if header is not None:
        return None if header.is_aside else What.EXCEPTION
    if text.startswith("Caused by: "):
        return What.EXCEPTION
    if _TASK_LOST.search(text):
        return What.TASK_LOST
    if _EXECUTOR_LOST.search(text):
        return What.EXECUTOR_LOST
    if _UNCAUGHT.search(text):
        return What.EXCEPTION
    if _VERDICT.search(text) or _ABORTED.search(text) or "Job failed" in text:
        return What.VERDICT
    return None


def _is_of(above: lines.Record, text: str, trace: bool, data: bytes, start: int) -> bool:
    """Whether the exception that begins at ``start`` was logged by the record above it."""
    if trace:
        return above.of_python
    if above.level not in lines.WARNED:
        return False  # nobody logs a stack trace as INFO
    if text.startswith(": ") or _ABORTED.search(text):
        return False
    if _SPEAKS_OF_A_FAULT.search(above.message) and not lines.names_an_error(above.message):
        return True
    following = data.find(b"\n", start) + 1
    return bool(following) and _FRAMES.match(data, following) is not None


def _nearest(data: bytes, start: int, end: int) -> list[str]:
    """The frames nearest to an exception: Java's first ones, which come below it, and Python's last."""
    if data[start : start + 80].lstrip().startswith(b"File "):
        return _decoded(data, max(start, end - 600), end).splitlines()[-4:]
    return _decoded(data, start, min(end, start + 600)).splitlines()[:4]


def _is_stranger(text: str) -> bool:
    record = lines.record(text)
    return record is not None and record.level not in lines.LOUD


def _add(event: Event, reading: Reading) -> None:
    if len(event.readings) >= _MOST_READINGS:
        if any(other.target == reading.target for other in event.readings):
            return
        del event.readings[0]
    event.readings.append(reading)


def _decoded(data: bytes, start: int, end: int) -> str:
    return data[start : min(end, start + lines.LONGEST)].decode("utf-8", "replace").rstrip("\r")
