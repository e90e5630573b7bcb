"""The ``autoremed`` command. Each subcommand is loaded when it is called, so that ``autoremed classify`` is quick."""

from __future__ import annotations

import typer

from airflow_autoremed import __version__
from airflow_autoremed.cli.classify import classify
from airflow_autoremed.cli.db import db_app
from airflow_autoremed.cli.demo import demo
from airflow_autoremed.cli.doctor import doctor
from airflow_autoremed.cli.history import history, show
from airflow_autoremed.cli.ingest import ingest_app
from airflow_autoremed.cli.models import models_app, train
from airflow_autoremed.cli.patches import patches_app
from airflow_autoremed.cli.recommend import recommend
from airflow_autoremed.cli.replay import replay
from airflow_autoremed.cli.rightsize import rightsize
from airflow_autoremed.cli.rules import rules_app

app = typer.Typer(
    name="autoremed",
    help="Inspect failures, decisions and the history of remediated Spark tasks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # rich would take [autoremed] in a help text for markup, and print nothing for it
    pretty_exceptions_enable=False,
)
for command in (demo, classify, recommend, history, show, doctor, train, replay, rightsize):
    app.command()(command)
app.add_typer(rules_app)
app.add_typer(patches_app)
app.add_typer(models_app)
app.add_typer(db_app)
app.add_typer(ingest_app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"airflow-autoremed {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Inspect failures, decisions and the history of remediated Spark tasks."""
