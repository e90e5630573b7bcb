"""``autoremed train`` and ``autoremed models``: learn from the history, and choose which model decides."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli.console import NO, Format, FormatOption, console, fail, print_json, safe_text, say
from airflow_autoremed.cli.store_access import ModelsOption, StoreOption, configured, recorded
from airflow_autoremed.errors import SettingsError, StoreError
from airflow_autoremed.settings import parse_duration

NOT_PROMOTED = 3
"""Exit code of a training whose model failed its audits: the old one stays."""

models_app = typer.Typer(
    name="models",
    help="List, explain and promote models, or go back to an earlier one.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]


def train(
    since: Annotated[
        str | None, typer.Option("--since", help="Use only attempts from this period, for example 180d.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.")] = 0,
    promote: Annotated[
        bool,
        typer.Option("--promote/--no-promote", help="Make the model the active one if it passes its audits."),
    ] = True,
    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            help="Learn from what the Spark job `examples` wrote instead of from the store.",
            metavar="DIR",
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
    models: ModelsOption = None,
) -> None:
    """Train a model on the recorded history.

    The model is audited, and becomes the active one if it passes. Exits with 2 when it cannot be trained, for example because the history is too short, and with 3 when an audit
    failed: the active model stays.
    """
    settings = configured()
    folder = models or settings.models
    messages = console(err=True)
    try:
        from airflow_autoremed.errors import TooLittleDataError
        from airflow_autoremed.learning import training_run
    except ImportError as error:
        fail(
            f"training needs scikit-learn and joblib: pip install 'airflow-autoremed[learning]' ({error})",
        )
    try:
        past = parse_duration(since, where="--since")
        begin = None if past is None else datetime.now(timezone.utc) - timedelta(seconds=past)
        with messages.status("training") as status:
            told: Any = {
                "objective": settings.objective,
                "seed": seed,
                "promote": promote,
                "say": status.update,
            }
            if examples is not None:
                from airflow_autoremed.learning.parquet_examples import read_examples

                report = training_run.from_training_set(read_examples(examples), folder, **told)
            else:
                report = training_run.run(recorded(store_url, begin), folder, by_task=True, **told)
    except (SettingsError, StoreError, TooLittleDataError, FileNotFoundError) as error:
        fail(str(error))
    except ImportError as error:
        fail(
            f"training needs scikit-learn and joblib: pip install 'airflow-autoremed[learning]' ({error})",
        )
    if output is Format.JSON:
        typer.echo(training_run.as_json(report))
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(NOT_PROMOTED)


def _print(report: Any) -> None:
    out = console()
    out.print(
        f"Model {report.name}: {report.attempts:,} attempts, {report.failures:,} failures"
        + (f"; left out: {report.refused}" if report.refused else "")
    )
    for head in ("fails", "duration"):
        scores = sorted((each for each in report.scores if each.head == head), key=lambda each: each.loss)
        out.print(f"  {head}: " + ", ".join(f"{each.family} {each.loss:.4f}" for each in scores))
    out.print(_audit_table([each.to_dict() for each in report.audits]))
    if report.promoted:
        say("It is now the active model.", "green")
    elif report.passed:
        say(
            f"It passed its audits but was not promoted. Promote it with: autoremed models promote {report.name}"
        )
    else:
        stays = f"{report.champion} stays active" if report.champion else "the playbook decides as before"
        say(f"It failed an audit and is not used: {stays}.", "yellow")
    say(f"Card: {report.folder / 'card.html'}")


def _audit_table(audits: list[dict[str, Any]]) -> Table:
    table = Table("audit", "", "measured")
    for each in audits:
        verdict = Text("passed", "green") if each["passed"] else Text("failed", "bold red")
        table.add_row(safe_text(str(each["name"])), verdict, safe_text(str(each["says"])))
    return table


@models_app.callback()
def models_() -> None:
    """List, explain and promote models, or go back to an earlier one."""


@models_app.command(name="list")
def list_(models: ModelsOption = None, output: FormatOption = Format.TEXT) -> None:
    """List the models, the latest first."""
    from airflow_autoremed.learning import registry

    folder = models or configured().models
    found = registry.entries(folder)
    if output is Format.JSON:
        rows = [
            {"name": each.name, "champion": each.champion, "fault": each.fault, **each.manifest}
            for each in found
        ]
        print_json(rows)
        return
    if not found:
        say(f"There are no models in {folder}, so the playbook decides. `autoremed train` makes one.")
        return
    table = Table("model", "", "attempts", "until", "audits", "families")
    for each in found:
        audits = each.manifest.get("audits", [])
        failed = [str(one["name"]) for one in audits if not one["passed"]]
        families = each.manifest.get("families", {})
        table.add_row(
            safe_text(each.name),
            Text("active", "bold green") if each.champion else "",
            f"{each.manifest.get('attempts', 0):,}",
            datetime.fromtimestamp(each.manifest.get("until", 0), timezone.utc).strftime("%Y-%m-%d"),
            safe_text(each.fault or ("passed" if not failed else f"failed: {', '.join(failed)}")),
            safe_text(f"{families.get('fails', '?')} / {families.get('duration', '?')}"),
        )
    console().print(table)


@models_app.command()
def show(name: NameArgument, models: ModelsOption = None, output: FormatOption = Format.TEXT) -> None:
    """Show what a model learned from, and its audits."""
    from airflow_autoremed.errors import UnusableModelError
    from airflow_autoremed.learning.model import read_manifest

    folder = _model(name, models)
    try:
        manifest = read_manifest(folder)
    except UnusableModelError as error:
        fail(str(error))
    if output is Format.JSON:
        print_json(manifest)
        return
    out = console()
    out.print(
        f"Model {name}: {manifest.get('attempts', 0):,} attempts, {manifest.get('failures', 0):,} failures"
    )
    out.print(_audit_table(manifest.get("audits", [])))
    out.print(f"Card: {folder / 'card.html'}")


@models_app.command()
def promote(
    name: NameArgument,
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the history.")] = "chosen by hand",
    models: ModelsOption = None,
) -> None:
    """Make a model the active one, whatever its audits said."""
    from airflow_autoremed.errors import UnusableModelError
    from airflow_autoremed.learning import registry

    folder = _model(name, models)
    try:
        registry.promote(folder.parent, folder.name, who=getpass.getuser(), why=why)
    except UnusableModelError as error:
        fail(str(error))
    say(f"{folder.name} is now the active model.")


@models_app.command()
def rollback(
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the history.")] = "taken back by hand",
    models: ModelsOption = None,
) -> None:
    """Go back to the model that was active before.

    If there was none, the playbook decides alone.
    """
    from airflow_autoremed.learning import registry

    folder = models or configured().models
    if registry.champion_name(folder) is None and not registry.before(folder):
        fail(f"No model is active in {folder}, so there is nothing to go back from.", NO)
    name = registry.rollback(folder, who=getpass.getuser(), why=why)
    say(f"{name} is now the active model." if name else "No model is active now: the playbook decides alone.")


def _model(name: str, models: Path | None) -> Path:
    """The directory of the model *name*; a name that stands for none ends the command."""
    folder = (models or configured().models) / Path(name).name
    if not Path(name).name or not folder.is_dir():
        fail(
            f"There is no model {name!r} in {folder.parent}; `autoremed models list` shows those there are.",
            NO,
        )
    return folder
