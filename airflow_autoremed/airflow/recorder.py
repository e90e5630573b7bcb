"""The worker's way to the store: everything is recorded if it can be, and nothing fails if it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow import handover as handovers
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.airflow.handover import Handover
from airflow_autoremed.airflow.options import settings, store_url
from airflow_autoremed.types import AttemptId, Conf, Decision, EvidenceLine

if TYPE_CHECKING:
    from airflow_autoremed.airflow.lifecycle import RunningAttempt
    from airflow_autoremed.history import Store

log = logging.getLogger("airflow_autoremed")


class Recorder:
    """Writes attempts, decisions and outcomes; the first fault is one warning, later ones are silent.

    An attempt is written when it ends, with everything known of it, in place of a row at its start: a successful
    try must cost next to nothing.
    """

    def __init__(self) -> None:
        self._store: Store | None = None
        self._warned = False

    @staticmethod
    @lru_cache(maxsize=1)
    def current() -> Recorder:
        """The recorder of this process."""
        return Recorder()

    def failure(self, running: RunningAttempt, decision: Decision) -> bool:
        """Record a failed attempt with the decision about it; whether the store took it."""

        def write(store: Store) -> None:
            self._attempt(store, running)
            store.record_decision(
                running.attempt, _masked(decision), mode=running.mode, excerpt=_mask(running.tap.excerpt())
            )
            self._outcome(store, running, succeeded=False)

        return self._try(write)

    def success(self, running: RunningAttempt) -> bool:
        """Record an attempt that succeeded."""
        return self.ended(running, succeeded=True)

    def ended(self, running: RunningAttempt, *, succeeded: bool) -> bool:
        """Record an attempt about which nothing was decided."""

        def write(store: Store) -> None:
            self._attempt(store, running)
            self._outcome(store, running, succeeded=succeeded)

        return self._try(write)

    def handover(self, attempt: AttemptId) -> Handover | None:
        """What the store knows of the tries before *attempt*."""
        found: list[Handover] = []

        def read(store: Store) -> None:
            verdict = store.verdict_for(attempt)
            if verdict is None:
                return
            from airflow_autoremed.patching import to_json

            found.append(
                Handover(
                    verdict.attempt.try_number,
                    verdict.mode,
                    verdict.category,
                    None if verdict.patch is None else to_json(verdict.patch),
                    store.past_attempts(attempt),
                )
            )

        self._try(read)
        return found[0] if found else None

    def _attempt(self, store: Store, running: RunningAttempt) -> None:
        store.record_attempt(
            running.attempt,
            baseline=_masked_conf(running.baseline),
            effective=_masked_conf(running.effective),
            operator=type(running.operator).__name__,
            started_at=running.started_at,
            patched=running.patched,
        )

    def _outcome(self, store: Store, running: RunningAttempt, *, succeeded: bool) -> None:
        from airflow_autoremed.spark.allocation import gib_seconds

        duration = running.duration_s
        store.record_outcome(
            running.attempt,
            succeeded=succeeded,
            ended_at=datetime.now(timezone.utc),
            duration_s=round(duration, 3),
            gib_seconds=round(gib_seconds(running.effective, duration), 3),
        )

    def _try(self, work: Callable[[Store], None]) -> bool:
        try:
            if self._store is None:
                from airflow_autoremed.history import Store

                configured = settings()
                self._store = Store(
                    store_url(), deployment=configured.deployment, deadline_s=configured.store_deadline
                )
            work(self._store)
        except Exception as error:  # noqa: BLE001 - history is worth having, never worth a task
            if not self._warned:
                warn("using the store", error)
            self._warned = True
            return False
        self._warned = False
        return True


def _masked(decision: Decision) -> Decision:
    cause = decision.classification
    lines = tuple(EvidenceLine(line.number, _mask(line.text), line.source) for line in cause.lines)
    return replace(
        decision,
        conf=_masked_conf(decision.conf),
        reason=_mask(decision.reason),
        classification=replace(cause, lines=lines, runners_up=()),
    )


def _masked_conf(conf: Conf) -> dict[str, str]:
    resources = handovers.resource_settings(conf)
    return {key: value if key in resources else _mask_value(key, value) for key, value in conf.items()}


def _mask_value(key: str, value: str) -> str:
    words = ("password", "secret", "token", "credential", "key", "passphrase")
    return "***" if any(word in key.lower() for word in words) else _mask(value)


def _mask(value: Any) -> str:
    from airflow_autoremed.airflow.compat import redact
    from airflow_autoremed.failures import mask_secrets

    return mask_secrets(str(redact(str(value))))
