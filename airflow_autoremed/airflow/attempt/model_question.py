"""What a model is asked with about a failed try. Without a model it costs one look at the file system."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.airflow.options import settings
from airflow_autoremed.types import (
    REMEMBERED,
    UNKNOWN,
    Classification,
    Insight,
    Predictor,
    RecordedAttempt,
    Restartable,
)

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.running import RunningAttempt


def insight(running: RunningAttempt, exception: str, cause: Classification) -> Insight | None:
    """The model in use with what it has to be told about *running*; ``None`` where there is no model, or where it
    has no say: causes that no configuration cures are decided by the rules alone."""
    if cause.restartable is Restartable.NO or not (cause.memory_configuration or cause.category == UNKNOWN):
        return None
    try:
        predictor = _champion()
        if predictor is None:
            return None
        from airflow_autoremed.airflow.attempt.history_client import HistoryClient

        history = HistoryClient.current()
        return Insight(
            predictor,
            history.task_history(running.attempt, REMEMBERED - 1),
            RecordedAttempt(
                running.attempt,
                running.started_at.timestamp(),
                running.baseline,
                running.effective,
                duration_s=running.duration_s,
                template_id=_template(running, exception) if cause.category == UNKNOWN else None,
                operator=type(running.operator).__name__,
                fingerprint=running.fingerprint,
            ),
            running.options.effective_objective(),
            settings().prices,
        )
    except Exception as error:  # noqa: BLE001 - without a model the playbook decides
        warn("asking the model", error)
        return None


@lru_cache(maxsize=1)
def _champion() -> Predictor | None:
    from airflow_autoremed.learning.registry import champion

    return champion(settings().models)


def _template(running: RunningAttempt, exception: str) -> str:
    from airflow_autoremed.airflow.attempt import unclassified
    from airflow_autoremed.airflow.attempt.history_client import mask

    return unclassified.look([mask(exception), mask(running.tap.excerpt())]).template_id or ""
