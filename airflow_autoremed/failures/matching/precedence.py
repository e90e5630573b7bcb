"""From everything that matched to one verdict, with the reasons why the others lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_autoremed.failures.anatomy.chain import CAUSE, Chain, find_chain, links, unseen
from airflow_autoremed.failures.anatomy.events import ENDS, Event, EventLog, What
from airflow_autoremed.failures.matching.by_kind import OnChain, kind_on_chain
from airflow_autoremed.failures.rules.outcome_signs import SignKind
from airflow_autoremed.failures.rules.rule import Rule
from airflow_autoremed.redaction import mask_secrets
from airflow_autoremed.taxonomy import CATEGORIES, Category
from airflow_autoremed.types import (
    UNKNOWN,
    Classification,
    EvidenceLine,
    Link,
    Match,
    Pool,
    Restartable,
    Side,
    Source,
)

Position = tuple[int, int]
"""Number of the text, number of the line."""

LAST_RESORT = 30
"""A user's rule of a lower rank competes by rank; from here on it comes before all of ours."""
_MOST_RUNNERS_UP = 20
_MOST_LINES = 4


@dataclass
class Found:
    """Where a rule matched, and what it captured."""

    lines: tuple[EvidenceLine, ...]
    sizes: Mapping[str, int]
    last: Position
    first: Position = field(default=(-1, -1))
    count: int = 1
    bare: bool = False
    """No log level in sight: a report of the platform or an exception, not a line of a program that may go on."""

    def __post_init__(self) -> None:
        if self.first == (-1, -1):
            self.first = self.last

    def joined(self, other: Found) -> Found:
        """With a further match: its lines stay the first, a size is the largest stated."""
        sizes = dict(self.sizes)
        for name, value in other.sizes.items():
            sizes[name] = max(value, sizes.get(name, value))
        return Found(
            self.lines,
            sizes,
            max(self.last, other.last),
            min(self.first, other.first),
            self.count + 1,
            self.bare or other.bare,
        )


def decide(
    rules: Sequence[Rule],
    found: Mapping[int, Found],
    signs: Mapping[SignKind, Position],
    log: EventLog,
    failed_anyway: bool = False,
    *,
    without_kinds: frozenset[str] | None = frozenset(),
) -> Classification:
    """The verdict: of the rules that read an event on the failure chain the highest rank, then the order of the
    catalogue, then the first line.

    :param rules: the catalogue in its order.
    :param found: index into ``rules`` to where it matched anywhere.
    :param signs: the last place of each kind of sign.
    :param log: the events, with what each rule reads in them.
    :param failed_anyway: the application is known to have failed, whatever the log says.
    :param without_kinds: categories of which no kind may be named; ``None``: none at all, only the rules count.
    """
    chain = find_chain(log, lambda event: _rank_of(event, rules), signs.get(SignKind.WENT_ON), failed_anyway)
    winner, pool = _winner(rules, found, chain, signs)
    where = _read_in(pool, rules).get(winner) if winner is not None else None
    runners_up: list[Match] = []
    for index in sorted(found, key=lambda index: _order(rules[index], index)):
        if index != winner:
            lost = _why_not(index, winner, rules, found[index], pool, chain, signs)
            runners_up.append(_match(rules[index], found[index], lost))
    runners = tuple(runners_up[:_MOST_RUNNERS_UP])
    by_kind = _by_kind(None if winner is None else rules[winner], chain, pool, signs)
    if by_kind is not None and without_kinds is not None and by_kind.kind.category not in without_kinds:
        return _of_kind(by_kind, chain, pool, log, runners)
    if winner is None or where is None:
        return replace(
            unknown(runners),
            chain=masked(links(chain, (), None)),
            unseen=unseen(chain, log, chain.ended[-1] if chain.ended else None),
        )
    rule = rules[winner]
    decided_by = next(event for event in pool if any(each.target == winner for each in event.readings))
    category, side = _placed(rule, decided_by)
    return Classification(
        category=category.id,
        rule=rule.id,
        restartable=rule.restartable or category.usual_restartable,
        memory_configuration=category.memory_configuration,
        lines=where.lines[:_MOST_LINES],
        summary=rule.summary,
        hint=rule.hint,
        reference=rule.reference,
        sizes=where.sizes,
        side=side,
        pool=rule.pool or category.pool,
        setting=rule.setting,
        indivisible=rule.indivisible,
        runners_up=runners,
        chain=masked(links(chain, pool, decided_by)),
        unseen=unseen(chain, log, decided_by),
    )


def _placed(rule: Rule, decided_by: Event) -> tuple[Category, Side | None]:
    """Category and side: what the rule says, else what threads and frames around it say, else the category's own.

    The rules of heaps and containers that do not see the process name the executor, which it most often is.
    """
    category = CATEGORIES[rule.category]
    seen = decided_by.side
    if rule.side is None and not rule.users and category.side is Side.EXECUTOR and seen is Side.DRIVER:
        return CATEGORIES.get(category.id.replace("executor", "driver"), category), seen
    return category, rule.side or category.side or seen


def _by_kind(
    rule: Rule | None, chain: Chain, pool: tuple[Event, ...], signs: Mapping[SignKind, Position]
) -> OnChain | None:
    """What is known of the error that ended the run without knowing its sentence, if that is more than a rule knows."""
    if rule is not None and (rule.rank >= LAST_RESORT or rule.users):
        return None
    until = len(chain.pools) if rule is None else chain.pools.index(pool) + 1
    failed = SignKind.FAILED in signs or SignKind.SEEMS_FAILED in signs
    found = kind_on_chain(chain, chain.pools[:until], failed)
    if found is None or _succeeded(Found((), {}, found.event.position), signs):
        return None
    if rule is None:
        return found
    says_the_same = rule.category == found.kind.category and _stops(rule) == (
        found.kind.restartable is Restartable.NO
    )
    return None if says_the_same or found.kind.rank <= rule.rank else found


def _of_kind(
    found: OnChain, chain: Chain, pool: Sequence[Event], log: EventLog, runners: tuple[Match, ...]
) -> Classification:
    kind = found.kind
    return Classification(
        category=kind.category,
        rule=kind.id,
        restartable=kind.restartable,
        memory_configuration=CATEGORIES[kind.category].memory_configuration,
        lines=as_evidence([(found.number, found.text)], found.event.source),
        summary=f"{kind.why[0].upper()}{kind.why[1:]}.",
        hint=found.hint,
        side=Side(kind.side) if kind.side else CATEGORIES[kind.category].side or found.event.side,
        pool=Pool(kind.pool) if kind.pool else CATEGORIES[kind.category].pool,
        runners_up=runners,
        chain=masked(links(chain, pool, found.event)),
        unseen=unseen(chain, log, found.event),
    )


def as_evidence(raw: Iterable[tuple[int, str]], source: Source | None) -> tuple[EvidenceLine, ...]:
    """Numbers and texts of lines as evidence, without secrets."""
    return tuple(
        EvidenceLine(number, mask_secrets(text), source or Source.DRIVER_LOG) for number, text in raw
    )


def masked(chain: Iterable[Link]) -> tuple[Link, ...]:
    """The links without secrets."""
    return tuple(replace(link, line=replace(link.line, text=mask_secrets(link.line.text))) for link in chain)


def _winner(
    rules: Sequence[Rule],
    found: Mapping[int, Found],
    chain: Chain,
    signs: Mapping[SignKind, Position],
) -> tuple[int | None, tuple[Event, ...]]:
    """The rule that decides and the events that it was chosen in: the surest in which a rule names a cause."""
    best: tuple[int | None, tuple[Event, ...]] = (None, chain.on_it)
    for pool in chain.pools:
        read = _read_in(pool, rules)
        weak = any(event.what is What.WARNING for event in pool)
        if best[0] is not None and (weak or chain.explained):
            break  # what was said louder counts, however vague; and what ended the run counts most
        beyond = bool(chain.ended) and (weak or (chain.explained and pool is not chain.on_it))
        for index in sorted(read, key=lambda index: _order(rules[index], index)):
            rule = rules[index]
            if _succeeded(read[index], signs) or (beyond and _stops(rule)):
                continue
            if rule.only_if_failed and not _has_failed(rule, pool, chain, found[index], signs):
                continue
            if best[0] is None:
                best = (index, pool)
            if _precision(rule) >= CAUSE:
                return index, pool
            break
    return best


def _has_failed(
    rule: Rule, pool: Iterable[Event], chain: Chain, found: Found, signs: Mapping[SignKind, Position]
) -> bool:
    """Whether the log shows that the application failed, so that a rule counts which is read in healthy logs too."""
    if found.bare or SignKind.FAILED in signs or SignKind.SEEMS_FAILED in signs:
        return True
    if rule.rank < LAST_RESORT:
        return any(event.framed and event.what in ENDS for event in pool)
    return bool(chain.ended)


def _read_in(pool: Iterable[Event], rules: Sequence[Rule]) -> dict[int, Found]:
    """What rules read in the events of a pool."""
    found: dict[int, Found] = {}
    for event in pool:
        for reading in event.readings:
            place = (event.text, reading.number)
            bare = event.what is not What.WARNING
            one = Found(as_evidence(reading.lines, event.source), reading.sizes, place, bare=bare)
            known = found.get(reading.target)
            found[reading.target] = one if known is None else known.joined(one)
    return found


def _rank_of(event: Event, rules: Sequence[Rule]) -> int:
    return max((_precision(rules[reading.target]) for reading in event.readings), default=0)


def _precision(rule: Rule) -> int:
    """The rank; a user's rule is as precise as it gets."""
    return 99 if rule.users and rule.rank >= LAST_RESORT else rule.rank


def _stops(rule: Rule) -> bool:
    return (rule.restartable or CATEGORIES[rule.category].usual_restartable) is Restartable.NO


def unknown(runners_up: tuple[Match, ...] = ()) -> Classification:
    """The verdict that no rule applies."""
    usual = CATEGORIES[UNKNOWN].usual_restartable
    return Classification(UNKNOWN, None, usual, memory_configuration=False, runners_up=runners_up)


def _order(rule: Rule, index: int) -> tuple[bool, int, int]:
    first = rule.users and rule.rank >= LAST_RESORT
    return not first, -rule.rank, index


def _match(rule: Rule, found: Found, why_not: str) -> Match:
    return Match(rule.id, rule.category, rule.rank, found.lines[:_MOST_LINES], found.sizes, why_not)


def _succeeded(found: Found, signs: Mapping[SignKind, Position]) -> str:
    failed = signs.get(SignKind.FAILED)
    succeeded = signs.get(SignKind.SUCCEEDED)
    if succeeded is not None and (failed is None or failed < succeeded) and found.last < succeeded:
        return f"the application succeeded after it (line {succeeded[1]})"
    return ""


def _why_not(
    index: int,
    winner: int | None,
    rules: Sequence[Rule],
    found: Found,
    pool: Iterable[Event],
    chain: Chain,
    signs: Mapping[SignKind, Position],
) -> str:
    """Why a rule that matched does not decide."""
    succeeded = _succeeded(found, signs)
    if succeeded:
        return succeeded
    if winner is not None and any(each.target == index for event in pool for each in event.readings):
        return _outranked(rules[index], rules[winner])
    went_on = signs.get(SignKind.WENT_ON)
    if went_on is not None and found.last < went_on:
        return f"the application got over it: a job finished after it (line {went_on[1]})"
    if chain.ended:
        return f"not on the chain of what ended the run (line {chain.ended[0].first})"
    if winner is not None:
        return _outranked(rules[index], rules[winner])
    return "counts only where the log also shows that the application failed"


def _outranked(rule: Rule, winner: Rule) -> str:
    if winner.users and winner.rank >= LAST_RESORT and not rule.users:
        return f"the rule {winner.id} of your own comes first"
    if rule.rank > winner.rank:
        return f"{winner.id} is nearer to what ended the run"
    if rule.rank < winner.rank:
        return f"rank {rule.rank} is below the {winner.rank} of {winner.id}"
    return f"of the same rank {rule.rank} as {winner.id}, but later in the catalogue"
