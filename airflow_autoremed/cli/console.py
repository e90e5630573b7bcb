"""What every command prints with: results, messages, tables, and how a command ends that cannot do its work.

A command exits with 0, with :data:`NO` where the answer is no (not found, not up to date, not as promised), and with
:data:`CANNOT` where it could not do its work.
"""

from __future__ import annotations

import json
import os
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
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
    """How to print."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]


def console(*, err: bool = False) -> Console:
    """Where results (or, with *err*, messages) are printed."""
    found = Console(stderr=err, highlight=False, emoji=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found = Console(stderr=err, highlight=False, emoji=False, width=_WIDTH_IN_A_PIPE)
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
    """*text*, which may come from a job's log, without what would steer the terminal."""
    return Text(
        "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text), style
    )


def shown_time(moment: datetime | None) -> str:
    """A time (UTC) as the tables show it."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def counted(number: int, one: str, more: str = "") -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"
