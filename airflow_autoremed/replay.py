"""Replay: what a policy would have decided on the recorded history, and what that would have saved or broken.

Every failed try that another try followed is put to the policy, with nothing but what was known then. What came of
its answer is then *known*, or only *bounded*:

- it would have stopped: all that followed is saved if the task instance never succeeded, and a success is broken if
  it did. Both are plain counts;
- it would have run the configuration that was run: what happened, happened;
- it would have run another: with at least as much of every setting of memory as a try that succeeded it succeeds,
  with at most as much as one that failed for memory it fails (memory never hurts). Otherwise nobody knows: the try
  counts as failed in the lower bound and as healed in the upper one.

A logged policy that always does the same in the same case has no probabilities to weigh by, so nothing better than
these bounds can be had from it; the estimate between them is the model's own P(fail), where there is a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone

from airflow_autoremed.remediation import pipeline
from airflow_autoremed.remediation.gates import Outcome, Passage, Recent
from airflow_autoremed.spark import allocation, cost
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.taxonomy import CATEGORIES, is_memory_failure
from airflow_autoremed.types import (
    REMEMBERED,
    UNKNOWN,
    Action,
    Advice,
    AttemptId,
    Brakes,
    Classification,
    Conf,
    Decision,
    FailedAttempt,
    Insight,
    Limits,
    Objective,
    PastAttempt,
    Predictor,
    Prices,
    Question,
    Reason,
    RecordedAttempt,
    Restartable,
)

_MEMORY = tuple(key for key, spec in PATCHABLE.items() if spec.footprint)

Policy = Callable[[FailedAttempt, Classification, Passage, Insight | None], Decision]
"""What is decided about one failed attempt."""
Describe = Callable[[str], Classification]
"""The verdict that a recorded category stands for."""


@dataclass
class Tally:
    """What a policy would have done to the failures that another try followed. Costs are of the tries after them."""

    failures: int = 0
    stopped_rightly: int = 0
    """Stopped, and no later try succeeded."""
    stopped_wrongly: int = 0
    """Stopped, and a later try succeeded."""
    as_recorded: int = 0
    """Retried with the configuration that was run."""
    healed: int = 0
    """Retried, and the retry succeeds for sure."""
    failed: int = 0
    """Retried, and the retry fails for sure."""
    unknown: int = 0
    """Retried with a configuration of which nobody knows."""
    expected_healed: float = 0.0
    """Of those of which nobody knows, by the model's own probabilities."""
    retry_cost: float = 0.0
    """Of the retries it would have made, each taken to last as long as the one that was made."""
    recorded_cost: float = 0.0
    """Of the retries that were made after the same failures."""

    def add(self, other: Tally) -> None:
        """Add another part of the history."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def healed_bounds(self) -> tuple[float, float]:
        """Least and most share of the failures that the next try heals."""
        if not self.failures:
            return 0.0, 0.0
        return self.healed / self.failures, (self.healed + self.unknown) / self.failures


def blind(failed: FailedAttempt, cause: Classification, _: Passage, __: Insight | None) -> Decision:
    """Airflow's own: the same again."""
    return Decision(Action.LEAVE_ALONE, Reason("", Advice.PLAIN_RETRY), cause, failed.effective)


def playbook(limits: Limits) -> Policy:
    """The rules and the playbook, without a model."""
    return lambda failed, cause, passage, _: pipeline.decide(failed, cause, limits, passage)


def with_model(limits: Limits) -> Policy:
    """The same with a model."""
    return lambda failed, cause, passage, insight: pipeline.decide(failed, cause, limits, passage, insight)


def replay(
    records: Iterable[RecordedAttempt],
    policies: dict[str, Policy],
    describe: Describe,
    *,
    prices: Prices,
    brakes: Brakes | None = None,
    predictor: Predictor | None = None,
    objective: Objective | None = None,
    after: float = 0.0,
) -> dict[str, Tally]:
    """Put the failures of *records* to each of *policies*.

    :param records: those of each task together, as the store gives them.
    :param after: failures before this moment (seconds since the epoch) are not judged; a model must not be judged
        by what it learned from.
    """
    total = {name: Tally() for name in policies}
    for _, task in itertools.groupby(records, key=lambda each: (each.attempt.dag_id, each.attempt.task_id)):
        for name, tally in of_task(
            list(task),
            policies,
            describe,
            prices=prices,
            brakes=brakes,
            predictor=predictor,
            objective=objective,
            after=after,
        ).items():
            total[name].add(tally)
    return total


def of_task(
    records: Sequence[RecordedAttempt],
    policies: dict[str, Policy],
    describe: Describe,
    *,
    prices: Prices,
    brakes: Brakes | None = None,
    predictor: Predictor | None = None,
    objective: Objective | None = None,
    after: float = 0.0,
) -> dict[str, Tally]:
    """The part of one task."""
    tallies = {name: Tally() for name in policies}
    ordered = sorted(records, key=lambda each: (each.started_at, each.attempt.try_number))
    for failed, following in _followed(ordered):
        if failed.started_at < after:
            continue
        before = tuple(
            each
            for each in ordered
            if each.started_at <= failed.started_at and each.attempt != failed.attempt
        )
        asked = _asked(failed, before, following)
        cause = describe(failed.category or UNKNOWN)
        now = datetime.fromtimestamp(_ended_at(failed), timezone.utc)
        passage = Passage(books=_RecordedBooks(before), brakes=brakes or Brakes(), now=now)
        insight = None
        if predictor is not None:
            told = replace(failed, succeeded=None, category=None)
            insight = Insight(predictor, before[1 - REMEMBERED :], told, objective or Objective(), prices)
        for name, policy in policies.items():
            _judge(tallies[name], policy(asked, cause, passage, insight), failed, following, prices, insight)
    return tallies


class _RecordedBooks:
    """What the gates ask about other attempts, as far as the record of one task tells it.

    Of the Dag and of the deployment only this task's own attempts are known, so their fuses hold back less than they
    did; what other tasks held at the time is not recorded, so all memory is granted.
    """

    def __init__(self, before: Sequence[RecordedAttempt]) -> None:
        self._before = before

    def outcomes(self, wanted: Sequence[Recent]) -> Sequence[Sequence[Outcome]]:
        return [self._latest(each) for each in wanted]

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        return None

    def _latest(self, recent: Recent) -> list[Outcome]:
        latest = sorted(
            (each for each in self._before if each.succeeded is not None and each.effective != each.baseline),
            key=_ended_at,
            reverse=True,
        )
        return [
            (bool(each.succeeded), datetime.fromtimestamp(_ended_at(each), timezone.utc))
            for each in latest
            if recent.category in (None, each.category)
        ][: recent.most if recent.dag_id is not None else 1]  # of the deployment, each task counts once


def _ended_at(record: RecordedAttempt) -> float:
    return record.started_at + (record.duration_s or 0.0)


def _followed(
    ordered: Sequence[RecordedAttempt],
) -> Iterator[tuple[RecordedAttempt, list[RecordedAttempt]]]:
    """Each failed try with the tries of the same task instance that came after it, if there are any."""
    instances: dict[tuple[str, int], list[RecordedAttempt]] = {}
    for each in ordered:
        instances.setdefault((each.attempt.run_id, each.attempt.map_index), []).append(each)
    for tries in instances.values():
        tries.sort(key=lambda each: each.attempt.try_number)
        for number, each in enumerate(tries[:-1]):
            if each.succeeded is False:
                yield each, tries[number + 1 :]


def _asked(
    failed: RecordedAttempt, before: Sequence[RecordedAttempt], following: Sequence[RecordedAttempt]
) -> FailedAttempt:
    mine = failed.attempt
    history = tuple(
        PastAttempt(each.effective, each.category, False, each.duration_s, each.attempt.try_number)
        for each in before
        if (each.attempt.run_id, each.attempt.map_index) == (mine.run_id, mine.map_index)
        and each.succeeded is False
    )
    return FailedAttempt(
        mine, failed.baseline, failed.effective, len(following), history, duration_s=failed.duration_s
    )


def _judge(
    tally: Tally,
    decision: Decision,
    failed: RecordedAttempt,
    following: Sequence[RecordedAttempt],
    prices: Prices,
    insight: Insight | None,
) -> None:
    tally.failures += 1
    tally.recorded_cost += sum(
        cost.cost(each.effective, each.duration_s, prices) or 0.0 for each in following
    )
    if decision.action is Action.STOP:
        if any(each.succeeded for each in following):
            tally.stopped_wrongly += 1
        else:
            tally.stopped_rightly += 1
        return
    following_try = following[0]
    tally.retry_cost += cost.cost(decision.conf, following_try.duration_s, prices) or 0.0
    if _resources(decision.conf) == _resources(following_try.effective):
        tally.as_recorded += 1
    known = _known(decision.conf, failed, following)
    if known is None:
        tally.unknown += 1
        if insight is not None:
            tally.expected_healed += 1 - _probability(decision.conf, failed, insight)
    elif known:
        tally.healed += 1
    else:
        tally.failed += 1


def _known(conf: Conf, failed: RecordedAttempt, following: Sequence[RecordedAttempt]) -> bool | None:
    """Whether a try with *conf* succeeds; ``None`` where what was run does not tell."""
    first = following[0]
    if _resources(conf) == _resources(first.effective):
        return bool(first.succeeded)
    if (
        _others(conf) == _others(failed.effective)
        and _at_most(conf, failed.effective)
        and is_memory_failure(failed.category)
    ):
        return False
    for each in following:
        if _others(conf) != _others(each.effective):
            continue
        if each.succeeded and _at_most(each.effective, conf):
            return True
        if each.succeeded is False and is_memory_failure(each.category) and _at_most(conf, each.effective):
            return False
    return None


def _resources(conf: Conf) -> dict[str, str]:
    return {key: value for key, value in conf.items() if key in PATCHABLE}


def _others(conf: Conf) -> dict[str, str]:
    return {key: value for key, value in _resources(conf).items() if key not in _MEMORY}


def _at_most(smaller: Conf, larger: Conf) -> bool:
    """Whether no setting of memory is larger in *smaller*."""
    return all(
        part(smaller, role) <= part(larger, role)
        for role in ("driver", "executor")
        for part in (allocation.heap, allocation.overhead, allocation.container)
    )


def _probability(conf: Conf, failed: RecordedAttempt, insight: Insight) -> float:
    coming = replace(
        failed,
        attempt=failed.attempt.next(),
        effective=conf,
        succeeded=None,
        category=None,
        peaks={},
    )
    return float(insight.predictor.predict(Question(coming, (*insight.past, failed), ())).fails)


def describe(category: str) -> Classification:
    """The verdict that *category* stands for, by the taxonomy: without lines and sizes, which the record has not."""
    known = CATEGORIES.get(category)
    if known is None or category == UNKNOWN:
        return Classification(UNKNOWN, None, Restartable.AS_IS, False)
    return Classification(
        category, "as recorded", known.usual_restartable, known.memory_configuration, summary=known.meaning
    )
