"""``autoremed db``: the store's tables, how long they are kept, and getting their contents out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_autoremed.cli.console import NO, console, counted, fail, say
from airflow_autoremed.cli.progress import Bar
from airflow_autoremed.cli.store_access import StoreOption, is_there, look_at, working_on
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import Settings, parse_duration

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from airflow_autoremed.history.db.engine import Database
    from airflow_autoremed.history.export import Progress
    from airflow_autoremed.history.prune import PruneCounts

_LOCK_WAIT_S = 60.0
_STATEMENTS_S = 24 * 3600.0
"""Seconds that one statement may take: adding a column to a long history takes its time."""

db_app = typer.Typer(name="db", help="Upgrade, check, prune and export the store.", no_args_is_help=True)


@db_app.callback()
def db() -> None:
    """Upgrade, check, prune and export the store."""


@db_app.command()
def check(url: StoreOption = None) -> None:
    """Say whether the tables are up to date.

    Exits with 0 if so, 1 if not, 2 if the store cannot be reached.
    """
    with working_on(url) as place:
        found = look_at(place.url, place.settings.store_deadline)
    say(f"{place.name}: {found.state.value}: {found.detail}")
    from airflow_autoremed.history.db import schema_state

    if found.state is schema_state.State.CURRENT:
        return
    if schema_state.is_automatic(place.url, found):
        fail("The first task that uses it does that; to do it now, run `autoremed db upgrade`.", NO)
    fail(schema_state.advice(found), NO)


@db_app.command()
def upgrade(
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL statements instead of running them.")
    ] = False,
    url: StoreOption = None,
) -> None:
    """Create the tables, or bring them up to date. May be run again at any time; two at once take turns."""
    with working_on(url) as place:
        look_at(place.url, place.settings.store_deadline)  # soon, when it cannot be reached
        with _engine(place.url) as engine:
            from airflow_autoremed.history import migrations
            from airflow_autoremed.history.db import schema_state, schema_version

            if sql:
                statements = migrations.sql(engine)
                typer.echo(statements, nl=False)
                if not statements:
                    say(f"{place.name} is up to date: nothing to run.", err=True)
                return
            before = migrations.upgrade(
                engine,
                on_wait=lambda: say("Another process is upgrading the store; waiting for it.", err=True),
            )
    name = place.name
    if before.state is schema_state.State.CURRENT:
        say(f"{name} is up to date: schema version {before.version}.")
    elif before.state is schema_state.State.ABSENT:
        say(f"{name}: created the tables, schema version {schema_version.VERSION}.")
    else:
        since = f" from version {before.version}" if before.version else ""
        done = "completed the upgrade" if before.state is schema_state.State.HALF_MADE else "upgraded"
        say(f"{name}: {done}{since} to schema version {schema_version.VERSION}.")


@db_app.command()
def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="For example 90d or 12h. Default: [autoremed] retention.", metavar="AGE"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be deleted, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: StoreOption = None,
) -> None:
    """Delete attempts that are older than AGE.

    Their decisions, outcomes and patches go too; other deployments are not touched. Attempts whose promoted patch is still in force are kept.
    """
    with working_on(url) as place:
        settings, name = place.settings, place.name
        age = _age(older_than, settings)
        if not is_there(place):
            say(f"There is no store yet at {name}: nothing to delete.")
            return
    with working_on(url), _database(place.url) as database:
        from airflow_autoremed.history import prune

        before = datetime.now(timezone.utc) - age
        counts = prune.would_prune(database, settings.deployment, before)
        old = f"recorded before {before:%Y-%m-%d %H:%M} UTC by deployment {settings.deployment!r} in {name}"
        if dry_run or not counts.attempts:
            say(f"{'Would delete' if counts.attempts else 'Nothing to delete:'} {_what(counts)}, {old}.")
            return
        if not yes:
            _ask(f"Delete {_what(counts)}, {old}?")
        with Bar(console(err=True), "deleting", counts.attempts) as bar:
            done = prune.prune(
                database, settings.deployment, before, on_batch=lambda so_far: bar.reach(so_far.attempts)
            )
    say(f"Deleted {_what(done)}, {old}.")


@db_app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Directory to write to; it is created if it is missing.")],
    url: StoreOption = None,
) -> None:
    """Write the history to Parquet files.

    Writes one file per table, of this deployment only, and replaces earlier files. Needs pyarrow: pip install 'airflow-autoremed[parquet]'.
    """
    with working_on(url) as place:
        if not is_there(place):
            fail(f"There is no store yet at {place.name}: nothing to export.")
    with working_on(url), _database(place.url) as database:
        from airflow_autoremed.history import export

        with Bar(console(err=True), "exporting", 0) as bar:

            def show(progress: Progress) -> None:
                bar.reach(progress.rows, progress.of, progress.table)

            written = export.export(database, place.settings.deployment, directory, on_progress=show)
    for path, rows in written.items():
        say(f"{path}: {counted(rows, 'row')}")


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    from airflow_autoremed.history.db.engine import make_engine

    engine = make_engine(url, _LOCK_WAIT_S, statements_s=_STATEMENTS_S)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _database(url: str) -> Iterator[Database]:
    from airflow_autoremed.history.opening import open_database

    database = open_database(url, _LOCK_WAIT_S)
    try:
        yield database
    finally:
        database.close()


def _age(text: str | None, settings: Settings) -> timedelta:
    if text is None:
        if settings.retention is None:
            raise SettingsError("no age is given; write --older-than 90d, or set [autoremed] retention")
        return timedelta(seconds=settings.retention)
    seconds = parse_duration(text, where="--older-than")
    if seconds is None:
        raise SettingsError(f"--older-than is {text!r}; write a duration, for example 90d")
    return timedelta(seconds=seconds)


def _what(counts: PruneCounts) -> str:
    parts = [counted(getattr(counts, f"{name}s"), name) for name in ("attempt", "decision", "outcome")]
    patches = counted(counts.patches, "patch", "patches")
    kept = f"; keep {counted(counts.kept, 'attempt')} whose patch is in force" if counts.kept else ""
    return f"{', '.join(parts)} and {patches} with what became of them{kept}"


def _ask(question: str) -> None:
    if not _at_a_terminal():
        fail(f"{question} There is no terminal to answer at: add --yes, or --dry-run.")
    if not typer.confirm(question):
        fail("Nothing was deleted.", NO)
