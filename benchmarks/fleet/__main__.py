"""A year of a fleet of Spark tasks, simulated: the product beside other ways to retry.

    python -m benchmarks.fleet                              # 2,000 tasks, 365 days; writes benchmarks/results/fleet.*
    python -m benchmarks.fleet --quick                      # a smoke run, writes nothing
    python -m benchmarks.fleet --attempts 1000000 --spark   # the part without a model as a Spark job, added to the page

The product's own code decides (:mod:`benchmarks.fleet.ours`); what the world is made of, and what of it is assumed:
:mod:`benchmarks.fleet.world`. No figure is written down anywhere but in the results.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from benchmarks.fleet.command import main

    main(__doc__ or "")
