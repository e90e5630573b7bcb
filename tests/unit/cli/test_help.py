"""Help loses no words, and every option says what it is for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app


def _commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "autoremed")
def test_help_prints_every_word_of_a_command_and_its_options(path, flag):
    done = CliRunner().invoke(app, [*path, flag], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    printed = words(done.stdout)
    command = COMMANDS[path]
    assert words(inspect.cleandoc(command.help or "")) in printed
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.help, f"{parameter.opts} has no help"
            assert words(parameter.help) in printed


@pytest.mark.parametrize("path", [path for path, each in COMMANDS.items() if hasattr(each, "commands")])
def test_a_list_of_commands_cuts_no_sentence(path):
    listed = CliRunner().invoke(app, [*path, "-h"]).stdout.partition("Commands:")[2]
    assert listed
    assert "..." not in listed
