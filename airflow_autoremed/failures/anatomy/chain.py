"""Which events ended the run, and the chain from there down; what the application survived is not on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from airflow_autoremed.failures.anatomy.events import ENDS, TROUBLES, Event, EventLog, Position, What
from airflow_autoremed.types import EvidenceLine, Link, Source

Names = Callable[[Event], int]
"""The highest rank of the rules that read an event; 0: none."""

CAUSE = 50
"""Rules from this rank on name a cause; below are consequences and last resorts."""
_MOST_LINKS = 12
_PARAGRAPH = 12
"""Lines by which sentences of no logger may be apart and still be one message."""

_VAGUE = re.compile(
    r"Cannot execute: |Error code is|[Ee]xit(?:ed with)? ?(?:code|status|Code|Status)[:=]? ?\(?-?\d+|exitCode[:=]"
    r"|[Ff]inal (?:app )?status|finished with (?:failed|killed) status|User application exited|SystemExit"
    r"|SparkContext (?:was |has been )?(?:shut ?down|stopped)|stopped SparkContext|cancelled because"
    r"|Py4JNetworkError|Answer from Java side|Error while (?:sending or )?receiving|CalledProcessError"
    r"|non-zero exit|Job aborted\.?\s*$|Job \d+ failed|[Aa]borting job|An error occurred while calling \S+\s*$"
    r"|InvocationTargetException\s*$|ExecutionException\s*$|Task failed with exception|Job failed"
    r"|Application application_\S+ failed|AirflowException|Error initializing SparkContext\.?\s*$"
    r"|Traceback \(most recent|Lost executor|Uncaught exception in thread|py4j\S*: \[Errno"
    r"|failed \d+ times\s*$|Exception thrown in awaitResult:?\s*$|Master removed our application|returned a failure"
    r"|UndeclaredThrowableException\s*$|Task failed while writing rows\.?\s*$|Py4JError: "
)
"""Says that something failed, not what."""
_REFERS = re.compile(
    r"ExecutorLostFailure|FetchFailed|failed the maximum allowable|MetadataFetch|Lost executor"
    r"|executor \w+ (?:exited|lost)|Missing an output location|ExecutorDeadException|heartbeat timed out"
    r"|application has already ended"
)
"""Speaks of a process that was lost: why, another line says."""

_OF_SPARK = re.compile(r"Py4J|SparkException")


@dataclass(frozen=True)
class Chain:
    """What ended the run, and in which events its cause is looked for, the surest first."""

    ended: tuple[Event, ...]
    """The outermost first; empty: nothing says how it ended."""
    pools: tuple[tuple[Event, ...], ...]
    explained: bool
    """The last of ``ended`` says what was wrong, whether a rule knows it or not."""

    @property
    def on_it(self) -> tuple[Event, ...]:
        """The events that are on the chain for certain."""
        return self.pools[0] if self.pools else ()


def find_chain(log: EventLog, names: Names, went_on: Position | None, failed_anyway: bool = False) -> Chain:
    """Read off what ended the run.

    :param names: how precise a rule there is for an event.
    :param went_on: where the application last showed that it had got over what came before.
    :param failed_anyway: it is known to have failed, whatever the log says.
    """
    events = log.events()
    alive = [event for event in events if not _survived(event, log, events, went_on)]
    if not any(event.what in TROUBLES or event.readings for event in alive):
        alive = events if failed_anyway else []
    ended = _ended(alive, names)
    if not ended:
        return _without_end(alive, names)
    last = ended[-1]
    explained, refers = is_explained(last, names), _refers(last)
    on_it = _joined(ended, _deadly(last, alive))
    related = _related(ended, events, alive) if refers or not explained else []
    troubles = [event for event in alive if event.what in TROUBLES or event.what is What.MESSAGE]
    pools = [] if refers else [on_it]
    if related:
        pools.append(_joined(on_it, related))
    pools += [_joined(on_it, related, troubles), *_warned(alive)]
    return Chain(tuple(ended), tuple(pools), explained and not refers)


def is_explained(event: Event, names: Names) -> bool:
    """Whether an event says what was wrong, and not only that something was."""
    if names(event) >= CAUSE:
        return True
    told = [text for _, text in event.told]
    return bool(told) and event.what is not What.VERDICT and not _VAGUE.search(told[-1])


def links(chain: Chain, pool: Sequence[Event], decided_by: Event | None) -> tuple[Link, ...]:
    """The chain to show: what ended the run, what it refers to, and where the cause was read."""
    shown: list[Event] = list(chain.ended) or ([decided_by] if decided_by is not None else [])
    if decided_by is not None and decided_by not in shown:
        between = [
            event
            for event in pool
            if event not in shown
            and event is not decided_by
            and event.what in (What.TASK_LOST, What.EXECUTOR_LOST)
            and event.executors & decided_by.executors
        ]
        shown += [*between[:2], decided_by]
    made: list[Link] = []
    seen: set[str] = set()
    for event in shown:
        what = event.what.value
        for line in event.evidence():
            bare = line.text.startswith("Traceback (most recent") and len(event.told) > 1
            if not bare and line.text not in seen:
                seen.add(line.text)
                made.append(Link(what, line))
                what = "caused by"
    if len(made) > _MOST_LINKS:
        made = [*made[: _MOST_LINKS // 2], *made[-_MOST_LINKS // 2 :]]
    return tuple(made)


def unseen(chain: Chain, log: EventLog, decided_by: Event | None) -> tuple[str, ...]:
    """What would have told more."""
    missing = []
    lost = decided_by is not None and any(_REFERS.search(text) for _, text in decided_by.told)
    if lost and Source.EXECUTOR_LOG not in log.sources:
        missing.append("the log of the executor that was lost")
    if not chain.ended and log.events():
        missing.append("the end of the run: no line says how it ended")
    return tuple(missing)


def evidence(event: Event) -> tuple[EvidenceLine, ...]:
    """Its telling lines."""
    return tuple(event.evidence())


def _survived(event: Event, log: EventLog, events: Iterable[Event], went_on: Position | None) -> bool:
    if went_on is not None and event.position < went_on:
        return True
    if event.waits:  # tasks ran: it has got what it waited for
        return any(other.tasks and other.position > event.position for other in events)
    if event.what is What.MESSAGE:  # a crash report of a process that was not the driver, for one
        return event.position < log.last_finished
    if event.what is What.TASK_LOST:
        return _ran_again(event, log)
    if event.what is What.EXECUTOR_LOST and event.executors:
        tasks = [
            other for other in events if other.what is What.TASK_LOST and other.executors & event.executors
        ]
        return bool(tasks) and all(_ran_again(other, log) for other in tasks)
    return False


def _ran_again(event: Event, log: EventLog) -> bool:
    """Whether every task that the event speaks of finished afterwards."""
    nowhere = (-1, -1)
    return bool(event.tasks) and all(log.finished.get(task, nowhere) > event.position for task in event.tasks)


def _ended(alive: Sequence[Event], names: Names) -> list[Event]:
    """The events that end the run, from the last back to the first that says what was wrong."""
    ended: list[Event] = []
    for event in sorted(alive, key=_how_near, reverse=True):
        if event.what not in ENDS:
            continue
        ended.append(event)
        if is_explained(event, names):
            break
        if len(ended) >= _MOST_LINKS:
            break
    return ended


def _how_near(event: Event) -> tuple[int, int, int]:
    """What spark-submit printed tells more of the end than what others say of it."""
    rank = {None: 3, Source.DRIVER_LOG: 3, Source.EXCEPTION: 2, Source.PLATFORM: 1}.get(event.source, 0)
    return rank, event.text, event.first


def _without_end(alive: Sequence[Event], names: Names) -> Chain:
    """A text that does not say how it ended: an excerpt, a platform's sentence."""
    troubles = tuple(event for event in alive if event.what in TROUBLES or event.what is What.MESSAGE)
    pools = []
    last = next((event for event in troubles if event.what is What.MESSAGE and names(event) >= CAUSE), None)
    if last is not None:
        near = [last]
        for event in troubles:
            if event.text == last.text and 0 <= near[-1].first - event.last <= _PARAGRAPH:
                near.append(event)
        pools.append(tuple(near))
    pools += [troubles, *_warned(alive)]
    if not troubles:
        pools.append(tuple(alive))
    return Chain((), tuple(pools), False)


def _warned(alive: Iterable[Event]) -> list[tuple[Event, ...]]:
    """Warnings, each alone, the last first: of what was got over the last may have been too much."""
    return [(event,) for event in alive if event.what is What.WARNING and event.readings and not event.quiet]


def _deadly(last: Event, alive: Iterable[Event]) -> list[Event]:
    """No JVM gets over an error of its own that ended one of its threads: it is part of how Spark's part ended."""
    if not any(_OF_SPARK.search(text) for _, text in last.told):
        return []
    return [
        event
        for event in alive
        if event.what is What.ERROR
        and any("n thread " in text for _, text in event.told)
        and any("OutOfMemoryError" in text for _, text in event.told)
    ]


def _refers(event: Event) -> bool:
    return any(_REFERS.search(text) for _, text in event.told)


def _related(ended: Sequence[Event], events: Sequence[Event], alive: Sequence[Event]) -> list[Event]:
    """Events of the tasks, stages and executors that the end speaks of."""
    stages = {stage for event in ended for stage in event.stages}
    executors = {name for event in ended for name in event.executors} - {"driver"}
    living = {id(event) for event in alive}
    found = [
        event for event in events if event.stages & stages and id(event) in living and event not in ended
    ]
    if any(_refers(event) for event in (*ended, *found)):
        for event in found:
            executors |= event.executors - {"driver"}
        for event in events:  # an executor that was lost takes its shuffle files along, whatever ran again
            if event.executors & executors and event not in ended and event not in found:
                found.append(event)
    return found


def _joined(*groups: Iterable[Event]) -> tuple[Event, ...]:
    joined: dict[int, Event] = {}
    for group in groups:
        for event in group:
            joined.setdefault(id(event), event)
    return tuple(joined.values())
