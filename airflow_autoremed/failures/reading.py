"""Classifying whole texts and files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_autoremed.types import Classification, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.loading import Catalogue

_GZIP = b"\x1f\x8b"
_BLOCK = 256 * 1024


def classify_texts(
    catalogue: Catalogue, texts: Iterable[tuple[Source | None, str | bytes | Iterable[str]]]
) -> Classification:
    """The verdict on several texts of one failure, each with where it comes from.

    :param texts: a text whole, or as lines.
    """
    matcher = catalogue.matcher()
    for source, text in texts:
        matcher.feed(text, source)
        matcher.end_text()
    return matcher.classification()


def classify_file(catalogue: Catalogue, path: Path | str, source: Source | None = None) -> Classification:
    """The verdict on a log file, plain or gzip, read block by block whatever its size.

    :param source: what kind of log it is, where that is known.
    :raises OSError: the file cannot be read.
    """
    matcher = catalogue.matcher()
    with open_log(path) as stream:
        while True:
            try:
                block = stream.read(_BLOCK)
            except (EOFError, zlib.error):  # a truncated archive: what could be read counts
                break
            if not block:
                break
            matcher.feed(block, source)
    return matcher.classification()


def open_log(path: Path | str) -> IO[bytes]:
    """The bytes of a log file; gzip is told by its first two bytes, not by its name."""
    stream: Any = Path(path).open("rb")  # noqa: SIM115 - handed to the caller
    try:
        start = stream.peek(2)[:2]
    except BaseException:
        stream.close()
        raise
    if start != _GZIP:
        return stream  # type: ignore[no-any-return]
    stream.close()
    return gzip.open(path, "rb")  # type: ignore[return-value]
