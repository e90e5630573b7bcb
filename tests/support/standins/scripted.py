"""A spark-submit that is only a script: it fails with a log unless its configuration holds the cure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.tasks import HEAP_OOM

TAKES_S = 0.7
"""How long a run takes: an operator that defers has deferred by then."""


@dataclass
class ScriptedSpark:
    """What every run of a stand-in does."""

    log: str = HEAP_OOM
    cure: tuple[str, str] = ("spark.executor.memory", "4g")
    confs: list[dict[str, str]] = field(default_factory=list)
    """What each run was started with."""

    def run(self, conf: Mapping[str, object], ended: Callable[[bool, str], None]) -> None:
        """Start one; *ended* is told in another thread whether it succeeded, and its output."""
        given = {key: str(value) for key, value in conf.items()}
        self.confs.append(given)
        cured = given.get(self.cure[0]) == self.cure[1]
        output = "26/11/24 10:00:00 INFO SparkContext: done\n" if cured else self.log
        timer = threading.Timer(TAKES_S, ended, (cured, output))
        timer.daemon = True
        timer.start()
