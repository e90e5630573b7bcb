"""What the demo promises of each of its tasks: how it ends, and after how many tries."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.types import Action


@dataclass(frozen=True)
class Promise:
    """One task of the demo and how it must end."""

    dag_id: str
    task_id: str
    state: str
    tries: int
    category: str | None
    action: Action | None
    """The decision about its first try; ``None``: none is taken, because nothing fails."""
    about: str


@dataclass(frozen=True)
class Ended:
    """How a task ended."""

    promise: Promise
    state: str
    rows: tuple[StoredAttempt, ...]
    """Its tries in the history, oldest first."""

    @property
    def gib_seconds(self) -> float:
        """Memory held over time by all tries."""
        return sum(row.gib_seconds or 0.0 for row in self.rows)

    def broken(self) -> str:
        """What does not hold of what was promised; empty when all of it holds."""
        promise, first = self.promise, self.rows[0] if self.rows else None
        if first is None:
            return "nothing was recorded"
        found = {
            "state": (promise.state, self.state),
            "tries": (promise.tries, len(self.rows)),
            "category": (promise.category, first.category),
            "decision": (promise.action, first.action),
        }
        return "; ".join(
            f"{what} is {_text(got)}, promised was {_text(wanted)}"
            for what, (wanted, got) in found.items()
            if wanted != got
        )


def _text(value: object) -> str:
    return str(value.value) if isinstance(value, Action) else str(value)


HEALED, JUDGED = "healed_tasks", "judged_tasks"
_REMEDIATE, _STOP, _LEAVE = Action.REMEDIATE, Action.STOP, Action.LEAVE_ALONE

PROMISES = (
    Promise(
        HEALED, "executor_heap", "success", 2, "executor_oom_heap", _REMEDIATE, "executor heap too small"
    ),
    Promise(
        HEALED, "driver_result", "success", 2, "driver_result_size", _REMEDIATE, "result larger than allowed"
    ),
    Promise(
        HEALED, "skewed_aggregation", "success", 2, "executor_oom_heap", _REMEDIATE, "one partition for all"
    ),
    Promise(
        HEALED, "rpc_message", "success", 2, "serializer_buffer", _REMEDIATE, "message larger than allowed"
    ),
    Promise(JUDGED, "missing_table", "failed", 1, "missing_data", _STOP, "nobody has created the table"),
    Promise(JUDGED, "service_restarting", "success", 2, "network_timeout", _LEAVE, "connection refused once"),
    Promise(JUDGED, "no_room", "failed", 1, "executor_oom_heap", _STOP, "needs more than any container"),
    Promise(JUDGED, "healthy", "success", 1, None, None, "nothing is wrong"),
)
