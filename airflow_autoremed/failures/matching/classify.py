"""Classifying whole texts and files."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_autoremed.failures.matching.log_blocks import BLOCK
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.rules.literal_engines import LARGE, fastest_engine
from airflow_autoremed.types import Classification, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue


class Readable(Protocol):
    """An open binary stream."""

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes; none at the end."""
        ...


_GZIP = b"\x1f\x8b"
_BLOCK = BLOCK
_MOST_UNPACKED = 1024 * 1024
"""Bytes that a piece of an archive is unpacked to at once."""


def classify_texts(
    catalogue: Catalogue, texts: Iterable[tuple[Source | None, str | bytes | Iterable[str]]]
) -> Classification:
    """The verdict on several texts of one failure, each with where it comes from.

    :param texts: a text whole, or as lines.
    """
    matcher = LogMatcher(catalogue)
    for source, text in texts:
        matcher.feed(text, source)
        matcher.end_text()
    return matcher.classification()


def classify_file(
    catalogue: Catalogue, path: Path | str, source: Source | None = None, engine: str | None = None
) -> Classification:
    """The verdict on a log file, plain or gzip, read block by block whatever its size.

    :param source: what kind of log it is, where that is known.
    :param engine: see :meth:`Catalogue.matcher`.
    :raises OSError: the file cannot be read.
    """
    if engine is None and Path(path).stat().st_size >= LARGE:
        engine = fastest_engine()
    with Path(path).open("rb", buffering=0) as stream:
        return classify_stream(catalogue, stream, source, engine)


def classify_stream(
    catalogue: Catalogue, stream: Readable, source: Source | None = None, engine: str | None = None
) -> Classification:
    """The verdict on a log that is read from an open binary stream, plain or gzip, to its end.

    :param stream: need not be seekable: a pipe will do.
    :raises OSError: the stream cannot be read.
    """
    matcher = LogMatcher(catalogue, engine)
    for block in _blocks(stream):
        matcher.feed(block, source)
    return matcher.classification()


def _blocks(stream: Readable) -> Iterator[bytes]:
    """The content of a plain or gzip stream; gzip is told by its first two bytes, not by a name."""
    start = stream.read(_BLOCK)
    while start and len(start) < len(_GZIP) and (more := stream.read(_BLOCK)):
        start += more
    if not start.startswith(_GZIP):
        while start:
            yield start
            start = stream.read(_BLOCK)
        return
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    packed = start
    while packed:
        try:
            while packed:
                yield unpacker.decompress(packed, _MOST_UNPACKED)
                packed = unpacker.unconsumed_tail
                if unpacker.eof:  # archives can be written one after the other
                    packed = unpacker.unused_data
                    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        except zlib.error:
            return
        packed = stream.read(_BLOCK)
