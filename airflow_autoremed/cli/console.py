"""What every command prints with: results, messages, tables, and how a command ends that cannot do its work.

A command exits with 0, with :data:`NO` where the answer is no (not found, not up to date, not as promised), and with
:data:`CANNOT` where it could not do its work.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.control import Control
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from datetime import datetime

NO = 1
CANNOT = 2

SHORT_KEY = 10
"""Characters of a patch's key that are shown: enough to name it."""

_WIDTH_IN_A_PIPE = 160
"""Columns where nobody says how wide a line may be: 80 would break ids in two."""


class Format(str, Enum):
    """Output format."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="Output format.")]


class _Cleaned:
    """A renderable whose text cannot steer the terminal. Colours stay: rich adds them later, from the style."""

    def __init__(self, inside: RenderableType) -> None:
        self._inside = inside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inside, options):
            yield segment if segment.control else segment._replace(text=_without_controls(segment.text))


class _CleanEverything(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [each if isinstance(each, Control) else _Cleaned(each) for each in renderables]


def console(*, err: bool = False) -> Console:
    """Where results (or, with *err*, messages) are printed.

    What is printed may come from a job's log, a row of the store or a file name. So no text is read as markup, and
    nothing but the styles that a command sets reaches the terminal as an escape sequence.
    """
    found = Console(stderr=err, highlight=False, emoji=False, markup=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found = Console(stderr=err, highlight=False, emoji=False, markup=False, width=_WIDTH_IN_A_PIPE)
    found.push_render_hook(_CleanEverything())
    return found


def say(message: str, style: str = "", *, err: bool = False) -> None:
    """Print *message* as it is, without what would steer the terminal."""
    console(err=err).print(safe_text(message, style), soft_wrap=True)


def complain(message: str) -> None:
    """Say what is wrong, on standard error, and go on."""
    say(message, err=True)


def fail(message: str, code: int = CANNOT) -> NoReturn:
    """End the command with *message*."""
    complain(message)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print *value* for a program."""
    typer.echo(json.dumps(value, indent=2))


def safe_text(text: str, style: str = "") -> Text:
    """*text* without what would steer the terminal. In a table it is then as wide as it is measured."""
    return Text(_without_controls(text), style)


def _without_controls(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t\xa0" else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown_time(moment: datetime | None) -> str:
    """A time (UTC) as the tables show it."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, one: str, more: str = "") -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"
