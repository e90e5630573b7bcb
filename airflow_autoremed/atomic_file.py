"""Files that appear all at once: a reader sees the former one or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".new-"
"""How the name of a file begins that is not complete. A process that was killed leaves one behind."""


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A new file beside *path* to write to; it takes the place of *path* when the block ends without an error.

    Its name cannot be guessed and must be free, so nobody can have put a link there; what *path* was before (a
    link, a file with another mode) does not matter.

    :param mode: of the file, less what the umask forbids.
    :raises OSError: it cannot be written; *path* is then as it was.
    """
    unfinished = path.with_name(f"{UNFINISHED}{os.urandom(8).hex()}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(unfinished, flags, mode), "wb") as file:
            yield file
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def write(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write *content* to *path*, all of it or nothing.

    :param mode: of the file, less what the umask forbids.
    :raises OSError: it cannot be written; *path* is then as it was.
    """
    with replacing(path, mode=mode) as file:
        file.write(content)
