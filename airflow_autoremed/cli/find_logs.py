"""Logs that are named on the command line: finding them, and classifying them with a progress bar."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airflow_autoremed.cli.progress import Bar

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_autoremed.failures.rules.catalogue import Catalogue
    from airflow_autoremed.types import Classification

STDIN = Path("-")
LOOKED_FOR = "*.log, *.txt, *.out, *.err, *.gz, stdout, stderr"
"""What counts as a log in a directory, said to people."""
_IS_LOG = re.compile(r".+\.(log|txt|out|err)([.-]\d+)?(\.gz)?|(stdout|stderr)\S*|.+(?<!\.tar)\.gz")


@dataclass(frozen=True)
class Missing:
    """An argument that stands for no log, with what to write instead."""

    reason: str


def find_logs(arguments: Sequence[Path]) -> Iterator[Path | Missing]:
    """The logs that *arguments* stand for: a directory for those in it, a pattern for what it matches.

    A file that does not exist is among them: the attempt to read it tells why it cannot be.
    """
    for path in arguments:
        found: list[Path] = []
        if path.is_dir():
            found = list(_inside(path))
            if not found:
                yield Missing(f"{path} holds no logs ({LOOKED_FOR}); name the files")
        elif path != STDIN and not path.exists() and re.search(r"[*?[]", str(path)):
            found = _matched(path)
            if not found:
                yield Missing(f"no file matches {path}; ** between slashes stands for any directories")
        else:
            found = [path]
        yield from found


def classified(
    catalogue: Catalogue, logs: Sequence[Path], out: Console
) -> Iterator[tuple[Path, Classification | Missing]]:
    """The verdict on each log, or why it cannot be read, one by one."""
    from airflow_autoremed.failures.matching.classify import classify_stream

    with Bar(out, "classifying", _size(logs)) as bar:
        for path in logs:
            verdict: Classification | Missing
            try:
                if path == STDIN:
                    verdict = classify_stream(catalogue, _Counted(sys.stdin.buffer, bar))
                else:
                    with path.open("rb") as stream:
                        verdict = classify_stream(catalogue, _Counted(stream, bar))
            except OSError as error:
                verdict = Missing(f"{path} cannot be read: {error.strerror or error}")
            yield path, verdict


class _Counted:
    """A stream that tells the bar what has been read from it."""

    def __init__(self, stream: BinaryIO, bar: Bar) -> None:
        self._stream, self._bar = stream, bar

    def read(self, size: int, /) -> bytes:
        block = self._stream.read(size)
        self._bar.advance(len(block))
        return block


def _inside(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if _IS_LOG.fullmatch(name) and path.is_file():
                yield path


def _matched(pattern: Path) -> list[Path]:
    try:
        everything = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return sorted(path for path in everything if path.is_file())
    except (ValueError, OSError):  # ** as a part of a name
        return []


def _size(logs: Sequence[Path]) -> int:
    """Bytes of all logs together; 0 where one has no size that is known beforehand."""
    total = 0
    for path in logs:
        try:
            state = path.stat()
        except OSError:
            if path == STDIN:
                return 0
            continue
        if not path.is_file():
            return 0
        total += state.st_size
    return total
