"""The figures of the README, from the stored results: between marks, so that a test can say whether they are the same.

python -m benchmarks.readme     # renew them
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import overhead, raw_data
from benchmarks.fleet import report as fleet
from benchmarks.fleet.strategies import BLIND, ORACLE, OURS
from benchmarks.proof import report as proof

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_PAID = (
    ("parse a file, 1 task, remediate()", "a Dag file with one task parses {} longer"),
    (overhead.FIRST_TRY, "a try that succeeds takes {} longer"),
    ("a decision without a model, cold", "a decision about a failure takes {}"),
    ("a decision with a model, cold", "with a trained model {}"),
    ("memory that a failing try adds, with a model", "and then {} more memory"),
    ("log tap", "the log passes at {}"),
)
"""Measures of the overhead, and how they are said."""


def proof_figures(results: Mapping[str, Any]) -> str:
    """The table of real jobs."""
    jobs = proof.counted(results)
    left_out = ("no retry", proof.TEXT_ALONE, proof.UNAUDITED)
    names = [name for name in proof.strategies_of(results) if name not in left_out]
    blind, best = proof.measure(jobs, proof.BLIND), proof.oracle(jobs)
    lines = [
        f"{len(jobs)} real Spark jobs that failed, the same for every strategy and with the same number of tries "
        f"(`{results['command']}`, {results['date'][:10]}, [whole result](benchmarks/results/proof.md)):",
        "",
        "| strategy | healed by the 1st retry | by the last | memory held / blind | / oracle | retries in vain |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.strategy} | {proof.share_of(each.healed_first, each.curable)} "
        f"| {proof.share_of(each.healed_last, each.curable)} "
        f"| {each.gib_seconds / blind.gib_seconds:.2f} | {each.gib_seconds / best.gib_seconds:.2f} "
        f"| {each.retries_in_vain} |"
        for each in [*(proof.measure(jobs, name) for name in names), best]
    ]
    return "\n".join(lines)


def overhead_figures(results: Mapping[str, Any]) -> str:
    """What it costs, in a sentence."""
    found = {figure.what: figure for figure in overhead.figures(dict(results))}
    parts = [
        text.format(f"{found[what].measured:.0f} {found[what].unit}") for what, text in _PAID if what in found
    ]
    said = "; ".join(parts)
    return (
        f"What it costs to have it (medians on {results['machine'].split(',')[0]}, `python benchmarks/overhead.py`, "
        f"{results['date'][:10]}, [whole result](benchmarks/results/overhead.md)): {said}."
    )


def fleet_figures(results: Mapping[str, Any]) -> str:
    """A simulated year, in a sentence."""
    found = dict(results)

    def told(name: str) -> str:
        healed = fleet.share(fleet.total(found, name, "healed"), fleet.total(found, name, "needy"))
        cost = fleet.total(found, name, "cost") / fleet.total(found, ORACLE, "cost")
        return f"{healed:.0%} at {cost:.2f}"

    world = found["world"]
    return (
        f"In a *simulated* year of {world['tasks']:,} tasks (`{found['command']}`, {found['date']}, "
        "[what is assumed, and the curves](benchmarks/results/fleet.md)) this heals, of the failures that something "
        f"cures, and holds, in GiB-hours relative to an oracle: blind retry {told(BLIND)}, double everything "
        f"{told('double everything')}, ours {told(OURS)}; assumed is that no rule recognises "
        f"{found['rates']['unclassified']:.0%} of the causes."
    )


SECTIONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "proof": proof_figures,
    "overhead": overhead_figures,
    "fleet": fleet_figures,
}
"""What stands between the marks of a name, from the stored result of that name."""


def with_figures(readme: str, name: str, figures: str) -> str:
    """*readme* with what stands between the marks of *name* replaced.

    :raises ValueError: when the marks are not there.
    """
    begin, end = f"<!-- figures: {name} -->", f"<!-- /figures: {name} -->"
    if begin not in readme or end not in readme:
        raise ValueError(f"README.md has no {begin} ... {end}")
    return re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{figures}\n{end}", readme, flags=re.S
    )


def renewed(readme: str) -> str:
    """*readme* with every figure from the stored results."""
    for name, figures in SECTIONS.items():
        results = raw_data.read(RESULTS / f"{name}.json.gz")
        readme = with_figures(readme, name, figures(results))
    return readme


def write() -> None:
    """Renew the README."""
    file = ROOT / "README.md"
    file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
