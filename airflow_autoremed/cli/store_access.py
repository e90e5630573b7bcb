"""Which store the command line works on, and how its tables stand.

A command that only reads creates nothing and upgrades nothing: a root shell that looks must not lock the workers out.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from airflow_autoremed import database_urls
from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import fail
from airflow_autoremed.deadline import within
from airflow_autoremed.errors import OverrunError, SettingsError, StoreError
from airflow_autoremed.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine.url import URL

    from airflow_autoremed.history import Store
    from airflow_autoremed.history.db.schema_state import Readiness
    from airflow_autoremed.types import RecordedAttempt

T = TypeVar("T")

StoreOption = Annotated[
    str | None, typer.Option("--store", help="SQLAlchemy URL of the store. Default: the configured one.")
]
ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models", help="Directory of the models. Default: [autoremed] models_path.", metavar="DIR"
    ),
]


@dataclass(frozen=True)
class Place:
    """The store that a command works on."""

    url: str
    name: str
    """The URL as it may be shown."""
    settings: Settings


@contextmanager
def working_on(given: str | None) -> Iterator[Place]:
    """The configured store, or that of the URL *given*; what goes wrong with it ends the command in one line."""
    url = name = ""
    try:
        settings = configuration.load()
        url = database_urls.normalise(given or store_url(settings))
        name = database_urls.masked(url)
        yield Place(url, name, settings)
    except (typer.Exit, typer.Abort):
        raise
    except SettingsError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("Interrupted. Everything recorded so far is kept; run the command again to continue.")
    except Exception as error:  # noqa: BLE001 - whatever a driver raises; it may spell the password out
        fail(f"The store{name and ' '}{name} cannot be used: {what_went_wrong(error, url)}")


def read(given: str | None, question: Callable[[Store], list[T]]) -> tuple[list[T], str]:
    """The answer to *question*, and how the store is called in messages.

    Nothing is created or upgraded: a store that is not there yet has nothing to answer, and one of another version
    ends the command with what to do about it.
    """
    with working_on(given) as place:
        if not is_there(place):
            return [], place.name
        with _open(place) as store:
            return question(store), place.name


def recorded(given: str | None, begin: datetime | None = None) -> Iterator[RecordedAttempt]:
    """The attempts recorded since *begin*, task by task; none where there is no store yet. Nothing is created.

    :raises StoreError: when it cannot be read to the end.
    """
    from airflow_autoremed.history.queries.training_attempts import everything

    with working_on(given) as place:
        there = is_there(place)
    return everything(place.url, place.settings.deployment, begin) if there else iter(())


def is_there(place: Place) -> bool:
    """Whether there is a store; one that this version cannot read ends the command with what to do about it."""
    from airflow_autoremed.history.db import schema_state

    found = look_at(place.url, place.settings.store_deadline)
    if found.state not in (schema_state.State.ABSENT, schema_state.State.CURRENT):
        fail(
            f"The store {place.name} cannot be read by this version ({found.state.value}: {found.detail}). "
            f"{schema_state.advice(found)}"
        )
    return found.state is schema_state.State.CURRENT


@contextmanager
def opened(given: str | None) -> Iterator[Store]:
    """The store, to be changed. A command that changes what is recorded needs one that is there."""
    with working_on(given) as place:
        if not is_there(place):
            fail(f"There is no store yet at {place.name}, so there is nothing to change.")
        with _open(place) as store:
            yield store


@contextmanager
def _open(place: Place) -> Iterator[Store]:
    from airflow_autoremed.history import Store

    settings = place.settings
    store = Store(place.url, deployment=settings.deployment, deadline_s=settings.store_deadline)
    try:
        yield store
    finally:
        store.close()


def configured() -> Settings:
    """The settings; a value that cannot be used ends the command with what to write instead."""
    try:
        return configuration.load()
    except SettingsError as error:
        fail(str(error))


def store_url(settings: Settings) -> str:
    """The SQLAlchemy URL of the configured store.

    Airflow is imported (which takes seconds) only where the store is named by an Airflow connection.

    :raises SettingsError: when there is no such connection.
    """
    if settings.store and "://" not in settings.store:
        from airflow_autoremed.airflow.compat import connection_url

        try:
            return connection_url(settings.store)
        except Exception as error:
            raise SettingsError(
                f"[autoremed] store = {settings.store!r} names a connection that Airflow cannot find "
                f"({type(error).__name__}: {error}). Write a SQLAlchemy URL, or the id of a connection."
            ) from error
    return settings.store_url


def what_went_wrong(error: BaseException, url: str) -> str:
    """The error of a driver in one line, without the password of *url*, and whose file it is that cannot be opened."""
    owner = _not_ours(url)
    if owner:
        return owner
    told = getattr(error, "orig", None) or error
    text = " ".join(str(told).split()) or type(told).__name__
    kind = "" if isinstance(told, StoreError) else f"{type(told).__name__}: "
    return database_urls.mask(kind + text, url)


def look_at(url: str, deadline_s: float) -> Readiness:
    """How the tables stand to this code. Nothing is created, not even an SQLite file.

    :raises StoreError: when the store does not answer in time.
    """
    from sqlalchemy.engine import make_url

    from airflow_autoremed.history.db import schema_state
    from airflow_autoremed.history.db.engine import make_engine

    if _names_no_file(make_url(url)):
        return schema_state.Readiness(schema_state.State.ABSENT, None, "no file yet")

    def ask() -> Readiness:
        engine = make_engine(url, deadline_s)
        try:
            with engine.connect() as connection:
                return schema_state.look(connection)
        finally:
            engine.dispose()

    try:
        return within(deadline_s, ask)
    except OverrunError:
        raise StoreError(f"it did not answer within {deadline_s:g} s") from None


def _not_ours(url: str) -> str:
    """Who owns the SQLite file of *url*, where that is why it cannot be used."""
    path = _file_of(url)
    if path is None or not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return ""
    owner = "another user"
    with suppress(OSError, KeyError):
        owner = path.owner()
    return f"{path} belongs to {owner}, and {getpass.getuser()} may not read and write it"


def _file_of(url: str) -> Path | None:
    if not url.startswith("sqlite") or ":///" not in url:
        return None
    return Path(url.partition(":///")[2].partition("?")[0])


def _names_no_file(url: URL) -> bool:
    """Whether it is a plain path (not a ``file:`` URI) of an SQLite file that is not there."""
    path = url.database or "" if url.get_backend_name() == "sqlite" else ""
    return bool(path) and path != ":memory:" and not path.startswith("file:") and not Path(path).exists()
