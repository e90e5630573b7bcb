"""Classifying whole texts and files."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_autoremed.failures.blocks import BLOCK
from airflow_autoremed.failures.engines import LARGE, fastest_engine
from airflow_autoremed.types import Classification, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.loading import Catalogue

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
    matcher = catalogue.matcher()
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
    matcher = catalogue.matcher(engine)
    for block in _blocks(Path(path)):
        matcher.feed(block, source)
    return matcher.classification()


def _blocks(path: Path) -> Iterator[bytes]:
    """The content of a plain or gzip file; gzip is told by its first two bytes, not by its name."""
    with path.open("rb", buffering=0) as plain:
        start = plain.read(len(_GZIP)) or b""
        plain.seek(0)
        if start != _GZIP:
            while block := plain.read(_BLOCK):
                yield block
            return
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while packed := plain.read(_BLOCK):
            try:
                while packed:
                    yield unpacker.decompress(packed, _MOST_UNPACKED)
                    packed = unpacker.unconsumed_tail
                    if unpacker.eof:  # archives can be written one after the other
                        packed = unpacker.unused_data
                        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            except zlib.error:  # noqa: PERF203 - damaged: what could be read counts, as where it is cut off
                return
