"""A database whose tables are ready, or why they are not. Imports SQLAlchemy.

Above :mod:`airflow_autoremed.history.migrations`, which only a store of an earlier version loads.
"""

from __future__ import annotations

from sqlalchemy.engine import Engine

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import schema_probe
from airflow_autoremed.history.db.engine import Database


def open_database(url: str, patience_s: float) -> Database:
    """A database whose tables are of the version that this code knows.

    SQLite, which nobody administers, gets its tables created and upgraded here. Any other database is upgraded by
    ``autoremed db upgrade``: workers may lack the right to, and a thousand of them must not try at once.

    :param url: a SQLAlchemy URL.
    :param patience_s: seconds to wait for a connection, and for another process's lock.
    :raises StoreError: when the tables cannot be used, with what to do about it.
    """
    database = Database(url, patience_s)
    try:
        if not schema_probe.is_current(database.engine):
            _make_ready(database.engine)
    except BaseException:
        database.close()
        raise
    return database


def _make_ready(engine: Engine) -> None:
    # Imported here: no attempt whose store is up to date loads the tables or Alembic.
    from airflow_autoremed.history import migrations
    from airflow_autoremed.history.db import schema_state
    from airflow_autoremed.history.db.schema_state import State

    with engine.connect() as connection:
        found = schema_state.look(connection)
    if found.state is State.CURRENT:
        return
    if not schema_state.is_automatic(engine.dialect.name, found):
        raise StoreError(schema_state.advice(found))
    if found.state is State.ABSENT:
        _create(engine)
    else:
        migrations.upgrade(engine)


def _create(engine: Engine) -> None:
    """Create all tables of an SQLite file, in one transaction that one process at a time can hold."""
    from airflow_autoremed.history.db import schema_state, schema_version
    from airflow_autoremed.history.db.run_metrics_table import metadata

    with engine.execution_options(autoremed_writes=True).begin() as connection:
        if schema_state.look(connection).state is not schema_state.State.ABSENT:
            return  # another process was quicker
        metadata.create_all(connection, checkfirst=False)
        schema_state.set_version(connection, schema_version.VERSION)
