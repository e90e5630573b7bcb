"""``autoremed train`` and ``autoremed models``: learn from the history, and choose which model decides."""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import Format, FormatOption, console, fail, print_json, say
from airflow_autoremed.cli.store_access import StoreOption
from airflow_autoremed.cli.store_access import store_url as configured_store
from airflow_autoremed.errors import SettingsError, StoreError
from airflow_autoremed.settings import Settings, parse_duration

NOT_PROMOTED = 3
"""Exit code of a training whose model failed its audits: the old one stays."""

models_app = typer.Typer(
    name="models", help="List, explain, promote and take back models.", no_args_is_help=True
)

ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models", help="Directory of the models; default: [autoremed] models_path.", metavar="DIR"
    ),
]
NameArgument = Annotated[str, typer.Argument(help="The model's name.", metavar="NAME")]


def train(
    since: Annotated[
        str | None, typer.Option("--since", help="Learn only from attempts of this past, such as 180d.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Let the model decide if it passes its audits.")
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
    """Train on the recorded history, audit the model, and let it decide if it passes.

    Exits with 3 when an audit failed: the model in use stays.
    """
    settings = _settings()
    url, folder = store_url or _store(settings), models or settings.models
    messages = console(err=True)
    try:
        from airflow_autoremed.errors import TooLittleDataError
        from airflow_autoremed.history.queries.training_attempts import everything
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
                attempts = everything(url, settings.deployment, begin)
                report = training_run.run(attempts, folder, by_task=True, **told)
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
        out.print(f"[green]It decides from now on.[/] Card: {report.folder / 'card.html'}")
    elif report.passed:
        out.print(f"It passed, and was not promoted: autoremed models promote {report.name}")
    else:
        stays = f"{report.champion} stays" if report.champion else "the playbook decides as before"
        out.print(f"[yellow]It is not used: {stays}.[/] Card: {report.folder / 'card.html'}")


def _audit_table(audits: list[dict[str, Any]]) -> Table:
    table = Table("audit", "", "measured")
    for each in audits:
        verdict = "[green]passed[/]" if each["passed"] else "[bold red]failed[/]"
        table.add_row(str(each["name"]), verdict, str(each["says"]))
    return table


@models_app.callback()
def models_() -> None:
    """List, explain, promote and take back models."""


@models_app.command(name="list")
def list_(models: ModelsOption = None, output: FormatOption = Format.TEXT) -> None:
    """Show the models, the latest first."""
    from airflow_autoremed.learning import registry

    folder = models or _settings().models
    found = registry.entries(folder)
    if output is Format.JSON:
        rows = [
            {"name": each.name, "champion": each.champion, "fault": each.fault, **each.manifest}
            for each in found
        ]
        print_json(rows)
        return
    if not found:
        say(f"No models in {folder}: the playbook decides. autoremed train makes one.")
        return
    table = Table("model", "", "attempts", "until", "audits", "families")
    for each in found:
        audits = each.manifest.get("audits", [])
        failed = [str(one["name"]) for one in audits if not one["passed"]]
        families = each.manifest.get("families", {})
        table.add_row(
            each.name,
            "[bold green]decides[/]" if each.champion else "",
            f"{each.manifest.get('attempts', 0):,}",
            datetime.fromtimestamp(each.manifest.get("until", 0), timezone.utc).strftime("%Y-%m-%d"),
            each.fault or ("passed" if not failed else f"failed: {', '.join(failed)}"),
            f"{families.get('fails', '?')} / {families.get('duration', '?')}",
        )
    console().print(table)


@models_app.command()
def show(name: NameArgument, models: ModelsOption = None, output: FormatOption = Format.TEXT) -> None:
    """Show what a model learned from, and its audits."""
    from airflow_autoremed.errors import UnusableModelError
    from airflow_autoremed.learning.model import read_manifest

    folder = (models or _settings().models) / Path(name).name
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
    why: Annotated[str, typer.Option("--why", help="For the record.")] = "chosen by hand",
    models: ModelsOption = None,
) -> None:
    """Let a model decide from now on, whatever its audits said."""
    from airflow_autoremed.errors import UnusableModelError
    from airflow_autoremed.learning import registry

    try:
        registry.promote(models or _settings().models, Path(name).name, who=getpass.getuser(), why=why)
    except UnusableModelError as error:
        fail(str(error))
    say(f"{name} decides from now on.")


@models_app.command()
def rollback(
    why: Annotated[str, typer.Option("--why", help="For the record.")] = "taken back by hand",
    models: ModelsOption = None,
) -> None:
    """Let the model before the present one decide; without one, the playbook decides alone."""
    from airflow_autoremed.learning import registry

    name = registry.rollback(models or _settings().models, who=getpass.getuser(), why=why)
    say(f"{name} decides from now on." if name else "No model decides from now on: the playbook does.")


def _settings() -> Settings:
    try:
        return configuration.load()
    except SettingsError as error:
        fail(str(error))


def _store(settings: Settings) -> str:
    try:
        return configured_store(settings)
    except SettingsError as error:
        fail(str(error))
