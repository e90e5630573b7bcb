"""What is known of a failed attempt beside its log: the exception, and what the platform says of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from airflow_autoremed.airflow.attempt.running import RunningAttempt
from airflow_autoremed.airflow.guard import warn
from airflow_autoremed.types import Source

log = logging.getLogger("airflow_autoremed")

_DIAGNOSTICS_S = 30.0
"""How long a platform may take to say what it knows about a failed run."""


def evidence(running: RunningAttempt, exception: BaseException) -> Iterable[tuple[Source, str]]:
    """Texts about the failure, each with its source; what the platform does not say in time is left out."""
    own = f"{type(exception).__name__}: " if running.platform.in_process else ""
    yield Source.EXCEPTION, f"{own}{exception}"
    from airflow_autoremed.deadline import within
    from airflow_autoremed.errors import OverrunError

    found: list[tuple[Source, str]] = []

    def ask() -> None:
        found.extend(running.platform.diagnostics(running.operator, exception))

    try:
        within(_DIAGNOSTICS_S, ask)
    except OverrunError:
        log.warning(
            "[autoremed] the platform gave no diagnostics within %g s; continuing without them",
            _DIAGNOSTICS_S,
        )
    except Exception as error:  # noqa: BLE001 - diagnostics are a help, not a need
        warn("asking the platform for diagnostics", error)
    yield from found[:]  # what came before the deadline or the fault counts
