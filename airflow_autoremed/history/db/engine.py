"""Connections and transactions. Imports SQLAlchemy: loaded only when a store is used."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import schema_version
from airflow_autoremed.history.db.upsert import put

T = TypeVar("T")

_IDLE_S = 5.0
"""Seconds without use after which a connection may have been cut off."""
_SQLITE_RECYCLE_S = 30
"""Seconds after which an SQLite file is opened anew: in between it may have been replaced, by a backup for one."""
_TRIES = 5
"""How often a transaction is tried that collided with another process's."""

_inherited: list[Any] = []
"""Pools of the process that this one was forked from. SQLite must not close in a child what it opened in the parent,
as it would when they were collected."""

_DRIVERS = {
    "postgresql": (("psycopg2", "psycopg2"), ("psycopg", "psycopg")),
    "mysql": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql")),
    "mariadb": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql")),
}
"""For a URL that names no driver: SQLAlchemy's names of drivers with the modules they need, in order of preference."""

_KNOW_CONNECT_TIMEOUT = ("psycopg2", "psycopg", "pymysql", "mysqldb")
"""Drivers with an argument ``connect_timeout``, in seconds."""


class Database:
    """An engine with its transactions. Whether the tables are ready is not asked here: see
    :func:`airflow_autoremed.history.opening.open_database`.

    :param url: a SQLAlchemy URL.
    :param patience_s: seconds to wait for a connection, and for another process's lock.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        self.engine = make_engine(url, patience_s)
        self._patience_s = patience_s
        # The same connections; transactions begin as _begin_sqlite wants it for writing.
        self._writing = self.engine.execution_options(autoremed_writes=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of *work*, which only reads."""
        with self._mended(), self.engine.connect() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """The result of *work*, all of whose changes are kept or none.

        Tried again when another process inserted the same row at the same time, or the database broke up a
        deadlock: *work* must bear being run twice.
        """
        until = time.monotonic() + self._patience_s
        with self._mended():
            for attempt in range(1, _TRIES + 1):
                try:
                    with self._writing.begin() as connection:
                        return work(connection)
                except DBAPIError as error:  # noqa: PERF203 - trying again is what the loop is for
                    if attempt == _TRIES or time.monotonic() > until or not _collided(error):
                        raise
                    time.sleep(0.01 * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def probe_write(self) -> None:
        """Raise unless the tables can be written to; nothing is changed."""
        with self._writing.connect() as connection, connection.begin() as transaction:
            row = {"name": "schema_version", "value": str(schema_version.VERSION)}
            put(connection, "autoremed_meta", row, by=("name",))
            transaction.rollback()

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """After an error the next operation has a new connection.

        A connection keeps what was wrong with its server when it was made: one to a server that has become
        read-only stays read-only after the others have moved on.
        """
        try:
            yield
        except DBAPIError:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def forget(self) -> None:
        """Let go of connections that belong to the process this one was forked from, without closing them."""
        _inherited.append(self.engine.pool)
        with suppress(TypeError):  # SQLAlchemy before 1.4.33 knows no close=False
            self.engine.dispose(close=False)


def _collided(error: DBAPIError) -> bool:
    """Whether the same transaction may well succeed now.

    SQLSTATE 40001 (serialization failure) and 40P01 (deadlock) on Postgres; 1213 (deadlock) and 1205 (lock wait
    timeout) are MySQL's error numbers.
    """
    if isinstance(error, IntegrityError):
        return True
    original = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    number = original.args[0] if original is not None and original.args else None
    return state in ("40001", "40P01") or number in (1213, 1205)


def make_engine(url: str, patience_s: float, *, statements_s: float | None = None) -> Engine:
    """An engine for a process that does one thing at a time.

    A worker lives for one task: one connection is enough, and a second one only while the first is still being given
    back. Parameters are hidden from error messages: they hold conf values.

    :param patience_s: seconds to wait for a connection, and for another process's lock.
    :param statements_s: seconds that a statement may take where the server can be told so; *patience_s* unless
        said. Whoever gave up waiting leaves nothing behind that waits on the server for hours, once per task.
    """
    parsed = _with_a_driver(make_url(url))
    limit_s = patience_s if statements_s is None else statements_s
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(parsed, patience_s)
    options: dict[str, Any] = {}
    if backend in ("mysql", "mariadb"):
        # As Airflow has it. The default locks the gaps between keys, in which the attempts of others would go.
        options["isolation_level"] = "READ COMMITTED"
    if parsed.get_driver_name() in _KNOW_CONNECT_TIMEOUT and "connect_timeout" not in parsed.query:
        # Whole seconds; libpq takes 1 for 2.
        options["connect_args"] = {"connect_timeout": max(2, math.ceil(patience_s))}
    engine = create_engine(
        parsed,
        future=True,  # the manners of SQLAlchemy 2 on 1.4
        pool_size=1,
        max_overflow=1,
        pool_timeout=patience_s,
        pool_recycle=1800,
        hide_parameters=True,
        **options,
    )
    _ping_after_idling(engine)
    if backend == "postgresql":
        milliseconds = max(1, math.ceil(limit_s * 1000))

        def limit_statements(connection: Connection) -> None:
            # For this transaction only: a connection from pgbouncer is somebody else's in the next one.
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

        event.listen(engine, "begin", limit_statements)
    elif backend in ("mysql", "mariadb"):
        seconds = max(1, math.ceil(limit_s))

        def limit_waits(connection: Any, _record: Any) -> None:
            with closing(connection.cursor()) as cursor:
                cursor.execute(
                    f"SET SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}"
                )

        event.listen(engine, "connect", limit_waits)
    return engine


def _ping_after_idling(engine: Engine) -> None:
    """Ask a connection whether it is still alive only when it was not used for a while: a worker's operations follow
    each other within moments, and a round trip each is a part of what they cost."""

    def given_back(_connection: Any, record: Any) -> None:
        record.info["autoremed_given_back"] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("autoremed_given_back")
        if since is None or time.monotonic() - since < _IDLE_S:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.dbapi.Error:  # type: ignore[union-attr]
            alive = False
        if not alive:
            raise DisconnectionError  # the pool makes a new one

    event.listen(engine, "checkin", given_back)
    event.listen(engine, "checkout", taken)


def _with_a_driver(url: URL) -> URL:
    """*url* with a driver that is installed, where it names none.

    SQLAlchemy 2.1 takes psycopg for Postgres, earlier ones psycopg2: a deployment has the one that it has.
    """
    for driver, module in _DRIVERS.get(url.drivername, ()):
        if find_spec(module) is not None:
            return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _sqlite_engine(url: URL, patience_s: float) -> Engine:
    from sqlalchemy.pool import QueuePool

    _prepare_sqlite_file(url)
    # Kept open between operations: whoever closes a file as the last writes its log back, which takes longer than
    # what a try has to record. Operations come from threads of their own, one at a time.
    engine = create_engine(
        url,
        future=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=1,
        pool_timeout=patience_s,
        pool_recycle=_SQLITE_RECYCLE_S,
        hide_parameters=True,
        connect_args={"timeout": max(0.1, patience_s * 0.9), "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "an SQLite database in memory is forgotten before the next try; "
            "write sqlite:////absolute/path/to/autoremed.db"
        )
    if url.database.startswith("file:"):
        return
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Log lines and configurations are nobody else's business. SQLite gives its -wal and -shm files the same mode.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and only before some statements: see _begin_sqlite.
    connection.isolation_level = None
    import sqlite3

    # Not every file system can hold a write-ahead log, and a read-only database cannot change over to it.
    with suppress(sqlite3.OperationalError):
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another process wrote in between,
    # without waiting; one that takes the write lock at its start waits for its turn.
    writes = connection.get_execution_options().get("autoremed_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
