"""From every earlier version of the tables to today's, with the data in them. Imports Alembic.

Loaded by ``autoremed db upgrade``, and by the first process that meets an SQLite file of an earlier version; never
where the tables are up to date.

A migration is a file in ``versions`` with its own copy of the names and types it deals with. Each of its steps
(:mod:`airflow_autoremed.history.migrations.steps`) looks whether it has been done: on MySQL, whose DDL cannot be
taken back, an upgrade that stopped half-way is completed by running it again from the beginning.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import schema_state
from airflow_autoremed.history.db.schema_state import Readiness, State

_HERE = Path(__file__).parent
_ADVISORY = int.from_bytes(hashlib.sha256(b"autoremed upgrade").digest()[:8], "big", signed=True)
"""The key of the advisory lock on Postgres. Advisory locks are per database there."""

_LOCK_WAIT_S = 60
"""Seconds that a step waits for others to let go of a table. Meanwhile whoever comes later waits behind it."""

_one_at_a_time = threading.Lock()  # Alembic keeps what it works on in variables of its modules


def upgrade(
    engine: Engine, *, patience_s: float = 600, on_wait: Callable[[], None] | None = None
) -> Readiness:
    """Bring the tables up to date, or create them; two at a time take turns.

    :param patience_s: seconds to wait for another upgrade that is under way.
    :param on_wait: called once before such a wait.
    :returns: what was found before anything was done.
    :raises StoreError: when the tables are newer than this code, or another upgrade takes too long.
    """
    with _one_at_a_time, engine.execution_options(autoremed_writes=True).connect() as connection:
        with connection.begin(), _alone(connection, patience_s, on_wait):
            found = schema_state.look(connection)
            if found.state is State.NEWER:
                raise StoreError(schema_state.advice(found))
            if found.state is State.CURRENT:
                return found
            _limit_lock_waits(connection)
            command.upgrade(_config(connection, _start(found)), "head")
        with connection.begin():
            after = schema_state.look(connection)
        if after.state is not State.CURRENT:
            raise StoreError(f"the upgrade ended, and its tables are {after.state.value} ({after.detail})")
        return found


def sql(engine: Engine) -> str:
    """The statements that :func:`upgrade` would run now, for whoever may not run it; empty when there are none.

    :raises StoreError: when they cannot be told beforehand.
    """
    if engine.dialect.name == "sqlite":
        raise StoreError(
            "it is an SQLite file, which is upgraded by rebuilding tables; run `autoremed db upgrade`"
        )
    with engine.connect() as connection:
        found = schema_state.look(connection)
        known_to_alembic = inspect(connection).has_table(schema_state.ALEMBIC_TABLE)
    if found.state is State.CURRENT:
        return ""
    if found.state in (State.NEWER, State.HALF_MADE):
        raise StoreError(schema_state.advice(found))
    start, out = _start(found), io.StringIO()
    config = _config(None, start, out)
    config.attributes["dialect"] = engine.dialect.name
    config.attributes["adopt"] = start != "base" and not known_to_alembic
    with _one_at_a_time:
        command.upgrade(config, f"{start}:head", sql=True)
    return out.getvalue()


def _start(found: Readiness) -> str:
    """The revision to go on from. Tables that are half-made are gone through from the beginning."""
    if found.state is State.BEHIND and found.version is not None:
        return schema_state.revision(found.version)
    return "base"


def _config(connection: Connection | None, start: str, out: Any = None) -> Config:
    config = Config(output_buffer=out) if out is not None else Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["start"] = start
    return config


@contextmanager
def _alone(connection: Connection, patience_s: float, on_wait: Callable[[], None] | None) -> Iterator[None]:
    """No other upgrade of the same database meanwhile.

    SQLite: the transaction has been begun as one that writes, which only one can.
    """
    backend = connection.dialect.name
    if backend == "postgresql":
        take: tuple[str, dict[str, Any]] = ("SELECT pg_try_advisory_xact_lock(:key)", {"key": _ADVISORY})
        leave: str | None = None  # at the end of the transaction
    elif backend in ("mysql", "mariadb"):
        # Names of locks are shared by all databases of a server, and of 64 characters at most.
        name = connection.execute(text("SELECT CONCAT('autoremed.', SHA1(DATABASE()))")).scalar()
        take = ("SELECT GET_LOCK(:key, 0)", {"key": name})
        leave = "SELECT RELEASE_LOCK(:key)"
    else:
        yield
        return
    until = time.monotonic() + patience_s
    waiting = False
    while not connection.execute(text(take[0]), take[1]).scalar():
        if time.monotonic() > until:
            raise StoreError(f"another upgrade of it has been running for {patience_s:g} s")
        if not waiting and on_wait is not None:
            on_wait()
        waiting = True
        time.sleep(0.2)
    try:
        yield
    finally:
        if leave is not None:
            with suppress(DBAPIError):  # a connection that is gone has let go of it
                connection.execute(text(leave), take[1])


def _limit_lock_waits(connection: Connection) -> None:
    """Rather fail, to be tried again, than keep every worker waiting behind us who wait for one of them."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'"))
    elif connection.dialect.name in ("mysql", "mariadb"):
        connection.execute(text(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_S}"))
