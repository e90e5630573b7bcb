"""Which store the command line works on, and how its tables stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_autoremed.deadline import within
from airflow_autoremed.errors import OverrunError, SettingsError, StoreError
from airflow_autoremed.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine.url import URL

    from airflow_autoremed.history.db.schema_state import Readiness


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


def _names_no_file(url: URL) -> bool:
    """Whether it is a plain path (not a ``file:`` URI) of an SQLite file that is not there."""
    path = url.database or "" if url.get_backend_name() == "sqlite" else ""
    return bool(path) and path != ":memory:" and not path.startswith("file:") and not Path(path).exists()
