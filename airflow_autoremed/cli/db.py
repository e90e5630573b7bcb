"""``autoremed db``: the store's tables, how long they are kept, and getting their contents out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, Protocol

import typer
from rich.console import Console
from rich.text import Text

from airflow_autoremed import database_urls
from airflow_autoremed import settings as settings_module
from airflow_autoremed.cli.store_access import look_at, store_url
from airflow_autoremed.errors import SettingsError, StoreError
from airflow_autoremed.settings import Settings, parse_duration

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from airflow_autoremed.history.db.engine import Database
    from airflow_autoremed.history.export import Progress
    from airflow_autoremed.history.prune import PruneCounts

_NOT_CURRENT = 1
"""Exit code of ``check``: the tables are not up to date. Of the others: nothing was done."""
_CANNOT = 2
"""Exit code: the store cannot be used."""

_LOCK_WAIT_S = 60.0
_STATEMENTS_S = 24 * 3600.0
"""Seconds that one statement may take: adding a column to a long history takes its time."""

db_app = typer.Typer(name="db", help="Upgrade, check, prune and export the store.", no_args_is_help=True)

StoreOption = Annotated[
    str | None, typer.Option("--store", help="SQLAlchemy URL of the store, if not the configured one.")
]


@db_app.callback()
def db() -> None:
    """Upgrade, check, prune and export the store."""


@db_app.command()
def check(url: StoreOption = None) -> None:
    """Say whether the tables are up to date. Exits with 0 if so, 1 if not, 2 if the store cannot be asked."""
    with _working_on(url) as (where, name, settings):
        found = look_at(where, settings.store_deadline)
    _say(f"{name}: {found.state.value}: {found.detail}")
    from airflow_autoremed.history.db import schema_state

    if found.state is schema_state.State.CURRENT:
        return
    if schema_state.is_automatic(where, found):
        _fail("That is done at first use; to do it now, run `autoremed db upgrade`.", _NOT_CURRENT)
    _fail(schema_state.advice(found), _NOT_CURRENT)


@db_app.command()
def upgrade(
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements instead, for whoever may run them.")
    ] = False,
    url: StoreOption = None,
) -> None:
    """Create the tables, or bring them up to date. May be run again at any time; two at once take turns."""
    with _working_on(url) as (where, name, settings):
        look_at(where, settings.store_deadline)  # soon, when it cannot be reached
        with _engine(where) as engine:
            from airflow_autoremed.history import migrations
            from airflow_autoremed.history.db import schema_state, schema_version

            if sql:
                statements = migrations.sql(engine)
                typer.echo(statements, nl=False)
                if not statements:
                    _say(f"{name} is up to date: nothing to run.", err=True)
                return
            before = migrations.upgrade(
                engine, on_wait=lambda: _say("Another upgrade is under way; waiting for it.", err=True)
            )
    if before.state is schema_state.State.CURRENT:
        _say(f"{name} is up to date: schema version {before.version}.")
    elif before.state is schema_state.State.ABSENT:
        _say(f"{name}: created the tables, schema version {schema_version.VERSION}.")
    else:
        since = f" from version {before.version}" if before.version else ""
        done = "completed the upgrade" if before.state is schema_state.State.HALF_MADE else "upgraded"
        _say(f"{name}: {done}{since} to schema version {schema_version.VERSION}.")


@db_app.command()
def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Such as 90d or 12h; without it, [autoremed] retention.", metavar="AGE"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: StoreOption = None,
) -> None:
    """Delete attempts of this deployment recorded longer ago than AGE, with decisions, outcomes and patches.

    What promoted patches, with which coming runs begin, were made of stays.
    """
    with _working_on(url) as (where, name, settings), _database(where) as database:
        from airflow_autoremed.history import prune

        before = datetime.now(timezone.utc) - _age(older_than, settings)
        counts = prune.would_prune(database, settings.deployment, before)
        old = f"recorded before {before:%Y-%m-%d %H:%M} UTC by deployment {settings.deployment!r} in {name}"
        if dry_run or not counts.attempts:
            _say(f"{'Would delete' if counts.attempts else 'Nothing to delete:'} {_counted(counts)}, {old}.")
            return
        if not yes:
            _ask(f"Delete {_counted(counts)}, {old}?")
        with _progress("deleting", counts.attempts) as tell:
            done = prune.prune(
                database, settings.deployment, before, on_batch=lambda so_far: tell(so_far.attempts)
            )
    _say(f"Deleted {_counted(done)}, {old}.")


@db_app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")],
    url: StoreOption = None,
) -> None:
    """Write the history of this deployment to Parquet files, one per table; files from before are replaced.

    Needs pyarrow: pip install 'airflow-autoremed\\[parquet]'.
    """
    with _working_on(url) as (where, _, settings), _database(where) as database:
        from airflow_autoremed.history import export

        with _progress("exporting", None) as tell:

            def show(progress: Progress) -> None:
                tell(progress.rows, progress.of, progress.table)

            written = export.export(database, settings.deployment, directory, on_progress=show)
    for path, rows in written.items():
        _say(f"{path}: {_number(rows, 'row')}")


@contextmanager
def _working_on(given: str | None) -> Iterator[tuple[str, str, Settings]]:
    """The store's URL, how it is called in messages, and the settings; errors end the command in one line."""
    name = shown = ""
    try:
        settings = settings_module.load()
        where = database_urls.normalise(given or store_url(settings))
        name, shown = database_urls.masked(where), where
        yield where, name, settings
    except SettingsError as error:
        _fail(str(error), _CANNOT)
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a driver raises; it may spell the password out
        told = getattr(error, "orig", None) or error
        text = " ".join(str(told).split()) or type(told).__name__
        kind = "" if isinstance(told, StoreError) else f"{type(told).__name__}: "
        _fail(
            f"the store{name and ' '}{name} cannot be used: {database_urls.mask(kind + text, shown)}", _CANNOT
        )


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
            raise SettingsError("how old is too old? Write --older-than 90d, or set [autoremed] retention")
        return timedelta(seconds=settings.retention)
    seconds = parse_duration(text, where="--older-than")
    if seconds is None:
        raise SettingsError(f"--older-than is {text!r}; write a duration such as 90d")
    return timedelta(seconds=seconds)


def _counted(counts: PruneCounts) -> str:
    parts = [_number(getattr(counts, f"{name}s"), name) for name in ("attempt", "decision", "outcome")]
    patches = _number(counts.patches, "patch", "patches")
    kept = f"; keep {_number(counts.kept, 'attempt')} whose patch is in force" if counts.kept else ""
    return f"{', '.join(parts)} and {patches} with what became of them{kept}"


def _number(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _ask(question: str) -> None:
    if not _at_a_terminal():
        _fail(f"{question} There is no terminal to answer at: add --yes, or --dry-run.", _CANNOT)
    if not typer.confirm(question):
        _fail("Nothing was deleted.", _NOT_CURRENT)


class _Tell(Protocol):
    def __call__(self, done: int, of: int | None = ..., part: str = ...) -> None: ...


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[_Tell]:
    """A bar on a terminal, and nothing in a log."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def tell(done: int, of: int | None = total, part: str = "") -> None:
            bar.update(task, completed=done, total=of, description=f"{what} {part}".strip())

        yield tell


def _say(message: str, *, err: bool = False) -> None:
    Console(stderr=err).print(Text(message), soft_wrap=True)


def _fail(message: str, code: int) -> NoReturn:
    _say(message, err=True)
    raise typer.Exit(code)
