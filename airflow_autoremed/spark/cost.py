"""What an attempt costs: memory and cores held, times their prices. Everything that speaks of cost asks here.

What was held comes from the event log, where there is one: every container with its own life time. Without one it is
what the configuration asks for, for as long as the attempt took: an upper bound under dynamic allocation (executors
come late and leave early), a lower one where the number of executors is not said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_autoremed.spark import allocation
from airflow_autoremed.types import Conf, Prices, RunMetrics

_HOUR = 3600.0


@dataclass(frozen=True)
class Usage:
    """What an attempt held, over time."""

    gib_seconds: float
    """Memory of all containers (driver and executors; heap, overhead and what is beside it) x their life times."""
    core_seconds: float
    """Cores of all containers x their life times."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.gib_seconds + other.gib_seconds, self.core_seconds + other.core_seconds)


def price(usage: Usage, prices: Prices) -> float:
    """What *usage* costs, in the currency of *prices*."""
    memory = usage.gib_seconds * prices.price_gib_hour
    return (memory + usage.core_seconds * prices.price_core_hour) / _HOUR


def usage_by_conf(conf: Conf, duration_s: float) -> Usage:
    """What *conf* asks for, held for *duration_s* seconds. A negative time counts as none."""
    lasted = duration_s if math.isfinite(duration_s) else 0.0
    return Usage(allocation.gib_seconds(conf, lasted), allocation.total_cores(conf) * max(0.0, lasted))


def usage_by_run(*runs: RunMetrics) -> Usage | None:
    """What the applications of one attempt held, by their event logs; ``None`` where one does not say."""
    total = Usage(0.0, 0.0)
    for run in runs:
        if run.gib_seconds is None or run.core_seconds is None:
            return None
        total += Usage(run.gib_seconds, run.core_seconds)
    return total if runs else None


def usage(conf: Conf, duration_s: float | None, *runs: RunMetrics) -> Usage | None:
    """What an attempt held: by the event logs of its applications, else by its configuration and duration.

    :param conf: the configuration that it ran with.
    :param duration_s: of the attempt; ``None`` where it is not known.
    """
    measured = usage_by_run(*runs)
    if measured is not None or duration_s is None:
        return measured
    return usage_by_conf(conf, duration_s)


def cost(conf: Conf, duration_s: float | None, prices: Prices, *runs: RunMetrics) -> float | None:
    """What an attempt cost, in the currency of *prices*; ``None`` where neither log nor duration is known."""
    held = usage(conf, duration_s, *runs)
    return None if held is None else price(held, prices)
