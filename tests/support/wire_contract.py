"""What every adapter has to hold over the wire: the provider's real operator, hook and trigger against a stand-in of
the platform, and the resume after a deferral on another operator object, as in another process.

A test module subclasses :class:`WireContract`, says how an operator is built and which stand-in runs.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest
from airflow.exceptions import TaskDeferred

from airflow_autoremed.platforms import Platform, find_platform
from airflow_autoremed.types import Source
from tests.support.standins.scripted import ScriptedSpark
from tests.support.tasks import HEAP_OOM

HEAP = "spark.executor.memory"
_TRIGGER_S = 60.0


@dataclass
class Attempt:
    """How one attempt ended, and what is known then."""

    operator: Any
    """That it ended with: another object than it began with, where it was deferred."""
    platform: Platform
    error: BaseException | None
    streamed: list[str]
    noted: dict[str, Any]

    def evidence(self) -> str:
        """All that can be read of the failure."""
        assert self.error is not None
        found = self.platform.diagnostics(self.operator, self.error)
        return "".join([str(self.error), "\n", *self.streamed, *(text for _, text in found)])


def context(try_number: int = 1) -> dict[str, Any]:
    """As much of Airflow's as the operators ask for."""
    ti = MagicMock(
        map_index=-1, try_number=try_number, dag_id="d", task_id="daily", run_id="r", start_date=None
    )
    ti.get_relevant_upstream_map_indexes = None
    dag = MagicMock(parent_dag=None)
    return {"ti": ti, "task_instance": ti, "run_id": "r", "dag": dag, "params": {}, "task_state_store": None}


class WireContract:
    """Subclass as ``TestX``; the fixture ``standin`` starts what :meth:`build`'s operators call."""

    operator: ClassVar[str] = ""
    """Its class, as the table of docs/platforms.md names it."""
    deferrable: ClassVar[tuple[bool, ...]] = (False, True)
    deferred_evidence: ClassVar[bool] = True
    """Whether the cause is found when the attempt was deferred: the table of docs/platforms.md says so."""

    def build(self, *, deferrable: bool, **conf: str) -> Any:
        """A rendered operator that declares *conf*."""
        raise NotImplementedError

    @pytest.fixture
    def spark(self) -> ScriptedSpark:
        return ScriptedSpark()

    @pytest.fixture(autouse=True)
    def standin(self) -> Any:
        raise NotImplementedError

    def attempt(self, operator: Any, *, try_number: int = 1, deferrable: bool = False) -> Attempt:
        """Run one as Airflow does: execute, the trigger in an event loop, the resume on another object."""
        platform = find_platform(operator)
        assert platform is not None
        streamed: list[str] = []
        platform.tap(operator, streamed.append)
        error: BaseException | None = None
        here = context(try_number)
        call = lambda: operator.execute(here)  # noqa: E731
        while True:
            try:
                call()
            except TaskDeferred as deferred:
                noted = json.loads(json.dumps(platform.note(operator)))  # on its way to another process
                payload = asyncio.run(_first_event(deferred.trigger)).payload
                operator = self.build(deferrable=deferrable, **platform.read_conf(operator))
                platform.restore(operator, noted)
                platform.tap(operator, streamed.append)
                resumed, method = operator, deferred.method_name
                call = lambda: getattr(resumed, method)(here, event=payload)  # noqa: B023, E731
                continue
            except Exception as failure:
                error = failure
            return Attempt(operator, platform, error, streamed, platform.note(operator))

    @staticmethod
    def cause_has_its_line(ended: Attempt) -> bool:
        """Whether the log that was read is the log that was written, line by line."""
        return any(line in ended.evidence().splitlines() for line in HEAP_OOM.splitlines() if "heap" in line)

    def test_the_cause_is_found_when_the_worker_waits(self) -> None:
        ended = self.attempt(self.build(deferrable=False, **{HEAP: "2g"}))
        assert self.cause_has_its_line(ended)
        assert ended.platform.submitted_conf(ended.operator).get(HEAP) == "2g"
        assert not ended.platform.reconnected(ended.operator)

    def test_the_cause_is_found_after_a_deferral_by_another_object(self) -> None:
        if True not in self.deferrable:
            pytest.skip("the operator does not defer")
        ended = self.attempt(self.build(deferrable=True, **{HEAP: "2g"}), deferrable=True)
        assert self.cause_has_its_line(ended) is self.deferred_evidence
        assert (ended.platform.submitted_conf(ended.operator) or {}).get(HEAP) == "2g"
        assert not ended.platform.reconnected(ended.operator)

    def test_a_patched_attempt_is_another_run_and_is_submitted_as_patched(self, spark: ScriptedSpark) -> None:
        for deferrable in self.deferrable:
            spark.confs.clear()
            first = self.attempt(self.build(deferrable=deferrable, **{HEAP: "2g"}), deferrable=deferrable)
            assert first.error is not None
            second = self.build(deferrable=deferrable, **{HEAP: "2g"})
            assert first.platform.renew(second) is None
            first.platform.write_conf(second, {HEAP: "4g"})
            healed = self.attempt(second, try_number=2, deferrable=deferrable)
            assert healed.error is None
            assert healed.platform.submitted_conf(healed.operator).get(HEAP) == "4g"
            assert [conf.get(HEAP) for conf in spark.confs] == ["2g", "4g"]

    def test_an_operator_that_builds_its_own_conf_is_seen_through(self) -> None:
        operator = self.build(deferrable=False, **{HEAP: "2g"})
        platform = find_platform(operator)
        assert platform is not None
        execute = operator.execute

        def with_its_own(here: Any) -> Any:
            platform.write_conf(operator, {HEAP: "3g"})
            return execute(here)

        operator.execute = with_its_own
        ended = self.attempt(operator)
        assert ended.platform.submitted_conf(ended.operator).get(HEAP) == "3g"


class LateLogs:
    """Beside :class:`WireContract`, for services that write logs minutes after the end."""

    def logs_are_late(self) -> None:
        """From now on."""
        raise NotImplementedError

    def logs_come(self) -> None:
        """What was held back."""
        raise NotImplementedError

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_a_log_that_comes_after_the_verdict_is_read_when_the_next_attempt_begins(
        self, deferrable: bool
    ) -> None:
        self.logs_are_late()
        failed = self.attempt(self.build(deferrable=deferrable, **{HEAP: "2g"}), deferrable=deferrable)  # type: ignore[attr-defined]
        assert "Java heap space" not in failed.evidence()
        noted = json.loads(json.dumps(failed.noted))
        following = self.build(deferrable=deferrable, **{HEAP: "2g"})  # type: ignore[attr-defined]
        before = dict(vars(following))
        assert "Java heap space" not in _texts(failed.platform.late_evidence(following, noted))
        self.logs_come()
        assert "Java heap space" in _texts(failed.platform.late_evidence(following, noted))
        assert {name for name in vars(following) if name not in before} <= {"hook"}


def _texts(evidence: Any) -> str:
    found: list[tuple[Source, str]] = list(evidence)
    return "".join(text for _, text in found)


async def _first_event(trigger: Any) -> Any:
    trigger.task_instance = MagicMock()

    async def first() -> Any:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    return await asyncio.wait_for(first(), _TRIGGER_S)
