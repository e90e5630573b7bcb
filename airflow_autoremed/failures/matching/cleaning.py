"""From raw log bytes to lines that patterns can be run on: no colours, no control characters, JSON spread out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_ANSI = re.compile(rb"\x1b(?:\[[0-9;?:]{0,32}[ -/]?[@-~]|\][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r") + b"\x7f"
_JSON_LINE = re.compile(rb"^[^\n{]{0,200}(\{\s{0,8}\"[^\n]*\})\s{0,8}$", re.MULTILINE)

LONGEST_JSON = 1024 * 1024
"""A longer JSON line is matched as it stands."""
_DEEPEST = 12
_MOST_FRAMES = 200


def clean(block: bytes) -> bytes:
    """``block`` without ANSI escapes and control characters (NUL bytes of UTF-16 included); lines stay lines."""
    if b"\x1b" in block:
        block = _ANSI.sub(b"", block).translate(None, delete=_CONTROLS)
    if b"\x00" in block:
        block = block.translate(None, delete=_CONTROLS)
    return block


def spread_json(block: bytes, continued: bool = False) -> tuple[bytes, list[int]] | None:
    """Put the texts inside JSON log lines on lines of their own, below the line itself.

    :param continued: the first line is the end of a longer one, and so no JSON.
    :return: the longer block and, per line of it, the index of the line of ``block`` that it comes from; or
        ``None`` where nothing had to be spread.
    """
    if b"{" not in block or (b'{"' not in block and b'{ "' not in block):
        return None
    if _JSON_LINE.search(block) is None:
        return None
    lines: list[bytes] = []
    origins: list[int] = []
    found = False
    for index, line in enumerate(block.split(b"\n")):
        lines.append(line)
        origins.append(index)
        for text in () if continued and index == 0 else _texts_of(line):
            found = True
            for piece in text.split("\n"):
                lines.append(piece.encode("utf-8", "replace"))
                origins.append(index)
    return (b"\n".join(lines), origins) if found else None


def _texts_of(line: bytes) -> Iterator[str]:
    if (b'{"' not in line and b'{ "' not in line) or len(line) > LONGEST_JSON:
        return
    match = _JSON_LINE.match(line)
    if match is None:
        return
    try:
        value = json.loads(match[1].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        yield from _record(value, 0)


def _record(record: dict[str, Any], depth: int) -> Iterator[str]:
    """One log record: its message as a log line, the exception as ``class: message``, frames as ``at ...``."""
    if depth > _DEEPEST:
        return
    level, logger = record.get("level"), record.get("logger")
    if isinstance(level, str) and isinstance(
        record.get("event"), str
    ):  # Airflow's own; what it logs stays whole
        yield f"{level.upper()} {logger or ''}"
    if isinstance(record.get("exc_type"), str) and isinstance(record.get("exc_value"), str):
        yield f"{record['exc_type']}: {record['exc_value']}"
    for key, value in record.items():
        if key in ("level", "logger", "ts", "timestamp", "thread", "context"):
            continue
        if isinstance(value, str):
            named = key in ("msg", "message") and isinstance(level, str)
            yield f"{level} {logger or ''}: {value}" if named else value
        elif isinstance(value, dict):
            if isinstance(value.get("class"), str) and "msg" in value:
                yield from _exception(value, depth)
            else:
                yield from _record(value, depth + 1)
        elif isinstance(value, list):
            for item in value[:_MOST_FRAMES]:
                if isinstance(item, str):
                    yield item
                elif isinstance(item, dict):
                    yield from _record(item, depth + 1)


def _exception(value: dict[str, Any], depth: int) -> Iterator[str]:
    message = value.get("msg")
    yield f"{value['class']}: {message}" if message else str(value["class"])
    frames = value.get("stacktrace")
    for frame in (frames if isinstance(frames, list) else [])[:_MOST_FRAMES]:
        if isinstance(frame, dict):
            yield f"\tat {frame.get('class')}.{frame.get('method')}({frame.get('file')}:{frame.get('line')})"
        elif isinstance(frame, str):
            yield frame
    if isinstance(frames, str):
        yield frames
    if (
        isinstance(value.get("cause"), dict)
        and isinstance(value["cause"].get("class"), str)
        and depth < _DEEPEST
    ):
        yield from (
            f"Caused by: {text}" if not text.startswith("\t") else text
            for text in _exception(value["cause"], depth + 1)
        )
