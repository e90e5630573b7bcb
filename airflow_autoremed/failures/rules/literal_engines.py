"""Finding many literals at once in a block of bytes. Every engine reports the same hits; they differ in speed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec

Hits = Sequence[tuple[int, int, int]]
"""``(index of the literal, start, end)``, by start of the line at least: in order of ``end``."""

Engine = Callable[[bytes], Hits]

ENGINES = ("hyperscan", "ahocorasick", "re")
"""Fastest first."""
LARGE = 16 * 1024 * 1024
"""Bytes from which on the fastest engine makes up for the time it takes to get ready (about 30 ms more)."""


def available_engines() -> tuple[str, ...]:
    """The engines that can be used here, fastest first."""
    modules = {"hyperscan": "hyperscan", "ahocorasick": "ahocorasick_rs", "re": "re"}
    return tuple(name for name in ENGINES if find_spec(modules[name]) is not None)


def fastest_engine() -> str:
    """The engine for large logs."""
    return available_engines()[0]


def make_engine(literals: Sequence[bytes], name: str | None = None) -> tuple[str, Engine]:
    """An engine for ``literals``, by name or the one that is ready soonest.

    :return: the name of the engine and a function that finds the literals in a block.
    :raises ValueError: unknown name.
    """
    if name not in (None, *ENGINES):
        raise ValueError(f"unknown engine {name!r}; write one of: {', '.join(ENGINES)}")
    if not literals:
        return "re", lambda _block: []
    if name == "hyperscan":
        return "hyperscan", _hyperscan(literals)
    if name in (None, "ahocorasick"):
        try:
            return "ahocorasick", _ahocorasick(literals)
        except ImportError:
            if name:
                raise
            warnings.warn(
                "ahocorasick-rs is not installed, matching falls back to Python's re and is many times slower; "
                "pip install ahocorasick-rs",
                RuntimeWarning,
                stacklevel=2,
            )
    return "re", _plain(literals)


def _ahocorasick(literals: Sequence[bytes]) -> Engine:
    import ahocorasick_rs

    automaton = ahocorasick_rs.BytesAhoCorasick(literals)

    def find(block: bytes) -> Hits:
        hits: Hits = automaton.find_matches_as_indexes(block, overlapping=True)
        return hits

    return find


def _hyperscan(literals: Sequence[bytes]) -> Engine:
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[b"".join(b"\\x%02x" % byte for byte in literal) for literal in literals],
        ids=range(len(literals)),
        elements=len(literals),
        flags=[0] * len(literals),
    )
    scratch = hyperscan.Scratch(database)
    lengths = [len(literal) for literal in literals]

    def find(block: bytes) -> Hits:
        hits: list[tuple[int, int, int]] = []

        def found(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            hits.append((number, end - lengths[number], end))

        database.scan(block, match_event_handler=found, scratch=scratch)
        return hits

    return find


def _plain(literals: Sequence[bytes]) -> Engine:
    """All literals in one look-ahead alternation; of literals that begin at one place all are reported."""
    by_text = {literal: index for index, literal in enumerate(literals)}
    alternation = b"|".join(re.escape(text) for text in sorted(by_text, key=len, reverse=True))
    pattern = re.compile(b"(?=(" + alternation + b"))")
    prefixes = {
        text: [other for other in by_text if other != text and text.startswith(other)] for text in by_text
    }

    def find(block: bytes) -> Hits:
        hits = []
        for match in pattern.finditer(block):
            text, start = match[1], match.start()
            hits.append((by_text[text], start, start + len(text)))
            hits.extend((by_text[other], start, start + len(other)) for other in prefixes[text])
        return hits

    return find
