"""The kind of the error that ended a run, where no rule names its cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_autoremed.failures.anatomy.chain import Chain
from airflow_autoremed.failures.anatomy.events import ENDS, TROUBLES, Event, What
from airflow_autoremed.failures.kinds.meaning import Kind
from airflow_autoremed.types import Restartable, Source

_HINTS = {
    Restartable.AS_IS: "A plain retry may work; if it fails the same way each time, look at what the message names.",
    Restartable.WITH_CHANGES: "Only another configuration helps.",
    Restartable.NO: "Read the message: a retry of the same code and data most likely fails again.",
}


@dataclass(frozen=True)
class OnChain:
    """A kind, and where it was read."""

    kind: Kind
    event: Event
    number: int
    text: str

    @property
    def hint(self) -> str:
        """One sentence for a person: what to do about it."""
        return _HINTS[self.kind.restartable]


def kind_on_chain(chain: Chain, pools: Sequence[Sequence[Event]], failed: bool) -> OnChain | None:
    """The kind of the error nearest to the root cause, or ``None``.

    :param pools: the events to look in, those that are on the chain for certain first.
    :param failed: the log also says that the application failed, in words of its own.
    """
    for pool in pools:
        if any(event.what is What.WARNING for event in pool):
            break
        on_it = pool is chain.on_it
        if chain.explained and not on_it:
            break  # what ended the run says what was wrong: nothing else is asked
        for event in reversed(chain.ended) if on_it and chain.ended else _far(pool, chain):
            found = _kind_of(event)
            if found is None:
                continue
            if found.kind.restartable is not Restartable.NO or (on_it and _may_stop(event, chain, failed)):
                return found
    return None


def _may_stop(event: Event, chain: Chain, failed: bool) -> bool:
    """Whether a kind that says "no retry" may be read in an event: it, or the log in other words, says that the run ended.

    In a text without an end only a plain sentence may: what is logged as an error, healthy applications log too.
    """
    if not chain.ended:
        return event.what is What.MESSAGE
    return failed or (event.framed and event.what in ENDS)


def _far(pool: Iterable[Event], chain: Chain) -> Iterator[Event]:
    """The events of a pool that may tell more, the last first; sentences only where there is nothing but sentences."""
    for event in sorted(pool, key=lambda event: event.position, reverse=True):
        if event.quiet or event in chain.ended:
            continue
        if event.what is What.EXECUTOR_LOST and not chain.ended:
            continue  # healthy applications lose executors too
        if event.what in TROUBLES or (not chain.ended and event.what is What.MESSAGE):
            yield event


def _kind_of(event: Event) -> OnChain | None:
    """The kind of an event: its innermost cause first."""
    from airflow_autoremed.failures.kinds.judging import judge  # its tables: only when no rule decides

    told = [text for _, text in event.told]
    around = [*told[:1], *event.frames, *event.more]
    if event.source is Source.EXECUTOR_LOG:
        around.append("Executor: ")
    for number, text in reversed(event.told):
        kind = judge(text, around)
        if kind is not None:
            return OnChain(kind, event, number, text)
    return None
