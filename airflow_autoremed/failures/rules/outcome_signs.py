"""What in a log says that the application failed, that it succeeded, or that it got over a trouble.

A healthy log may be full of WARN and ERROR. What tells it from a failed one is not the trouble but the end: an
action that failed, a final status, an exit code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any

from airflow_autoremed.failures.rules.pattern_literals import analyse


class SignKind(Enum):
    """What a sign says."""

    FAILED = "failed"
    """The application, or an action of it, failed."""
    SEEMS_FAILED = "seems_failed"
    """As a failure looks, but programs also log it and go on."""
    SUCCEEDED = "succeeded"
    """The application as a whole succeeded."""
    WENT_ON = "went_on"
    """An action succeeded: what went wrong before it was overcome."""


@dataclass(frozen=True)
class Sign:
    """A pattern with its meaning and literals."""

    kind: SignKind
    pattern: str
    literals: tuple[str, ...]

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern)

    def to_list(self) -> list[Any]:
        """As plain JSON, for the cache."""
        return [self.kind.value, self.pattern, list(self.literals)]

    @classmethod
    def from_list(cls, plain: list[Any]) -> Sign:
        """The inverse of :meth:`to_list`."""
        kind, pattern, literals = plain
        return cls(SignKind(kind), pattern, tuple(literals))


_PATTERNS: tuple[tuple[SignKind, tuple[str, ...]], ...] = (
    (
        SignKind.FAILED,
        (
            r"Job aborted",
            r"Job \d+ (failed: |cancelled )",
            r"Exception in thread \"(main|Driver)\"",
            r"Py4JJavaError",
            r"User class threw exception|User application exited with status",
            r"[Ff]inal (app )?status: (FAILED|KILLED|UNDEFINED)",
            r"exitCode: [1-9]|[Ee]xit code: [1-9]\d*$|Error code is: ?-?[1-9]",
            r"finished with failed status|finished with killed status|terminated with error",
            r"exited with status (FAILED|ERROR|KILLED)|State of driver \S+ is (FAILED|ERROR|KILLED)",
            r"Error initializing SparkContext|Failed to initialize Spark session",
            r"phase: Failed|termination reason: (Error|OOMKilled)",
            r"INTERNAL: Job failed|Job run failed|Workload failed|JobRunState.{0,10}FAILED",
            r"An error occurred while calling|Cannot execute: ",
            r"Application application_\d+_\d+ failed \d+ times",
            r"Application has been killed|Spark cluster looks dead",
            r"^airflow\.exceptions\.AirflowException: ",
        ),
    ),
    (SignKind.SEEMS_FAILED, (r"^Traceback \(most recent call last\)",)),
    (
        SignKind.SUCCEEDED,
        (
            r"[Ff]inal (app )?status: SUCCEEDED",
            r"State of driver \S+ is FINISHED",
            r"phase: Succeeded|termination reason: Completed",
        ),
    ),
    (
        SignKind.WENT_ON,
        (
            r"DAGScheduler: Job \d+ finished: ",
            r"DAGScheduler: Job \d+ is finished",
            r"DAGScheduler: ResultStage \d+ \(.{0,200}\) finished in ",
        ),
    ),
)


@lru_cache(maxsize=1)
def make_signs() -> tuple[Sign, ...]:
    """All signs, with the literals derived from their patterns."""
    return tuple(
        Sign(kind, pattern, analyse(pattern).literals) for kind, patterns in _PATTERNS for pattern in patterns
    )
