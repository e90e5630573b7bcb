"""The store, as the rest of the program sees it.

This module is the door to SQLAlchemy: it loads without, and each method imports the query that it asks when it is
called. An attempt pays for what it uses, and one that succeeds uses three queries and none of the tables
(:mod:`airflow_autoremed.history.queries.write_attempts`). Nothing else in the package imports inside functions for
that reason; code that is handed a :class:`~airflow_autoremed.history.db.engine.Database` has SQLAlchemy loaded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from airflow_autoremed import database_urls
from airflow_autoremed.deadline import within
from airflow_autoremed.errors import OverrunError, StoreError
from airflow_autoremed.history.attempt_records import (
    AttemptDecision,
    AttemptEnd,
    AttemptRecord,
    AttemptStart,
    Promotion,
)
from airflow_autoremed.history.db import row_keys, schema_version
from airflow_autoremed.types import (
    AttemptId,
    Ceilings,
    Override,
    PastAttempt,
    Patch,
    PatchState,
    RecordedAttempt,
    Scope,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_autoremed.history.db.engine import Database
    from airflow_autoremed.history.stored import (
        AttemptFilter,
        OutcomesOf,
        Overview,
        PromotedPatch,
        StoredAttempt,
        StoredDecision,
        StoredPatch,
    )

P = ParamSpec("P")
T = TypeVar("T")

_MAX_DEPLOYMENT = 64
_MAX_MESSAGE = 500
_PAUSE_IN_DEADLINES = 12
"""How many deadlines to leave a database alone that hung, unless it answers before: an operation that hangs
holds a thread and a connection until the operating system gives the connection up."""


class Store:
    """The history of one deployment, in a database that may be shared with others.

    Nothing is opened until the first operation. An operation ends within its deadline even when the database does
    not answer, and leaves nothing behind that an ending interpreter would wait for. Whatever goes wrong is raised
    as :class:`StoreError`, in whose message the URL's password is masked; the next operation tries anew.

    What is recorded is found again by the identity of the attempt: recording the same thing twice leaves one row.
    Configurations, lines and excerpts are kept as they are given: mask secrets before.

    :param url: a SQLAlchemy URL, such as ``sqlite:////var/airflow/autoremed.db``.
    :param deployment: whose history; what another deployment recorded is not seen.
    :param deadline_s: seconds that an operation may take.
    :raises ValueError: for arguments that no store can be made of.
    """

    def __init__(self, url: str, *, deployment: str = "default", deadline_s: float = 5.0) -> None:
        if not isinstance(url, str) or "://" not in url:
            raise ValueError(
                f"the store is {database_urls.masked(str(url))!r}; "
                "write a SQLAlchemy URL, for example sqlite:////var/airflow/autoremed.db"
            )
        if not isinstance(deployment, str) or not 0 < len(deployment.strip()) <= _MAX_DEPLOYMENT:
            raise ValueError(
                f"the deployment is {deployment!r}; write a name of 1 to {_MAX_DEPLOYMENT} characters"
            )
        if not deadline_s > 0:
            raise ValueError(f"the store's deadline is {deadline_s!r}; write a number of seconds above 0")
        self.deployment = deployment
        self.deadline_s = deadline_s
        self._url = database_urls.normalise(url)
        self._opening = threading.Lock()
        self._database: Database | None = None
        self._process = os.getpid()
        self._hanging: tuple[threading.Thread, float] | None = None

    def __repr__(self) -> str:
        return f"Store({self.name!r}, deployment={self.deployment!r})"

    @property
    def name(self) -> str:
        """The URL as it may be shown: without secrets."""
        return database_urls.masked(self._url)

    def open(self) -> None:
        """Connect, and create the tables if there are none. Every other operation does so by itself."""
        self._do(lambda database: None)

    def close(self) -> None:
        """Give the connections back. The store may be used again."""
        self._notice_fork()
        database, self._database = self._database, None
        if database is not None:
            self._guarded(database.close)

    def record(
        self,
        attempt: AttemptId,
        *,
        start: AttemptStart | None = None,
        decision: AttemptDecision | None = None,
        end: AttemptEnd | None = None,
        promotion: Promotion | None = None,
    ) -> list[str]:
        """Record what is known of *attempt*, all of it or nothing.

        An attempt that resumes after a deferral starts again: its first start stays. Deciding again replaces the
        former decision. An attempt that ends gives back the memory that it was granted.

        :param promotion: when a patch that the attempt ran with is promoted; without it, ending changes no patch.
        :return: what became of patches because of it, in sentences for the task's log.
        """
        from airflow_autoremed.history.queries import write_attempts

        return self._write(write_attempts.record, AttemptRecord(attempt, start, decision, end, promotion))

    def start(
        self,
        start: AttemptStart,
        *,
        goes_on: Callable[[tuple[Override, ...]], bool] = lambda overrides: True,
    ) -> PromotedPatch | None:
        """Record that an attempt starts as declared, and look for the promoted patch of its task, in one operation:
        every attempt asks for both, and two operations cost twice as much.

        An attempt that runs with a patch after all records its start again.

        :param goes_on: told the modes that people set for the task, its Dag, categories and everything, maybe more than
            once; ``False``: nothing is recorded, and no patch is found.
        """
        from airflow_autoremed.history.queries import write_attempts

        return self._write(write_attempts.start, start, goes_on)

    def started_without_end(self, attempt: AttemptId, max_tries: int | None) -> AttemptStart | None:
        """The start of the try right before *attempt*, when it was lost: positive evidence, never mere absence.

        That is, the try recorded its own start, nothing was recorded of it since (no decision, no end, no end from
        outside), and it belongs to the same sequence of tries: the task was not cleared in between, which raises
        Airflow's ``max_tries``. ``None`` in every other case, and where either ``max_tries`` is not known.
        """
        if attempt.try_number <= 1 or max_tries is None:
            return None
        from airflow_autoremed.history.queries import read_attempts

        return self._read(read_attempts.started_without_end, attempt.previous(), max_tries)

    def decision_before(self, attempt: AttemptId) -> StoredDecision | None:
        """What was decided about the try right before *attempt*; ``None`` when nothing was."""
        if attempt.try_number <= 1:
            return None
        from airflow_autoremed.history.queries import read_attempts

        return self._read(read_attempts.decision, attempt.previous())

    def outcome(self, attempt: AttemptId) -> bool | None:
        """Whether *attempt* succeeded; ``None`` when nothing is known of its end."""
        from airflow_autoremed.history.queries import read_attempts

        return self._read(read_attempts.outcome, attempt)

    def past_attempts(self, attempt: AttemptId) -> tuple[PastAttempt, ...]:
        """The tries of the same task instance before *attempt*, oldest first.

        Tries whose configuration was never recorded, or that were ended from outside, are left out.
        """
        from airflow_autoremed.history.queries import read_attempts

        return self._read(read_attempts.past_attempts, attempt)

    def task_history(self, attempt: AttemptId, most: int) -> tuple[RecordedAttempt, ...]:
        """The latest *most* attempts of the task whose end is known, of other runs too, oldest first; without
        *attempt* itself."""
        from airflow_autoremed.history.queries import training_attempts

        return self._read(training_attempts.of_task, attempt, most)

    def recent(
        self, limit: int, wanted: AttemptFilter | None = None, *, mark_unreadable: bool = False
    ) -> list[StoredAttempt]:
        """The *limit* attempts recorded last of those that are *wanted*, latest first.

        :param mark_unreadable: return a row that cannot be read with no more than its name, instead of raising.
        """
        from airflow_autoremed.history.queries import read_attempts
        from airflow_autoremed.history.stored import AttemptFilter

        return self._read(
            read_attempts.recent, limit, wanted or AttemptFilter(), mark_unreadable=mark_unreadable
        )

    def one(
        self, dag_id: str, run_id: str, task_id: str, map_index: int, *, mark_unreadable: bool = False
    ) -> list[StoredAttempt]:
        """All tries of one task instance, oldest first.

        :param mark_unreadable: return a row that cannot be read with no more than its name, instead of raising.
        """
        from airflow_autoremed.history.queries import read_attempts

        instance = Scope(dag_id, run_id, task_id, map_index)
        return self._read(read_attempts.one, instance, mark_unreadable=mark_unreadable)

    def runs_of(self, dag_id: str, task_id: str, map_index: int, limit: int) -> list[str]:
        """The ids of the latest *limit* runs with attempts of that task and map index, latest first."""
        from airflow_autoremed.history.queries import read_attempts

        return self._read(read_attempts.runs_of, Scope(dag_id, "", task_id, map_index), limit)

    def overview(self, since: datetime) -> Overview:
        """What was recorded since then, in groups: for people, who want to see where a deployment stands."""
        from airflow_autoremed.history.queries import read_overview

        return self._read(read_overview.since, since)

    def patches_of(self, dag_id: str, task_id: str, limit: int) -> list[StoredPatch]:
        """The patches of one task, for one run or all, those changed last first, each with its life."""
        from airflow_autoremed.history.queries import read_patches

        return self._read(read_patches.of_task, dag_id, task_id, limit)

    def patch_key(self, patch: Patch) -> str:
        """The name under which a patch for one task instance is kept: that of the failed attempt it comes from."""
        scope = patch.scope
        return row_keys.attempt_key(
            self.deployment,
            AttemptId(scope.dag_id, scope.run_id, scope.task_id, scope.map_index, patch.from_try),
        )

    def patch_state(self, key: str) -> PatchState | None:
        """The state of the patch that :meth:`patch_key` or a promoted patch names; ``None`` when it is not known.

        A patch that was handed to the next attempt by other means (Airflow's task state store) is to be applied only
        while its state is not one of :data:`airflow_autoremed.history.stored.OUT_OF_FORCE`.
        """
        from airflow_autoremed.history.queries import patch_life

        return self._read(patch_life.state, key)

    def promoted_patch(self, attempt: AttemptId, fingerprint: str) -> PromotedPatch | None:
        """The promoted patch that every run of the task of *attempt* begins with, if there is one."""
        from airflow_autoremed.history.queries import promoted_patch

        return self._read(promoted_patch.find, attempt, fingerprint)

    def overrides_of(self, dag_id: str, task_id: str) -> tuple[Override, ...]:
        """The modes that people set, as they hold now for a task: of its own, its Dag, categories and everything."""
        from airflow_autoremed.history.queries import promoted_patch

        return self._read(promoted_patch.overrides, dag_id, task_id)

    def set_mode(self, override: Override) -> int:
        """Put a mode in force that a person set, in place of what holds for the same by now; its id."""
        from airflow_autoremed.history.queries import overrides

        return self._write(overrides.put, override)

    def end_override(self, number: int, *, who: str, why: str) -> bool:
        """Undo what :meth:`set_mode` did; whether it was in force."""
        from airflow_autoremed.history.queries import overrides

        return self._write(overrides.end, number, who, why)

    def override(self, number: int) -> Override | None:
        """The mode of that id that a person set, in force or not."""
        from airflow_autoremed.history.queries import overrides

        return self._read(overrides.one, number)

    def overrides(self, limit: int, *, in_force_only: bool = False) -> list[Override]:
        """The latest *limit* modes that people set, latest first."""
        from airflow_autoremed.history.queries import overrides

        return self._read(overrides.latest, limit, in_force_only=in_force_only)

    def promote_patch(self, patch: Patch, *, category: str, who: str, why: str) -> str:
        """Put a patch for a whole task in force; its key."""
        from airflow_autoremed.history.queries import patch_life

        return self._write(patch_life.promote, patch, category=category, who=who, why=why)

    def end_patch(self, key: str, to: PatchState, *, who: str, why: str) -> bool:
        """Take a patch out of force; whether it was in force."""
        from airflow_autoremed.history.queries import patch_life

        return self._write(patch_life.end, key, to, who, why)

    def running_with(self, key: str) -> list[AttemptId]:
        """Attempts that started with that patch and have not ended: ending the patch does not reach them. The latest
        ten, latest first."""
        from airflow_autoremed.history.queries import patch_life

        return self._read(patch_life.running_with, key)

    def patches(self, limit: int, *, in_force_only: bool = False) -> list[StoredPatch]:
        """The *limit* patches that changed last, latest first."""
        from airflow_autoremed.history.queries import read_patches

        return self._read(read_patches.latest, limit, in_force_only=in_force_only)

    def find_patches(self, key: str) -> list[StoredPatch]:
        """The patches whose key begins with *key*, ten at most, each with its life."""
        from airflow_autoremed.history.queries import read_patches

        return self._read(read_patches.find, key)

    def remediated_outcomes(self, *questions: OutcomesOf) -> list[list[tuple[bool, datetime]]]:
        """For each question: whether the last patched attempts succeeded, and when they ended, latest first."""
        from airflow_autoremed.history.queries import patched_outcomes

        return self._read(patched_outcomes.recent, *questions)

    def grant(self, attempt: AttemptId, extra_bytes: int, *, held_s: float, ceilings: Ceilings) -> str | None:
        """Let *attempt* hold *extra_bytes* more than its task declares until it ends, or *held_s* seconds.

        :return: why not, in one sentence; ``None`` when it may.
        """
        from airflow_autoremed.history.queries import memory_grants

        return self._write(memory_grants.grant, attempt, extra_bytes, held_s, ceilings)

    def check(self) -> list[tuple[str, bool, str]]:
        """Whether the store can be used, as ``(what, whether it is so, details)``. Raises nothing."""
        found: list[tuple[str, bool, str]] = []
        try:
            started = time.monotonic()
            self.open()
            took = (time.monotonic() - started) * 1000
        except StoreError as error:
            return [("store reachable", False, str(error))]
        found.append(("store reachable", True, f"{self.name} answered in {took:.0f} ms"))
        try:
            self._do(lambda database: database.probe_write())
            found.append(("store writable", True, f"as deployment {self.deployment!r}"))
        except StoreError as error:
            found.append(("store writable", False, str(error)))
        found.append(("store schema", True, f"version {schema_version.VERSION}"))
        return found

    def _read(
        self, query: Callable[Concatenate[Connection, str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The answer to *query* about this deployment."""
        return self._do(lambda database: database.read(lambda c: query(c, self.deployment, *args, **kwargs)))

    def _write(
        self, query: Callable[Concatenate[Connection, str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of *query*, all of whose changes are kept or none."""
        return self._do(lambda database: database.write(lambda c: query(c, self.deployment, *args, **kwargs)))

    def _do(self, operation: Callable[[Database], T]) -> T:
        """The result of *operation* on the open database.

        :raises StoreError: for everything that goes wrong.
        """
        self._notice_fork()
        if self._hanging is not None:
            thread, until = self._hanging
            if thread.is_alive() and time.monotonic() < until:
                raise self._error("an earlier operation is still waiting for it")
            self._hanging = None
        opening = self._opening
        return self._guarded(lambda: operation(self._opened(opening)))

    def _opened(self, opening: threading.Lock) -> Database:
        with opening:
            if self._database is None:
                from airflow_autoremed.history.opening import open_database

                self._database = open_database(self._url, self.deadline_s)
            return self._database

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return within(self.deadline_s, work)
        except OverrunError as overrun:
            # The thread may hold the lock and the connection for long: leave it both.
            self._opening = threading.Lock()
            self._database = None
            self._hanging = (overrun.thread, time.monotonic() + _PAUSE_IN_DEADLINES * self.deadline_s)
            raise self._error(f"it did not answer within {self.deadline_s:g} s") from None
        except StoreError as error:
            raise self._error(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a store must not raise anything else
            # Without its cause: the driver's own message may spell the password out.
            raise self._error(_what_went_wrong(error)) from None

    def _error(self, what: str) -> StoreError:
        shown = database_urls.mask(what, self._url)
        if len(shown) > _MAX_MESSAGE:
            shown = shown[:_MAX_MESSAGE] + " ..."
        return StoreError(f"the store {self.name} cannot be used: {shown}")

    def _notice_fork(self) -> None:
        """Begin anew in a forked process: connections, locks and threads belong to the process that made them."""
        if self._process == os.getpid():
            return
        database, self._database = self._database, None
        self._process = os.getpid()
        self._opening = threading.Lock()
        self._hanging = None
        if database is not None:
            database.forget()


def _what_went_wrong(error: Exception) -> str:
    """The driver's own words where there are some, without SQL: one line."""
    told = getattr(error, "orig", None) or error
    text = " ".join(str(told).split())
    name = type(told).__name__
    return f"{name}: {text}" if text else name
