"""Start processes that cannot outlive us: each in its own session, stopped as a whole tree."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

_GRACE_S = 8.0
"""How long a tree may take to end after SIGTERM before it is killed."""


def free_ports(count: int) -> list[int]:
    """Ask the kernel for *count* different TCP ports of 127.0.0.1 that are free now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Processes:
    """A set of background processes with their log files; :meth:`stop` ends every one with its descendants."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        log_dir.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start *command* in the background; both its streams go to ``<log_dir>/<name>.log``."""
        with self.log_file(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches only us: we stop them in order
            )

    def log_file(self, name: str) -> Path:
        """The file that takes the output of the process *name*."""
        return self.log_dir / f"{name}.log"

    def log_tail(self, name: str, lines: int = 25) -> str:
        """The last *lines* lines that the process *name* wrote."""
        file = self.log_file(name)
        text = file.read_text(errors="replace") if file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def dead(self) -> str | None:
        """The name of a process that has ended although nobody asked it to, or ``None``."""
        return next((name for name, process in self._running.items() if process.poll() is not None), None)

    def stop(self) -> None:
        """End every tree: SIGTERM, a few seconds of grace, SIGKILL. Safe to call twice."""
        roots = [process.pid for process in self._running.values()]
        pids = _family(roots)
        _signal_all(pids, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            self._reap()
            pids |= _family(roots)  # again: it may have forked while it was told to stop
            if not any(_alive(pid) for pid in pids):
                break
            time.sleep(0.1)
        _signal_all({pid for pid in pids if _alive(pid)}, signal.SIGKILL)
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        self._running.clear()

    def _reap(self) -> None:
        for process in self._running.values():
            process.poll()


def _family(roots: Sequence[int]) -> set[int]:
    """*roots*, their descendants, and orphans of theirs: those keep the session of the tree they came from."""
    children: dict[int, list[int]] = {}
    found: set[int] = set()
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.pid)
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) in roots:
                found.add(process.pid)
    queue = list(roots)
    while queue:
        pid = queue.pop()
        found.add(pid)
        queue.extend(set(children.get(pid, ())) - found)
    return found


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
