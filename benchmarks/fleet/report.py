"""From the results, as JSON has them, to Markdown and a picture. Nothing is computed here but sums and ratios."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fleet.strategies import BLIND, MODEL, NAMES, ORACLE, OURS, STICKY

Results = dict[str, Any]
_MONTH = 30

COLORS = {
    "no retry": "0.7",
    BLIND: "0.4",
    "exception rules": "C5",
    "Kubernetes VPA": "C6",
    "declared x try": "C8",
    "double executor heap": "C1",
    "double everything": "C3",
    STICKY: "C4",
    OURS: "C0",
    MODEL: "C2",
    ORACLE: "black",
}


def total(results: Results, name: str, measure: str) -> float:
    """Of the whole year."""
    return float(sum(results["strategies"][name]["weekly"][measure]))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def render(results: Results) -> str:
    """The page."""
    return "\n".join([*_head(results), *_table(results), *_verdict(results), *_rest(results)]) + "\n"


def names(results: Results) -> list[str]:
    return [name for name in NAMES if name in results["strategies"]]


def _head(results: Results) -> Iterator[str]:
    world = results["world"]
    yield "# A simulated year of a fleet"
    yield ""
    yield (
        "**This is a simulation.** The product's code decides, but tasks, needs, faults and run times are made up from "
        "public data and assumptions; the figures say how the decisions work out in such a world, not in yours. What "
        "happens on a real cluster with real jobs is measured elsewhere (`benchmarks/proof`)."
    )
    yield ""
    busy = (
        f" ({results['cpu_seconds']:.0f} s of CPU time; load at the end {results['load']})"
        if "load" in results
        else ""
    )
    yield f"`{results['command']}`, {results['date']}, {results['machine']}, {results['seconds']:.0f} s{busy}."
    yield ""
    yield (
        f"{world['tasks']:,} tasks, {world['days']} days, seed {world['seed']}: {world['runs']:,} runs, of which "
        f"{world['declared_fail']:.1%} fail at first as declared ({world['needy']:,} for something that a configuration "
        f"or a plain retry cures, {world['needy_memory']:,} of them for memory; {world['incurable']:,} for something "
        f"that nothing cures). Every strategy has {world['retries']} retries and meets the same needs and faults."
    )
    yield ""
    yield "![Curves over the year](fleet.png)"
    yield ""


def _table(results: Results) -> Iterator[str]:
    yield (
        "| strategy | healed, of curable | of memory | GiB-hours | / blind | / oracle | of it in failed tries | "
        "first tries failed a day | wrong stops | retries on incurable | incurable stopped at once |"
    )
    yield "|---" * 11 + "|"
    days = results["world"]["days"]
    blind, oracle = total(results, BLIND, "cost"), total(results, ORACLE, "cost")
    for name in names(results):
        t = {measure: total(results, name, measure) for measure in results["strategies"][name]["weekly"]}
        stops = (
            "all"
            if name == "no retry"
            else f"{t['wrong_stops']:,.0f} ({share(t['wrong_stops'], t['needy']):.1%})"
        )
        label = f"**{name}**" if name in (OURS, MODEL) else name
        yield (
            f"| {label} | {share(t['healed'], t['needy']):.1%} | {share(t['healed_memory'], t['needy_memory']):.1%} "
            f"| {t['cost']:,.0f} | {share(t['cost'], blind):.3f} | {share(t['cost'], oracle):.3f} "
            f"| {share(t['failed_cost'], t['cost']):.1%} | {t['first_failures'] / days:.1f} | {stops} "
            f"| {t['retries_on_incurable']:,.0f} | {share(t['incurable_stopped_first'], t['incurable_runs']):.0%} |"
        )
    yield ""
    yield (
        "*Healed*: the run succeeded in the end, of the runs whose first try fails as declared and which something "
        "cures; a failure that a strategy prevents counts like one that it heals. *Cost*: container memory x time of "
        "all tries, driver and executors, the failed ones too; a strategy that leaves runs failed is cheap, so read the "
        "columns together. *Wrong stop*: retries were left, a configuration or a plain retry would have cured the run, "
        "and none was made. *Oracle*: knows what each try needs and gives exactly that where the declared "
        "configuration is too small; it never gives less than is declared, and stops at once where nothing helps."
    )
    yield ""


def _verdict(results: Results) -> Iterator[str]:
    """Where ours is better and where worse, by the figures."""
    yield "## Where ours wins and where it loses"
    yield ""
    for mine in (OURS, MODEL):
        if mine not in results["strategies"]:
            continue
        for other in names(results):
            if other in (OURS, MODEL, ORACLE, "no retry"):
                continue
            yield f"- {mine} against {other}: {_against(results, mine, other)}."
    if MODEL in results["strategies"] and OURS in results["strategies"]:
        yield f"- {MODEL} against {OURS}: {_against(results, MODEL, OURS)}."
    yield ""


_BETTER = (
    ("healed", "needy", "heals", True),
    ("cost", "", "GiB-hours", False),
    ("first_failures", "", "first tries that fail", False),
    ("wrong_stops", "", "wrong stops", False),
    ("retries_on_incurable", "", "retries on incurable", False),
)


def _against(results: Results, mine: str, other: str) -> str:
    wins, losses, even = [], [], []
    for measure, of, word, more in _BETTER:
        a, b = total(results, mine, measure), total(results, other, measure)
        if of:
            a, b = share(a, total(results, mine, of)), share(b, total(results, other, of))
            text = f"{word} {a:.1%} instead of {b:.1%}"
        else:
            text = f"{a:,.0f} instead of {b:,.0f} {word}"
        if abs(a - b) <= 0.001 * max(abs(a), abs(b)):
            even.append(word)
        elif (a > b) is more:
            wins.append(text)
        else:
            losses.append(text)
    parts = [
        f"better: {'; '.join(wins)}" if wins else "",
        f"**worse: {'; '.join(losses)}**" if losses else "",
    ]
    parts.append(f"alike (within 0.1%): {', '.join(even)}" if even else "")
    return ". ".join(part for part in parts if part)


def _rest(results: Results) -> Iterator[str]:
    yield from _decisions(results)
    yield from _trainings(results)
    yield from _sensitivity(results)
    yield from _scale(results)
    yield from _assumptions(results)


def _decisions(results: Results) -> Iterator[str]:
    yield "## What ours decided"
    yield ""
    for name in (OURS, MODEL):
        found = results["strategies"].get(name)
        if found is None:
            continue
        yield f"- {name}: {_counts(found['decided'])}. Patches: {_counts(found['life'])}."
        yield f"  Weak: {_counts(found['wrong']) or 'none seen'}."
    yield ""
    yield "Examples of each kind of weak decision (the true cause, what was read, the reason that the task log gives):"
    yield ""
    seen: set[tuple[str, str]] = set()
    for name in (OURS, MODEL):
        for weak in results["strategies"].get(name, {}).get("weak", ()):
            if (name, weak["kind"]) in seen:
                continue
            seen.add((name, weak["kind"]))
            yield (
                f"- {name}, {weak['kind']}: task {weak['task']}, day {weak['day']}, {weak['truth']} read as "
                f'{weak["verdict"]}: "{weak["reason"]}"'
            )
    yield ""


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in sorted(counts.items(), key=lambda pair: -pair[1]))


def _trainings(results: Results) -> Iterator[str]:
    trainings = results.get("trainings") or []
    if not trainings:
        return
    config = results["config"]
    yield "## The model"
    yield ""
    often = "daily" if config["retrain"] == 1 else f"every {config['retrain']} days"
    yield (
        f"Trained anew {often} on the last {config['window']} (at most {config['most']:,} "
        f"attempts, whole tasks): {sum(bool(each['promoted']) for each in trainings)} of {len(trainings)} passed their "
        "audits and decided from then on."
    )
    yield ""
    yield "| days | trainings | attempts, mean | failures, mean | passed | audits that the others failed |"
    yield "|---|---|---|---|---|---|"
    for begin in range(0, int(trainings[-1]["day"]) + 1, _MONTH):
        month = [each for each in trainings if begin <= each["day"] < begin + _MONTH]
        if not month:
            continue
        missed = Counter(
            each.split(":")[0]
            for training in month
            for each in training.get("failed_audits") or ([training["why"]] if training.get("why") else [])
        )
        yield (
            f"| {begin} to {begin + _MONTH - 1} | {len(month)} "
            f"| {statistics.mean(each['attempts'] for each in month):,.0f} "
            f"| {statistics.mean(each.get('failures', 0) for each in month):,.0f} "
            f"| {sum(bool(each['promoted']) for each in month)} | {_counts(dict(missed))} |"
        )
    yield ""


def _sensitivity(results: Results) -> Iterator[str]:
    parts = results.get("sensitivity") or []
    if not parts:
        return
    yield "## What the assumptions do"
    yield ""
    yield (
        f"Smaller fleets ({parts[0]['tasks']:,} tasks), without a model, one thing changed each. Healed share of the "
        "curable; GiB-hours relative to the oracle of the same world; wrong stops."
    )
    yield ""
    shown = [BLIND, "double everything", OURS]
    yield "| world | " + " | ".join(shown) + " |"
    yield "|---" * (len(shown) + 1) + "|"
    for part in parts:
        cells = [
            f"{each['healed']:.1%}, {each['cost']:.3f}, {each['wrong_stops']:,}"
            for each in (part["strategies"][name] for name in shown)
        ]
        yield f"| {part['name']} | " + " | ".join(cells) + " |"
    yield ""


def _scale(results: Results) -> Iterator[str]:
    found = results.get("scale")
    if not found:
        return
    yield "## A million attempts"
    yield ""
    yield (
        f"`{found['command']}`, {found['date']}: {found['attempts']:,} attempts of the product (rules and playbook, no "
        f"model) and {found['attempts_all']:,} of all strategies, {found['tasks']:,} tasks over {found['partitions']} "
        f"partitions of a Spark job ({found['master']}, Spark {found['spark']}), {found['seconds']:.0f} s. Each task by "
        "itself, without the brakes that look at other tasks. Healed, and GiB-hours relative to the oracle: "
        + "; ".join(
            f"{name} {each['healed']:.1%}, {each['cost']:.3f}" for name, each in found["strategies"].items()
        )
        + "."
    )
    yield ""


def _assumptions(results: Results) -> Iterator[str]:
    world = results["world"]
    yield "## Where the world comes from"
    yield ""
    yield (
        f"- Measured: spread of peak memory, and how it follows the bytes read: {world['source']}. Of the classifier: "
        f"{results['rates']['misclassified']:.1%} of a task's causes misread for good, from 38 of 39 real driver logs "
        "(`benchmarks/classify_accuracy.py`)."
    )
    yield (
        "- Published: about half of the failures stay unclassified (Netflix, 2024); used in the table above. Here "
        f"{results['rates']['unclassified']:.0%} by default, which is assumed."
    )
    yield f"- Which setting is scarce: {world['scarce_from']}."
    if world.get("undersized"):
        ratios = world["undersized"]
        yield (
            f"- Measured by the proof: how much too little a job declares that declares too little, {len(ratios)} jobs "
            f"that needed {min(ratios):.2g} to {max(ratios):.2g} times it (median {statistics.median(ratios):.2g}). Of "
            f"deployments {results['rates']['undersized']:.0%} bring such a job (assumed). It may need more than the "
            "largest container, and then nothing cures it."
        )
    yield f"- Assumed rates: {_rates(results['rates'])}."
    yield (
        "- Assumed besides: authors look at twenty runs, take the 95th percentile and twice of it (spread widely); "
        "growth and seasons; which transient and incurable causes are how frequent (counts of the open labelled "
        "failures, which are public questions); memory changes no run time; event logs are collected, so that the "
        "model sees peaks; after 15 runs in a row that were too small the author raises the setting himself, "
        "whatever the strategy; the exception rules always see the true cause, although Spark's exceptions often lack it."
    )
    yield (
        "- Not modelled: queues, stalls, several scarce settings in more than a quarter of the tasks, shuffle "
        "partitions, skew, people who read the hints, mapped tasks, `retry_budget`, right-sizing."
    )


def _rates(rates: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in rates.items())


PANELS: Sequence[tuple[str, str, str | None]] = (
    ("healed share of curable failures", "healed", "needy"),
    ("GiB-hours / oracle", "cost", "oracle"),
    ("GiB-hours / blind retry", "cost", "blind"),
    ("first tries that fail, a day", "first_failures", "days"),
    ("wrong stops, in all", "wrong_stops", None),
    ("retries spent on incurable, in all", "retries_on_incurable", None),
)


def curve(results: Results, name: str, measure: str, by: str | None) -> list[float]:
    """One strategy's curve over the weeks, smoothed over four of them."""
    weekly = results["strategies"]
    mine = list(weekly[name]["weekly"][measure])
    if by is None:
        return [sum(mine[: number + 1]) for number in range(len(mine))]
    if by == "days":
        below = list(results["week_days"])
    elif by in ("oracle", "blind"):
        below = list(weekly[ORACLE if by == "oracle" else BLIND]["weekly"][measure])
    else:
        below = list(weekly[name]["weekly"][by])
    return [
        share(sum(mine[max(0, at - 3) : at + 1]), sum(below[max(0, at - 3) : at + 1]))
        for at in range(len(mine))
    ]


def draw(results: Results, path: Path) -> None:
    """The picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    for axes, (title, measure, by) in zip(figure.subplots(2, 3).ravel(), PANELS, strict=True):
        for name in names(results):
            if measure == "wrong_stops" and name == "no retry":
                continue
            if by in ("oracle", "blind") and name == STICKY:
                continue
            ours = name in (OURS, MODEL)
            axes.plot(
                curve(results, name, measure, by),
                color=COLORS[name],
                linewidth=2.2 if ours else 1.2,
                linestyle="--" if name == ORACLE else "-",
                label=name,
            )
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("week")
        axes.grid(alpha=0.25)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    kept = f"; {STICKY} is off the scale of the costs" if STICKY in results["strategies"] else ""
    figure.suptitle(f"Simulation, not a measurement of a cluster (four-week means{kept})", fontsize="small")
    figure.savefig(path, dpi=100)
