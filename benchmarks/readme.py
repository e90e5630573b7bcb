"""The figures of ``README.md`` and ``docs/results.md``, from the stored results: between marks, so that a test can say
whether they are the same.

python -m benchmarks.readme     # renew both
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
_NAMES = {
    "blind retry x3": "plain retry",
    "double everything": "double all memory on each retry",
    "double executor memory": "double executor memory on each retry",
    "declared x try": "declared memory x number of the try",
    "ours": "**airflow-autoremed**",
    "ours with a model": "airflow-autoremed with a trained model",
    "oracle": "optimum (knows what each job needs)",
}
"""Strategies whose names in the benchmarks a newcomer would not understand."""
_OVERHEAD = {
    "parse a file, 1 task, remediate()": "parsing a Dag file with one task takes longer by",
    overhead.FIRST_TRY: "an attempt that succeeds takes longer by",
    "a decision without a model, cold": "a decision about a failure takes",
    "a decision with a model, cold": "a decision with a trained model takes",
    "memory that a failing try adds, with a model": "a decision with a trained model adds memory of",
    "log tap": "throughput of the log matcher",
}
"""Measures of the overhead, in plain words."""


def _name(strategy: str) -> str:
    return _NAMES.get(strategy, strategy)


def summary_figures(results: Mapping[str, Any]) -> str:
    """The four rows of the README."""
    jobs = proof.counted(results)
    best = proof.oracle(jobs)
    rows = [*(proof.measure(jobs, name) for name in (proof.BLIND, "double everything", "ours")), best]
    lines = [
        f"{len(jobs)} real Spark jobs that failed, {best.curable} of which a configuration can heal "
        f"(`{results['command']}`, {results['date'][:10]}):",
        "",
        "| strategy | jobs healed | GiB-hours vs. optimum | wasted retries |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {_name(each.strategy)} | {proof.share_of(each.healed_last, each.curable)} "
        f"| {each.gib_seconds / best.gib_seconds:.2f} | {each.retries_in_vain} |"
        for each in rows
    ]
    return "\n".join(lines)


def proof_figures(results: Mapping[str, Any]) -> str:
    """The table of real jobs."""
    jobs = proof.counted(results)
    left_out = ("no retry", proof.TEXT_ALONE, proof.UNAUDITED)
    names = [name for name in proof.strategies_of(results) if name not in left_out]
    blind, best = proof.measure(jobs, proof.BLIND), proof.oracle(jobs)
    lines = [
        f"{len(jobs)} real Spark jobs that failed; every strategy had the same jobs and the same number of attempts "
        f"(`{results['command']}`, {results['date'][:10]}, [all tables](../benchmarks/results/proof.md)):",
        "",
        "| strategy | healed by the first retry | healed by the last retry | GiB-hours vs. plain retry "
        "| GiB-hours vs. optimum | wasted retries |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {_name(each.strategy)} | {proof.share_of(each.healed_first, each.curable)} "
        f"| {proof.share_of(each.healed_last, each.curable)} "
        f"| {each.gib_seconds / blind.gib_seconds:.2f} | {each.gib_seconds / best.gib_seconds:.2f} "
        f"| {each.retries_in_vain} |"
        for each in [*(proof.measure(jobs, name) for name in names), best]
    ]
    return "\n".join(lines)


def overhead_figures(results: Mapping[str, Any]) -> str:
    """What the plugin costs, as a table."""
    found = {figure.what: figure for figure in overhead.figures(dict(results))}
    lines = [
        f"Medians on {results['machine'].split(',')[0]} (`python benchmarks/overhead.py`, {results['date'][:10]}, "
        "[distributions and targets](../benchmarks/results/overhead.md)):",
        "",
        "| what | measured |",
        "|---|---|",
    ]
    lines += [
        f"| {text} | {found[what].measured:.0f} {found[what].unit} |"
        for what, text in _OVERHEAD.items()
        if what in found
    ]
    return "\n".join(lines)


def fleet_figures(results: Mapping[str, Any]) -> str:
    """A simulated year, as a table."""
    found = dict(results)
    world = found["world"]
    lines = [
        f"A *simulation*: {world['tasks']:,} tasks over {world['days']} days, assuming that "
        f"{found['rates']['unclassified']:.0%} of the causes match no rule (`{found['command']}`, {found['date']}, "
        "[all assumptions, and the curves](../benchmarks/results/fleet.md)). Healed: of the failures that something cures.",
        "",
        "| strategy | failures healed | GiB-hours vs. optimum |",
        "|---|---|---|",
    ]
    for name in (BLIND, "double everything", OURS):
        healed = fleet.share(fleet.total(found, name, "healed"), fleet.total(found, name, "needy"))
        cost = fleet.total(found, name, "cost") / fleet.total(found, ORACLE, "cost")
        shown = _NAMES["ours"] if name == OURS else _name(name)
        lines.append(f"| {shown} | {healed:.0%} | {cost:.2f} |")
    return "\n".join(lines)


Figures = Callable[[Mapping[str, Any]], str]

SECTIONS: Mapping[str, Mapping[str, tuple[str, Figures]]] = {
    "README.md": {"summary": ("proof", summary_figures)},
    "docs/results.md": {
        "proof": ("proof", proof_figures),
        "overhead": ("overhead", overhead_figures),
        "fleet": ("fleet", fleet_figures),
    },
}
"""Per page and mark: the stored result, and what stands between the marks."""


def with_figures(page: str, name: str, figures: str) -> str:
    """*page* with what stands between the marks of *name* replaced.

    :raises ValueError: when the marks are not there.
    """
    begin, end = f"<!-- figures: {name} -->", f"<!-- /figures: {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"the page has no {begin} ... {end}")
    return re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{figures}\n{end}", page, flags=re.S
    )


def renewed(page: str, text: str) -> str:
    """*text* of *page* (a key of :data:`SECTIONS`) with every figure from the stored results."""
    for mark, (name, figures) in SECTIONS[page].items():
        text = with_figures(text, mark, figures(raw_data.read(RESULTS / f"{name}.json.gz")))
    return text


def write() -> None:
    """Renew both pages."""
    for page in SECTIONS:
        file = ROOT / page
        file.write_text(renewed(page, file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
