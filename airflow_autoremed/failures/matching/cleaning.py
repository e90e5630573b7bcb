"""From raw log bytes to lines that patterns can be run on: no colours, no control characters, JSON spread out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

_ANSI = re.compile(rb"\x1b(?:\[[0-9;?:]{0,32}[ -/]?[@-~]|\][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r") + b"\x7f"
_JSON_LINE = re.compile(rb"^[^\n{]{0,200}(\{\s{0,8}\"[^\n]*\})\s{0,8}$", re.MULTILINE)

_QUIET_RECORD = re.compile(rb"\b(?:TRACE|DEBUG|INFO|WARN|WARNING)\b")
_RELAYED = re.compile(
    rb"^(?:\[\d{4}-\d\d-\d\d[T ,][^\]\n]{8,40}\] (?:\{[^}\n]{1,120}\} )?INFO ?- (?:\[[\w-]{1,63}\] )?"
    rb"|\d{4}-\d\d-\d\dT[\d:.+Z-]{8,30} (?:std(?:out|err) [FP] |\[info {1,8}\] )"
    rb"|[\w.-]{1,60}-\d{1,3} {1,30}\| )",
    re.MULTILINE,
)
"""What Airflow, a container's runtime or Compose puts before each line of another program."""
_LOOKED_AT = 4
"""Lines at either end of a block that tell whether its lines are passed on: then nearly all of them are."""

LONGEST_JSON = 1024 * 1024
"""A longer JSON line is matched as it stands."""
_DEEPEST = 12
_PASSED_ON = ("info", "debug")
_OF_THE_PLACE = (
    "filename",
    "func_name",
    "lineno",
    "loc",
    "module",
    "task_instance_id",
    "dag_id",
    "run_id",
    "task_id",
)
"""Where a record was written, and by which task."""
_MOST_FRAMES = 200


def clean(block: bytes) -> bytes:
    """``block`` without ANSI escapes and control characters (NUL bytes of UTF-16 included); lines stay lines."""
    if b"\x1b" in block:
        block = _ANSI.sub(b"", block).translate(None, delete=_CONTROLS)
    if b"\x00" in block:
        block = block.translate(None, delete=_CONTROLS)
    return block


def unwrap(block: bytes) -> bytes:
    """``block`` without what a program that passes the lines of another on puts before them; lines stay lines.

    Spark's own levels and stack traces read the same whether they come from spark-submit or out of a task's log.
    """
    start, end = 0, len(block)
    for _ in range(_LOOKED_AT):
        last = block.rfind(b"\n", 0, max(0, end - 1)) + 1
        if _RELAYED.match(block, start) or _RELAYED.match(block, last):
            return _RELAYED.sub(b"", block)
        start, end = block.find(b"\n", start) + 1, last
        if not start or not end:
            break
    return block


def spread_json(block: bytes, continued: bool = False) -> tuple[bytes, list[int]] | None:
    """Put the texts inside JSON lines on lines of their own: of a log record in its place, else below it.

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
        record, texts = (False, ()) if continued and index == 0 else _texts_of(line)
        if not record:
            lines.append(line)
            origins.append(index)
        for text in texts:
            found = True
            for piece in text.split("\n"):
                lines.append(piece.encode("utf-8", "replace"))
                origins.append(index)
    return (b"\n".join(lines), origins) if found else None


def _texts_of(line: bytes) -> tuple[bool, Iterable[str]]:
    """Whether a line is a log record, and the texts inside it; none: it is no JSON."""
    if (b'{"' not in line and b'{ "' not in line) or len(line) > LONGEST_JSON:
        return False, ()
    match = _JSON_LINE.match(line)
    if match is None or _QUIET_RECORD.search(line[: match.start(1)]):
        return False, ()  # none, or what a job logs of its data: it stays a part of its record
    try:
        value = json.loads(match[1].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False, ()
    if not isinstance(value, dict):
        return False, ()
    texts = list(_record(value, 0))
    return bool(texts) and _is_record(value), texts


def _is_record(value: dict[str, Any]) -> bool:
    """Whether a JSON object is what a logger (Spark's, Airflow's) or a container's runtime writes."""
    if isinstance(value.get("log"), str) and isinstance(value.get("stream"), str):
        return True
    return isinstance(value.get("level"), str) and any(
        isinstance(value.get(key), str) for key in ("msg", "message", "event")
    )


def _record(record: dict[str, Any], depth: int) -> Iterator[str]:
    """One log record: its message as a log line, the exception as ``class: message``, frames as ``at ...``."""
    if depth > _DEEPEST:
        return
    level, logger = record.get("level"), record.get("logger")
    if isinstance(record.get("exc_type"), str) and isinstance(record.get("exc_value"), str):
        yield "Traceback (most recent call last):"
        yield f"{record['exc_type']}: {record['exc_value']}"
    for key, value in record.items():
        if key in ("level", "logger", "ts", "timestamp", "thread", "context", "stream"):
            continue
        if key in ("exc_type", "exc_value") and "exc_type" in record and "exc_value" in record:
            continue
        if isinstance(value, str):
            named = key in ("msg", "message") and isinstance(level, str)
            # Airflow logs what it passes on as info; that stays as it was
            named = named or (key == "event" and isinstance(level, str) and level.lower() not in _PASSED_ON)
            if named:
                yield f"{str(level).upper()} {logger or ''}: {value}"
            elif not (isinstance(level, str) and key in _OF_THE_PLACE):
                yield from _texts_of_text(value, depth)
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


def _texts_of_text(text: str, depth: int) -> Iterator[str]:
    """A text inside a record: a JSON line of its own, or as it stands."""
    inner = text.rstrip("\n")
    if depth < 2 and inner.startswith('{"') and "\n" not in inner:
        try:
            value = json.loads(inner)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and _is_record(value):
            yield from _record(value, depth + 1)
            return
    yield inner


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
