"""``autoremed classify``: what a log says about why its application failed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import CANNOT, Format, FormatOption, complain, console, fail
from airflow_autoremed.cli.find_logs import LOOKED_FOR, STDIN, Missing, classified, find_logs
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.types import UNKNOWN, Classification

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue
    from airflow_autoremed.failures.rules.rule import Rule


def classify(
    files: list[Path] = typer.Argument(
        ...,
        metavar="LOG...",
        help=f"Logs of failed applications (plain or .gz), directories of them ({LOOKED_FOR}), "
        "quoted patterns, for example 'logs/**/stderr', or - for standard input.",
    ),
    output: FormatOption = Format.TEXT,
    explain: bool = typer.Option(
        False,
        "--explain",
        help="Also show the failure chain, and which other rules matched and why they do not count.",
    ),
    rules_paths: list[Path] = typer.Option(
        [],
        "--rules",
        help="Rule files or directories, used before the configured ones; repeatable.",
        metavar="PATH",
    ),
) -> None:
    """Say why the applications that wrote these logs failed.

    Shows category, rule, whether a retry can help, and the deciding lines of each log. Exits with 2 when a log cannot be read; the other logs are still classified.
    """
    from airflow_autoremed.errors import CatalogueError
    from airflow_autoremed.failures.rules.loading import load_catalogue

    try:
        catalogue = load_catalogue((*rules_paths, *configuration.load().rules_paths))
    except (SettingsError, CatalogueError) as error:
        fail(str(error))
    for warning in catalogue.warnings:
        complain(str(warning))
    found = list(find_logs(files))
    missing = [each for each in found if isinstance(each, Missing)]
    for each in missing:
        complain(each.reason)
    out = console()
    counts: Counter[str] = Counter()
    for path, verdict in classified(catalogue, [each for each in found if isinstance(each, Path)], out):
        if isinstance(verdict, Missing):
            missing.append(verdict)
            complain(verdict.reason)
            continue
        counts[verdict.category] += 1
        if output is Format.JSON:
            out.print(Text(json.dumps(_as_json(path, verdict, explain))), soft_wrap=True)
        else:
            for line in _as_text(path, verdict, explain, catalogue):
                out.print(line, soft_wrap=True)
    if output is Format.TEXT and counts.total() > 1:
        out.print(Text(_summary(counts), "bold"), soft_wrap=True)
    if missing:
        raise typer.Exit(CANNOT)


def _as_json(path: Path, verdict: Classification, explain: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "file": str(path),
        "category": verdict.category,
        "rule": verdict.rule,
        "restartable": verdict.restartable.value,
        "memory_configuration": verdict.memory_configuration,
        "lines": [{"number": line.number, "text": line.text} for line in verdict.lines],
    }
    if explain:
        answer["chain"] = [
            {"what": link.what, "number": link.line.number, "text": link.line.text} for link in verdict.chain
        ]
        answer["unseen"] = list(verdict.unseen)
        answer["runners_up"] = [
            {
                "rule": match.rule,
                "category": match.category,
                "rank": match.rank,
                "why_not": match.why_not,
                "lines": [{"number": line.number, "text": line.text} for line in match.lines],
            }
            for match in verdict.runners_up
        ]
    return answer


def _as_text(path: Path, verdict: Classification, explain: bool, catalogue: Catalogue) -> list[Text]:
    """The verdict for a person, line by line."""
    name = "standard input" if path == STDIN else str(path)
    lines = []
    if verdict.category == UNKNOWN:
        line = Text.assemble((name, "bold"), ": ", ("unknown", "bold"), ", no rule applies")
        lost = len(verdict.runners_up)
        if lost and not explain:
            what = "one rule matched but does" if lost == 1 else f"{lost} rules matched but do"
            line.append(f" ({what} not count; --explain says why)", "dim")
        lines.append(line)
    else:
        memory = ", caused by the memory configuration" if verdict.memory_configuration else ""
        lines.append(
            Text.assemble(
                (name, "bold"),
                ": ",
                (verdict.category, "bold red"),
                f"{memory} (rule {verdict.rule}; a retry: {_RETRY[verdict.restartable.value]})",
            )
        )
        lines.append(Text(f"  {verdict.summary}"))
        if verdict.hint:
            lines.append(Text(f"  {verdict.hint}", "green"))
    rule = _rule(catalogue, verdict.rule)
    lines += [
        Text.assemble((f"  {line.number:>7} ", "dim"), set_off(line.text.strip(), rule))
        for line in verdict.lines
    ]
    return [*lines, *_explained(verdict)] if explain else lines


def _explained(verdict: Classification) -> list[Text]:
    """What else there is to know of a verdict: what it measured, where it comes from, what lost to it."""
    lines = []
    if verdict.sizes:
        sizes = ", ".join(f"{name}={value}" for name, value in sorted(verdict.sizes.items()))
        lines.append(Text(f"  sizes: {sizes}"))
    if verdict.reference:
        lines.append(Text(f"  reference: {verdict.reference}"))
    for depth, link in enumerate(verdict.chain):
        what = f"  {'because of' if depth else 'ended by  '} "
        lines.append(
            Text.assemble(
                (what, "bold"), (f"{link.line.number:>5} ", "dim"), _around(Text(link.line.text), 0)
            )
        )
    lines += [Text(f"  not seen: {phrase}") for phrase in verdict.unseen]
    for match in verdict.runners_up:
        lines.append(
            Text.assemble("  does not count: ", (match.rule, "bold"), f" ({match.category}): {match.why_not}")
        )
        lines += [Text(f"  {line.number:>7} {line.text.strip()}", "dim") for line in match.lines[:1]]
    if not verdict.runners_up:
        lines.append(Text("  no other rule matched" if verdict.rule else "  no rule matched"))
    return lines


def set_off(line: str, rule: Rule | None) -> Text:
    """A deciding line with the part set off that the pattern of *rule*, or its condition on lines before, matched.

    Of a line that is longer than people read (a query plan, a record of JSON) the surroundings of that part.
    """
    patterns = []
    if rule is not None:
        patterns = [rule.regex, *([rule.preceded.regex] if rule.preceded is not None else [])]
    for pattern in patterns:
        match = pattern.search(line)
        if match is not None and match.end() > match.start():
            text = Text(line)
            text.stylize("bold yellow", *match.span())
            return _around(text, match.start())
    # Cut, masked or stripped of what the pattern needs: all of it decides.
    return _around(Text(line, "yellow"), 0)


def _around(line: Text, place: int) -> Text:
    """At most :data:`_LONGEST_LINE` characters of *line*, those before *place* for a quarter."""
    if len(line) <= _LONGEST_LINE:
        return line
    begin = max(0, min(place - _LONGEST_LINE // 4, len(line) - _LONGEST_LINE))
    end = begin + _LONGEST_LINE
    return Text.assemble(
        ("... " if begin else "", "dim"), line[begin:end], (" ..." if end < len(line) else "", "dim")
    )


def _rule(catalogue: Catalogue, identifier: str | None) -> Rule | None:
    try:
        return None if identifier is None else catalogue.get(identifier)
    except KeyError:
        return None


def _summary(counts: Counter[str]) -> str:
    named = counts.total() - counts[UNKNOWN]
    return f"{counts.total()} logs: {named} with a named cause, {counts[UNKNOWN]} unknown"


_LONGEST_LINE = 400
"""Characters of a deciding line that are shown; ``--format json`` has all that is kept."""

_RETRY = {
    "as_is": "may work unchanged",
    "with_changes": "needs another configuration",
    "no": "cannot work",
}
