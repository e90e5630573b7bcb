"""What the gates ask about other attempts, answered from the store."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_autoremed.airflow.attempt.history_client import HistoryClient
from airflow_autoremed.airflow.attempt.running import RunningAttempt
from airflow_autoremed.airflow.options import settings
from airflow_autoremed.history.stored import OutcomesOf
from airflow_autoremed.remediation.gates import Outcome, Passage, Recent
from airflow_autoremed.types import AttemptId


class StoreBooks:
    """:class:`~airflow_autoremed.remediation.gates.Books` from the store."""

    def outcomes(self, wanted: Sequence[Recent]) -> Sequence[Sequence[Outcome]] | None:
        """How the latest remediated attempts of each of *wanted* ended; ``None`` where the store cannot say."""
        questions = [OutcomesOf(each.most, each.dag_id, each.task_id, each.category) for each in wanted]
        return HistoryClient.current().remediated_outcomes(questions)

    def grant(self, attempt: AttemptId, extra_bytes: int) -> str | None:
        """Reserve memory for *attempt*; why not, where it is refused."""
        return HistoryClient.current().grant(attempt, extra_bytes)


def passage(running: RunningAttempt) -> Passage:
    """What the gates are told about *running*."""
    modes = {}
    if running.overrides:
        from airflow_autoremed.remediation.modes import by_category

        modes = by_category(running.mode, running.overrides)
    return Passage(
        running.mode_of(), StoreBooks(), settings().brakes, running.options.own_retries, modes=modes
    )
