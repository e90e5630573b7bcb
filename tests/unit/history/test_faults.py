"""Whatever is wrong with the store, the caller gets one kind of error, soon, and no secret in it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_autoremed import database_urls
from airflow_autoremed.errors import StoreError
from airflow_autoremed.history import Store
from airflow_autoremed.history.db import schema_version
from airflow_autoremed.types import Mode
from tests.support.attempts import TRY_1, TRY_2, begin, decide, remediation


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "autoremed.db"


@pytest.fixture
def filled(file: Path) -> Path:
    store = Store(f"sqlite:///{file}")
    begin(store, TRY_1)
    decide(store, TRY_1, remediation(), mode=Mode.ACT)
    store.close()
    return file


def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(f"sqlite:///{tmp_path}/file/autoremed.db")
    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        begin(store, TRY_1)
    ((name, ok, detail),) = store.check()
    assert (name, ok) == ("store reachable", False)
    assert "cannot be used" in detail


def test_a_database_in_memory_is_refused_with_what_to_write() -> None:
    with pytest.raises(StoreError, match="sqlite:////absolute/path"):
        Store("sqlite://").open()


def test_a_file_that_is_no_database_is_a_store_error_and_stays_as_it_is(file: Path) -> None:
    file.write_text("not a database\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        begin(Store(f"sqlite:///{file}"), TRY_1)
    assert file.read_text() == "not a database\n" * 100


def test_a_database_with_a_damaged_page_is_a_store_error(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    filled.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(f"sqlite:///{filled}").recent(10)


def test_a_read_only_store_is_read_and_says_that_it_cannot_be_written(filled: Path) -> None:
    store = Store(f"sqlite:///file:{filled}?mode=ro&uri=true")
    assert len(store.recent(10)) == 1
    with pytest.raises(StoreError, match="readonly database"):
        begin(store, TRY_2)
    assert [(name, ok) for name, ok, _ in store.check()] == [
        ("store reachable", True),
        ("store writable", False),
        ("store schema", True),
    ]


def test_a_database_locked_by_another_process_is_given_up_in_time_and_used_again_later(filled: Path) -> None:
    store = Store(f"sqlite:///{filled}", deadline_s=0.5)
    store.open()
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"database is locked|did not answer within 0.5 s"):
        begin(store, TRY_2)
    assert time.monotonic() - started < 2
    other.execute("ROLLBACK")
    other.close()
    # When it was given up by us rather than by SQLite, it ends a moment later.
    time.sleep(0.6)
    begin(store, TRY_2)
    assert len(store.recent(10)) == 2


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Makes reading hang until the event is set."""
    from airflow_autoremed.history.db.engine import Database

    answer = threading.Event()
    read = Database.read

    def slow(self: Database, work: object) -> object:
        answer.wait(60)
        return read(self, work)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "read", slow)
    yield answer
    answer.set()


def test_a_database_that_hangs_is_given_up_at_the_deadline(filled: Path, hanging: threading.Event) -> None:
    store = Store(f"sqlite:///{filled}", deadline_s=0.5)
    store.open()

    started = time.monotonic()
    with pytest.raises(StoreError, match=r"did not answer within 0\.5 s"):
        store.decision_before(TRY_2)
    assert 0.4 < time.monotonic() - started < 2

    started = time.monotonic()
    with pytest.raises(StoreError, match="still waiting"):
        begin(store, TRY_2)
    assert time.monotonic() - started < 0.3, "a task that asks again must not wait again"


def test_a_database_that_answers_again_is_used_again(filled: Path, hanging: threading.Event) -> None:
    store = Store(f"sqlite:///{filled}", deadline_s=0.5)
    store.open()
    with pytest.raises(StoreError, match="did not answer"):
        store.decision_before(TRY_2)

    hanging.set()
    for thread in threading.enumerate():
        if thread.name == "autoremed":
            thread.join(10)

    assert store.decision_before(TRY_2) is not None


def test_an_interpreter_ends_though_its_store_hangs() -> None:
    program = """
        import socket
        from airflow_autoremed.errors import StoreError
        from airflow_autoremed.history import Store
        from airflow_autoremed.history.db.engine import Database

        def hang(self, work):
            a, b = socket.socketpair()
            a.recv(1)

        Database.read = hang
        import tempfile
        store = Store(f"sqlite:///{tempfile.mkdtemp()}/a.db", deadline_s=5)
        store.open()
        store.deadline_s = 0.2
        try:
            store.recent(1)
        except StoreError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "did not answer within 0.2 s" in done.stdout


def test_a_newer_schema_is_refused_and_left_alone(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("UPDATE autoremed_meta SET value = '99' WHERE name = 'schema_version'")
    connection.close()
    told = rf"schema version 99, newer than the {schema_version.VERSION} .* upgrade airflow-autoremed"
    with pytest.raises(StoreError, match=told):
        Store(f"sqlite:///{filled}").recent(10)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DROP TABLE autoremed_outcomes", "half-made .*missing: autoremed_outcomes"),
        ("DELETE FROM autoremed_meta", "half-made .*no schema version"),
        ("DROP TABLE autoremed_meta", "half-made .*missing: autoremed_meta"),
        ("UPDATE autoremed_meta SET value = 'x'", "not a number"),
    ],
)
def test_tables_that_are_not_all_there_are_named(filled: Path, damage: str, told: str) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(StoreError, match=told):
        Store(f"sqlite:///{filled}").recent(10)


@pytest.mark.parametrize(
    ("damage", "operation"),
    [
        ("UPDATE autoremed_patches SET operations = '{'", "decision_before"),
        ("UPDATE autoremed_patches SET operations = '[1]'", "decision_before"),
        ('UPDATE autoremed_patches SET operations = \'{"op": "add"}\'', "decision_before"),
        (f"UPDATE autoremed_patches SET operations = '{'[' * 60_000}'", "decision_before"),
        (f"UPDATE autoremed_patches SET operations = '[{'1,' * 60_000}1]'", "decision_before"),
        ("UPDATE autoremed_decisions SET action = 'format_disk'", "decision_before"),
    ],
)
def test_rows_that_someone_else_wrote_nonsense_into_are_a_store_error(
    filled: Path, damage: str, operation: str
) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute(damage)
    connection.close()
    store = Store(f"sqlite:///{filled}")
    with pytest.raises(StoreError, match="cannot be used"):
        getattr(store, operation)(TRY_2)


@pytest.mark.parametrize("nonsense", ["[]", "nonsense", "[" * 60_000])
def test_an_earlier_attempt_that_cannot_be_read_is_left_out(filled: Path, nonsense: str) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("UPDATE autoremed_attempts SET effective = ?", (nonsense,))
    connection.close()
    assert Store(f"sqlite:///{filled}").past_attempts(TRY_2) == ()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nosuchdriver://airflow:s3cr%40t@127.0.0.1:1/db",
        "postgres://airflow:s3cr%40t@127.0.0.1:1/db?connect_timeout=1",
        "mysql+pymysql://airflow:s3cr%40t@127.0.0.1:1/db",
        "nonsense://airflow:s3cr%40t@127.0.0.1:1/db",
        "postgresql://airflow:s3cr%40t@127.0.0.1:notaport/db",
        "postgresql://airflow@127.0.0.1:1/db?connect_timeout=1&password=s3cr%40t",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    store = Store(url, deadline_s=20)
    with pytest.raises(StoreError) as caught:
        store.recent(10)
    told = str(caught.value) + repr(store) + str(store.check())
    assert "s3cr" not in told
    assert "***" in told
    assert "airflow" in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "the driver's own error, which may show it, is not printed"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p:w@x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:pw@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (
            "mysql://host/db?user=me&ssl_key=abc&charset=utf8",
            "mysql://host/db?user=me&ssl_key=***&charset=utf8",
        ),
        ("sqlite:////var/autoremed.db", "sqlite:////var/autoremed.db"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert database_urls.masked(url) == shown


def test_a_password_in_a_driver_s_own_words_is_masked_as_it_is_spelled_there() -> None:
    told = database_urls.mask("login me with pass wörd failed", "postgresql://me:pass%20w%C3%B6rd@host/db")
    assert told == "login me with *** failed"


def test_importing_the_history_loads_no_sqlalchemy() -> None:
    program = "import sys, airflow_autoremed.history; print('sqlalchemy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["postgresql", "mysql", "sqlite"])
def test_the_tables_can_be_spelled_for_every_database(name: str) -> None:
    """Lengths that a database demands are there, and its index stays under MySQL's 3,072 bytes."""
    from importlib import import_module

    from sqlalchemy.schema import CreateIndex, CreateTable

    from airflow_autoremed.history.db.run_metrics_table import metadata

    dialect = import_module(f"sqlalchemy.dialects.{name}").dialect()
    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert index.name is not None
            assert index.name in str(CreateIndex(index).compile(dialect=dialect))
            assert sum(4 * column.type.length for column in index.columns) <= 3072  # type: ignore[attr-defined]
