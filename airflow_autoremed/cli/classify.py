"""``autoremed classify``: what a log says about why its application failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from airflow_autoremed.cli.recommend import Format
from airflow_autoremed.settings import SettingsError
from airflow_autoremed.settings import load as load_settings
from airflow_autoremed.types import UNKNOWN, Classification

if TYPE_CHECKING:
    from airflow_autoremed.failures import Catalogue

_MANY = 10
"""Files from which on a progress bar is worth its line."""
_LARGE = 64 * 1024 * 1024
"""Bytes from which on it is for a single file too."""


def classify(
    files: list[Path] = typer.Argument(
        ...,
        metavar="FILE...",
        help="Logs of failed applications (plain or .gz), directories of them (*.log, *.txt, *.gz, stdout, stderr), "
        "or - for standard input.",
    ),
    output: Format = typer.Option(Format.TEXT, "--format", help="text or json (one object per line)."),
    explain: bool = typer.Option(False, "--explain", help="Show what else matched, and why it lost."),
    rules_paths: list[Path] = typer.Option(
        [], "--rules", help="Rule files or directories to try, before the configured ones.", metavar="PATH"
    ),
) -> None:
    """Say why the application of each log failed: category, rule, what a retry can bring, the deciding lines."""
    from airflow_autoremed.failures import CatalogueError, classify_file, load_catalogue

    try:
        catalogue = load_catalogue((*rules_paths, *load_settings().rules_paths))
    except (SettingsError, CatalogueError) as error:
        _refuse(str(error))
    _warn_of(catalogue)
    console = Console(soft_wrap=True)
    unreadable = 0
    for path in _with_progress(_expanded(files), Console(stderr=True)):
        try:
            verdict = _classify_input(catalogue) if str(path) == "-" else classify_file(catalogue, path)
        except OSError as error:
            unreadable += 1
            typer.echo(f"autoremed classify: {path} cannot be read: {error.strerror or error}", err=True)
            continue
        if output is Format.JSON:
            typer.echo(json.dumps(_as_json(path, verdict, explain)))
        else:
            _print(console, path, verdict, explain, catalogue)
    if unreadable:
        raise typer.Exit(2)


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


def _expanded(paths: list[Path]) -> list[Path]:
    """The files, with the logs of a directory in its place."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [each for each in sorted(path.rglob("*")) if each.is_file() and _looks_like_a_log(each)]
        if not inside:
            _refuse(f"{path} holds no logs (*.log, *.txt, *.gz, stdout, stderr); name the files.")
        found.extend(inside)
    return found


def _looks_like_a_log(path: Path) -> bool:
    return path.suffix in (".log", ".txt", ".gz", ".out", ".err") or path.name in ("stdout", "stderr")


def _classify_input(catalogue: Catalogue) -> Classification:
    matcher = catalogue.matcher()
    while block := sys.stdin.buffer.read(256 * 1024):
        matcher.feed(block)
    return matcher.classification()


def _deciding(line: str, rule: str | None, catalogue: Catalogue) -> Text:
    """A deciding line with the part that the rule matched set off."""
    text = Text(line, "yellow")
    with suppress(KeyError):
        match = catalogue.get(rule or "").regex.search(line)
        if match is not None:
            text.stylize("bold reverse", *match.span())
    return text


def _print(
    console: Console, path: Path, verdict: Classification, explain: bool, catalogue: Catalogue
) -> None:
    if verdict.category == UNKNOWN:
        console.print(f"[bold]{escape(str(path))}[/]: [dim]unknown[/], no rule applies")
    else:
        memory = ", a matter of memory configuration" if verdict.memory_configuration else ""
        console.print(
            f"[bold]{escape(str(path))}[/]: [bold red]{verdict.category}[/]{memory} "
            f"(rule {verdict.rule}; a retry: {_RETRY[verdict.restartable.value]})"
        )
        console.print(f"  {escape(verdict.summary)}")
        if verdict.hint:
            console.print(f"  [green]{escape(verdict.hint)}[/]")
    for line in verdict.lines:
        console.print(
            Text.assemble(
                (f"  {line.number:>7} ", "dim"), _deciding(line.text.strip(), verdict.rule, catalogue)
            )
        )
    if explain:
        if verdict.sizes:
            sizes = ", ".join(f"{name}={value}" for name, value in sorted(verdict.sizes.items()))
            console.print(f"  sizes: {sizes}")
        if verdict.reference:
            console.print(f"  reference: {escape(verdict.reference)}", highlight=False)
        for match in verdict.runners_up:
            console.print(
                f"  lost: {match.rule} ({match.category}): {escape(match.why_not)}", highlight=False
            )
            for line in match.lines[:1]:
                console.print(f"  [dim]{line.number:>7} {escape(line.text.strip())}[/]")


_RETRY = {
    "as_is": "may work as it is",
    "with_changes": "needs another configuration",
    "no": "cannot work",
}


def _with_progress(files: Iterable[Path], console: Console) -> Iterator[Path]:
    """The files, with a progress bar in a terminal where there is much to do."""
    paths = list(files)
    if not (console.is_terminal and sys.stderr.isatty()) or not _is_long(paths):
        yield from paths
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        yield from progress.track(paths, description="classifying")


def _is_long(paths: list[Path]) -> bool:
    if len(paths) >= _MANY:
        return True
    try:
        return sum(path.stat().st_size for path in paths) >= _LARGE
    except OSError:
        return False


def _warn_of(catalogue: Catalogue) -> None:
    for warning in catalogue.warnings:
        typer.echo(f"autoremed classify: {warning}", err=True)


def _refuse(message: str) -> NoReturn:
    typer.echo(f"autoremed classify: {message}", err=True)
    raise typer.Exit(2)
