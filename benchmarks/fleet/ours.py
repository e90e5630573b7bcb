"""The product in the simulated fleet.

What it decides is decided by the product's code: :func:`airflow_autoremed.remediation.pipeline.decide` (playbook, limits, model,
optimiser), :mod:`airflow_autoremed.patching` (making and applying patches, promotion, keeping, expiry, brakes) and
:mod:`airflow_autoremed.learning` (training, audits, registry). This module only keeps the books that the product keeps
in its database, in memory and on simulated days: a year of transactions would take hours. A test holds the books
against the real store (``tests/unit/benchmarks/test_fleet.py``).
"""

from __future__ import annotations

import statistics
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_autoremed import patching
from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.recommending import need
from airflow_autoremed.remediation import pipeline
from airflow_autoremed.remediation.gates import Outcome, Passage, Recent
from airflow_autoremed.replay import describe
from airflow_autoremed.spark import allocation
from airflow_autoremed.types import (
    ANY,
    FLOOR,
    REMEMBERED,
    UNKNOWN,
    Action,
    AttemptId,
    Brakes,
    Classification,
    Conf,
    Decision,
    FailedAttempt,
    Insight,
    Limits,
    Mode,
    Objective,
    PastAttempt,
    Patch,
    PatchRules,
    PatchState,
    Predictor,
    Prices,
    RecordedAttempt,
    Restartable,
    Scope,
    TaskRecord,
)
from benchmarks.fleet.world import CATEGORY, LARGEST_CONTAINER, RETRIES, TEMPLATES, Ending, Task

_RECENT = 50
"""Attempts that a task's record is made of (``history/queries/patch_life.py``)."""
_TRIED = 4 * need.RUNS
"""Tries that a floor is made of at most."""
_DAY = 86_400.0


@dataclass
class Row:
    """A patch in the books."""

    key: str
    patch: Patch
    category: str
    state: PatchState
    since: datetime
    task: str
    dag: str
    last_used: datetime | None = None


@dataclass(frozen=True)
class Told:
    """What a task's record keeps of a try."""

    succeeded: bool
    category: str | None
    gib_seconds: float


@dataclass
class Books:
    """What the store knows of one task."""

    standing: Row | None = None
    rows: list[Row] = field(default_factory=list)
    unpatched: deque[Told] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """First tries as declared."""
    patched: deque[Told] = field(default_factory=lambda: deque(maxlen=_RECENT))
    past: deque[RecordedAttempt] = field(default_factory=lambda: deque(maxlen=REMEMBERED - 1))
    floor: Row | None = None
    tried: deque[tuple[int, need.Seen]] = field(default_factory=lambda: deque(maxlen=_TRIED))
    """The last tries that say something about memory, each with its day."""


class Outcomes:
    """How the tries of patches ended, the latest of each patch (of a category: of each task): what brakes look at."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, ...], OrderedDict[str, tuple[bool, datetime]]] = {}

    def note(self, row: Row, succeeded: bool, at: datetime) -> None:
        for scope in (("task", row.dag, row.task), ("dag", row.dag), ("category", row.category)):
            kept = self._of.setdefault(scope, OrderedDict())
            key = f"{row.dag}.{row.task}" if scope[0] == "category" else row.key  # a task counts once
            kept[key] = (succeeded, at)
            kept.move_to_end(key)

    def latest(self, scope: tuple[str, ...], most: int) -> list[tuple[bool, datetime]]:
        kept = self._of.get(scope)
        if not kept:
            return []
        return [entry for _, entry in zip(range(most), reversed(kept.values()), strict=False)]


@dataclass
class Running:
    """The present try, as ``airflow/attempt/lifecycle.py`` has it."""

    attempt: AttemptId
    baseline: Conf
    fingerprint: str
    day: int
    effective: Conf
    row: Row | None = None
    standing: bool = False
    past: tuple[PastAttempt, ...] = ()

    @property
    def patched(self) -> bool:
        return self.row is not None


@dataclass(frozen=True)
class Weak:
    """A decision that turned out wrong, for people to look at."""

    kind: str
    task: int
    day: int
    truth: str
    verdict: str
    decided_by: str
    reason: str
    conf: dict[str, str]


class Product:
    """One deployment of the product, with its store and, where it has one, its model."""

    def __init__(
        self,
        *,
        rules: PatchRules | None = None,
        brakes: Brakes | None = None,
        record: bool = False,
        peaks: bool = True,
    ) -> None:
        self.rules = rules or PatchRules()
        self.brakes = brakes or Brakes()
        self.limits = Limits(max_container_memory=LARGEST_CONTAINER)
        self.objective, self.prices = Objective(), Prices()
        self.predictor: Predictor | None = None
        self.record = record
        self.peaks = peaks
        """Whether event logs are read. A floor needs none."""
        self.recorded: deque[RecordedAttempt] = deque()
        self.books: dict[int, Books] = {}
        self.ended = Outcomes()
        self.decided: Counter[str] = Counter()
        self.life: Counter[str] = Counter()
        self.last: Decision | None = None
        self._verdicts: dict[str, Classification] = {}

    # ------------------------------------------------------------------------------------------- before a try

    def first(self, task: Task, day: int) -> Running:
        """The first try of a run."""
        return self._begin_standing(task, self._running(task, day, 1, ()))

    def _running(self, task: Task, day: int, number: int, past: tuple[PastAttempt, ...]) -> Running:
        baseline = task.baseline(day)
        attempt = AttemptId(task.dag_id, f"day{day}", task.task_id, -1, number)
        return Running(attempt, baseline, task.fingerprints[task.epoch[day]], day, baseline, past=past)

    def _begin_standing(self, task: Task, running: Running) -> Running:
        books = self._books(task)
        floor = books.floor if running.attempt.try_number == 1 else None
        row = books.standing or floor
        if row is None or row.patch.scope.fingerprint not in (ANY, running.fingerprint):
            return running
        now = _moment(task.started_at(running.day, running.attempt.try_number))
        if patching.expired(self.rules, since=row.since, last_used=row.last_used, now=now) is not None:
            self._change(books, row, PatchState.EXPIRED)
            return running
        patch = row.patch
        if floor is not None and row is not floor:
            patch = patching.together(patch, floor.patch, running.baseline, self.limits)
        try:
            running.effective = self._applied(running, patch)
        except PatchRejectedError:
            self._change(books, row, PatchState.SUPERSEDED)
            return running
        running.row, running.standing, row.last_used = row, floor is None, now
        return running

    def _applied(self, running: Running, patch: Patch) -> dict[str, str]:
        return patching.apply(
            patch,
            running.baseline,
            attempt=running.attempt,
            limits=self.limits,
            fingerprint=running.fingerprint,
        )

    # -------------------------------------------------------------------------------------------- after a try

    def succeeded(self, task: Task, running: Running, ending: Ending) -> None:
        self._ended(task, running, ending, None)

    def failed(self, task: Task, running: Running, ending: Ending) -> Running | None:
        """The next try; ``None`` when there shall be none."""
        cause = self._classified(task, ending)
        number = running.attempt.try_number
        failed = FailedAttempt(
            running.attempt,
            running.baseline,
            running.effective,
            RETRIES + 1 - number,
            history=running.past,
            duration_s=ending.duration_s,
            runs_promoted_patch=running.standing,
        )
        now = _moment(task.started_at(running.day, number))
        passage = Passage(books=self, brakes=self.brakes, now=now)
        insight = self._insight(task, running, ending, cause)
        decision = pipeline.decide(failed, cause, self.limits, passage, insight)
        if decision.reason.held_back is not None and decision.reason.held_back.gate == "fuse":
            self.life["remediation paused"] += 1
        self.last = decision
        by = "model" if decision.decided_by not in ("rules", "playbook", "model") else decision.decided_by
        self.decided[f"{decision.action.value} by {by}"] += 1
        proposed = self._proposed(task, running, decision)
        self._ended(task, running, ending, cause.category)
        if decision.action is Action.STOP or number > RETRIES:
            return None
        this = PastAttempt(
            running.effective,
            cause.category,
            succeeded=False,
            duration_s=ending.duration_s,
            try_number=number,
            remediated=decision.action is Action.REMEDIATE,
        )
        following = self._running(task, running.day, number + 1, (*running.past, this))
        if proposed is None:
            return self._begin_standing(task, following)
        try:
            following.effective = self._applied(following, proposed.patch)
        except PatchRejectedError:
            return self._begin_standing(task, following)
        proposed.state, following.row = PatchState.ACTIVE, proposed
        proposed.last_used = _moment(task.started_at(running.day, number + 1))
        return following

    def _classified(self, task: Task, ending: Ending) -> Classification:
        """What the rules say of the failure: the recorded verdict of the category, with what its message states."""
        assert ending.cause is not None
        category = task.verdicts.get(ending.cause, ending.cause)
        if category not in self._verdicts:
            self._verdicts[category] = describe(category)
        cause = self._verdicts[category]
        if ending.sizes and category == ending.cause:
            return replace(cause, sizes=ending.sizes)
        return cause

    def _insight(self, task: Task, running: Running, ending: Ending, cause: Classification) -> Insight | None:
        """As ``airflow/attempt/model_question.py`` does: no model, or none that has a say."""
        if self.predictor is None or cause.restartable is Restartable.NO:
            return None
        if not (cause.memory_configuration or cause.category == UNKNOWN):
            return None
        told = RecordedAttempt(
            running.attempt,
            task.started_at(running.day, running.attempt.try_number),
            running.baseline,
            running.effective,
            duration_s=ending.duration_s,
            template_id=template(task, ending) if cause.category == UNKNOWN else None,
            operator="SparkSubmitOperator",
            fingerprint=running.fingerprint,
        )
        return Insight(self.predictor, tuple(self._books(task).past), told, self.objective, self.prices)

    # --------------------------------------------------------------------------------- what the gates ask (Books)

    def outcomes(self, wanted: Sequence[Recent]) -> list[list[Outcome]]:
        return [self.ended.latest(_scope(each), each.most) for each in wanted]

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        return None  # the simulated deployment sets no ceiling

    # ----------------------------------------------------------------------------------------------- the books

    def _proposed(self, task: Task, running: Running, decision: Decision) -> Row | None:
        if decision.patch is None:
            return None
        attempt = running.attempt
        row = Row(
            f"{attempt.dag_id}.{attempt.task_id}.{attempt.run_id}.{attempt.try_number}",
            decision.patch,
            decision.classification.category,
            PatchState.PROPOSED,
            _moment(task.started_at(running.day, attempt.try_number)),
            task.task_id,
            task.dag_id,
        )
        self._books(task).rows.append(row)
        return row

    def _ended(self, task: Task, running: Running, ending: Ending, category: str | None) -> None:
        books = self._books(task)
        seconds = allocation.gib_seconds(running.effective, ending.duration_s)
        told = Told(ending.succeeded, category, seconds)
        if running.patched:
            books.patched.append(told)
        elif running.attempt.try_number == 1:
            books.unpatched.append(told)
        if self.record:
            self._remember(task, books, running, ending, category)
        if running.row is not None:
            self._settle(task, books, running, running.row, ending, category)
        self._refresh_floor(task, books, running, ending, category)

    def _refresh_floor(
        self, task: Task, books: Books, running: Running, ending: Ending, category: str | None
    ) -> None:
        """What ``history/queries/task_floor.py`` does with the record of a try that ended. Event logs are read once a day,
        so the peaks of this day are not known yet."""
        if self.rules.floor is not Mode.ACT:
            return
        began = task.started_at(running.day, running.attempt.try_number)
        known = RecordedAttempt(
            running.attempt,
            began,
            running.baseline,
            running.effective,
            ending.succeeded,
            ending.duration_s,
            category,
            fingerprint=running.fingerprint,
            peaks=ending.peaks if self.peaks else {},
        )
        seen = need.seen(known)
        if seen is not None:
            books.tried.append((running.day, seen))
        if not running.patched and (ending.succeeded or seen is None):
            return
        past = [replace(each, peaks={}) if day == running.day else each for day, each in books.tried]
        floor = need.floor(past, running.baseline, self.limits)
        if floor is None:
            if books.floor is not None:
                self._change(books, books.floor, PatchState.EXPIRED)
            return
        attempt = running.attempt
        scope = Scope(attempt.dag_id, ANY, attempt.task_id, attempt.map_index, kind="task")
        patch = patching.make_patch(running.baseline, floor.conf, scope, attempt.try_number)
        now = _moment(began + ending.duration_s)
        if books.floor is None:
            books.floor = Row(
                f"floor {attempt}", patch, FLOOR, PatchState.PROMOTED, now, task.task_id, task.dag_id
            )
            self.life["floors"] += 1
        books.floor.patch, books.floor.since = patch, now

    def _settle(
        self, task: Task, books: Books, running: Running, row: Row, ending: Ending, category: str | None
    ) -> None:
        """What ``history/queries/patch_life.py`` does with the patch of a try that ended."""
        now = _moment(task.started_at(running.day, running.attempt.try_number) + ending.duration_s)
        row.last_used = now
        if row.category == FLOOR:
            return
        for_it = not ending.succeeded and category == row.category
        goes_on = self.last is not None and self.last.action is Action.REMEDIATE
        if ending.succeeded or (for_it and not goes_on):
            self.ended.note(row, ending.succeeded, now)
        if row.state is PatchState.ACTIVE:
            if not ending.succeeded:
                self._change(books, row, PatchState.REVOKED if for_it else PatchState.SUPERSEDED)
                return
            self._change(books, row, PatchState.PROVEN)
            if self.rules.promote_after < 1:
                return
            if patching.worth_promoting(self._record(books, row), self.rules)[0]:
                self._promote(books, running, row, now)
            return
        if row.state is PatchState.PROMOTED and (
            for_it or (ending.succeeded and not patching.worth_keeping(self._record(books, row))[0])
        ):
            self._change(books, row, PatchState.REVOKED)

    def _promote(self, books: Books, running: Running, row: Row, now: datetime) -> None:
        if books.standing is not None and books.standing is not row:
            self._change(books, books.standing, PatchState.SUPERSEDED)
        mark = running.fingerprint if self.rules.promote_same_job_only else ANY
        scope = replace(row.patch.scope, kind="task", run_id=ANY, fingerprint=mark)
        row.patch, row.since = replace(row.patch, scope=scope), now
        self._change(books, row, PatchState.PROMOTED)
        books.standing = row

    def _record(self, books: Books, row: Row) -> TaskRecord:
        failures = [each for each in books.unpatched if not each.succeeded and each.category == row.category]
        good = (PatchState.PROVEN, PatchState.PROMOTED)
        return TaskRecord(
            proven=sum(each.category == row.category and each.state in good for each in books.rows),
            unpatched_tries=len(books.unpatched),
            unpatched_failures=len(failures),
            cost_of_failure=_median(failures),
            cost_unpatched=_median(each for each in books.unpatched if each.succeeded),
            cost_patched=_median(each for each in books.patched if each.succeeded),
        )

    def _change(self, books: Books, row: Row, to: PatchState) -> None:
        self.life[to.value] += 1
        row.state = to
        if books.standing is row and to is not PatchState.PROMOTED:
            books.standing = None
        if books.floor is row:
            books.floor = None
        if to in (PatchState.REVOKED, PatchState.SUPERSEDED, PatchState.EXPIRED):
            books.rows = [each for each in books.rows if each is not row]

    def _remember(
        self, task: Task, books: Books, running: Running, ending: Ending, category: str | None
    ) -> None:
        known = RecordedAttempt(
            running.attempt,
            task.started_at(running.day, running.attempt.try_number),
            running.baseline,
            running.effective,
            ending.succeeded,
            ending.duration_s,
            category,
            template(task, ending) if category == UNKNOWN else None,
            operator="SparkSubmitOperator",
            fingerprint=running.fingerprint,
            peaks=ending.peaks,
            input_bytes=float(task.inputs[running.day]),
        )
        books.past.append(known)
        self.recorded.append(known)

    def _books(self, task: Task) -> Books:
        found = self.books.get(task.number)
        if found is None:
            found = self.books[task.number] = Books()
        return found

    def is_idle(self, task: Task) -> bool:
        """Whether the next run begins as declared."""
        books = self._books(task)
        return books.standing is None and books.floor is None

    # -------------------------------------------------------------------------------------------------- the model

    def train(self, day: int, models: Path, *, window: int, most: int, seed: int) -> dict[str, Any]:
        """Train on the last *window* days, by the product's own job; its champion decides from then on.

        :param most: attempts; of more only the tasks whose number fits are taken, whole.
        """
        from airflow_autoremed.errors import TooLittleDataError
        from airflow_autoremed.learning import registry, training_run

        oldest = self.recorded[-1].started_at - window * _DAY if self.recorded else 0.0
        while self.recorded and self.recorded[0].started_at < oldest:
            self.recorded.popleft()
        share = -(-len(self.recorded) // most) if most else 1
        chosen = [each for each in self.recorded if int(each.attempt.task_id[4:]) % max(1, share) == 0]
        found: dict[str, Any] = {"day": day, "attempts": len(chosen)}
        try:
            report = training_run.run(chosen, models, objective=self.objective, seed=seed)
        except TooLittleDataError as error:
            return {**found, "promoted": False, "why": str(error)}
        self.predictor = registry.champion(models)
        return {
            **found,
            "failures": report.failures,
            "promoted": report.promoted,
            "failed_audits": [f"{each.name}: {each.says}" for each in report.audits if not each.passed],
            "family": min((each.loss, each.family) for each in report.scores if each.head == "fails")[1],
        }


def _scope(recent: Recent) -> tuple[str, ...]:
    """The name under which :class:`Outcomes` keeps what *recent* asks for."""
    if recent.task_id is not None:
        return ("task", str(recent.dag_id), recent.task_id)
    return ("dag", recent.dag_id) if recent.dag_id is not None else ("category", str(recent.category))


def template(task: Task, ending: Ending) -> str:
    """The digest of an unclassified failure's text: tasks share texts (:data:`~benchmarks.fleet.world.TEMPLATES`)."""
    return f"{ending.cause}-{task.number % TEMPLATES}"


def of_memory(cause: str | None) -> bool:
    """Whether a true cause is one that a configuration cures."""
    return cause in CATEGORY.values()


def _median(tries: Iterable[Told]) -> float | None:
    costs: Sequence[float] = [each.gib_seconds for each in tries]
    return statistics.median(costs) if costs else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
