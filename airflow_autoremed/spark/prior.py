"""How likely a retry with more memory fails, where nothing has been learned yet.

Need is taken to be spread like a Pareto distribution above what failed: the chance that it is larger than *c*
times that falls with ``c ** -SHAPE``. A shape of 2 gives 1 in 4 for a doubling and 1 in 16 for the next. It is a
choice, not a measurement: it only has to be beaten (see the audits of a model).
"""

from __future__ import annotations

SHAPE = 2.0


def fails_again(ratio: float) -> float:
    """Probability that *ratio* times the memory that failed is too little as well; 1 for no more of it."""
    return float(min(1.0, max(ratio, 1e-9) ** -SHAPE))
