"""From values to columns and back, bounded in size."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypeVar

from airflow_autoremed.errors import StoreError
from airflow_autoremed.types import Classification, Conf, EvidenceLine, Link, Patch, Scope, Source

E = TypeVar("E", bound=Enum)

MAX_EXCERPT = 16 * 1024
MAX_REASON = 2 * 1024
MAX_JSON = 64 * 1024 - 1
"""Bytes of JSON in one column: what fits MySQL's TEXT, whose length is counted in two bytes."""
MAX_NAME = 250
_MAX_LINE = 2 * 1024
_MAX_LINES = 12
_MAX_LINKS = 16
_UNSEEN = "unseen"
_CUT = " ..."


def clip(text: str, most: int) -> str:
    """*text* in at most *most* bytes of UTF-8, and without what Postgres cannot hold (NUL, lone surrogates)."""
    raw = text.replace("\x00", "").encode("utf-8", errors="replace")
    if len(raw) <= most:
        return raw.decode("utf-8")
    return raw[: most - len(_CUT)].decode("utf-8", errors="ignore") + _CUT


def clip_around(text: str, most: int) -> str:
    """Like :func:`clip`, but keeping beginning and end."""
    if len(text.encode("utf-8", errors="replace")) <= most:
        return clip(text, most)
    middle = "\n...\n"
    half = (most - len(middle)) // 2
    # A character may be of four bytes, and the last `half` characters are enough to fill `half` bytes.
    tail = text[-half:].replace("\x00", "").encode("utf-8", errors="replace")[-half:]
    return clip(text, half) + middle + tail.decode("utf-8", errors="ignore")


def to_text(moment: datetime) -> str:
    """A time as it stands in the tables. A time without a zone is taken for UTC, as Airflow's are."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).isoformat(timespec="microseconds")


def to_moment(text: str | None) -> datetime | None:
    """A stored time."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise StoreError(f"it holds {str(text)[:40]!r} as a time") from None


def to_number(value: Any) -> float | None:
    """A stored number: SQLite keeps texts in columns of numbers.

    :raises StoreError: when it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise StoreError(f"it holds {str(value)[:40]!r} as a number")
    return float(value)


def to_whole(value: Any) -> int:
    """:raises StoreError: when *value* is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise StoreError(f"it holds {str(value)[:40]!r} as a whole number")
    return value


def conf_to_json(conf: Conf) -> str:
    """A configuration as JSON; values too long to be kept are replaced by a note of their length.

    Resource settings, all that the history is read for, are short: what has to go is a list of jars or the like.
    """
    kept = {str(key): str(value) for key, value in conf.items()}
    text = _dump(kept)
    for key in sorted(kept, key=lambda key: len(_dump(kept[key])), reverse=True):
        if len(text) <= MAX_JSON:
            return text
        kept[key] = f"({len(kept[key])} characters left out)"
        text = _dump(kept)
    if len(text) > MAX_JSON:
        raise StoreError(
            f"a configuration of {len(kept)} keys is larger than the {MAX_JSON} bytes that are kept of one"
        )
    return text


def cause_to_json(cause: Classification) -> str:
    """The lines that decided, and the failure chain: its links are lines that say ``what`` they are.

    What was not seen is a line of its own kind, so that a reader which knows no chains sees nothing but lines.
    """
    links = [*cause.chain, *(Link(_UNSEEN, EvidenceLine(0, phrase)) for phrase in cause.unseen)]
    return to_json(
        [
            *(_plain_line(line) for line in cause.lines[:_MAX_LINES]),
            *({**_plain_line(link.line), "what": link.what} for link in links[:_MAX_LINKS]),
        ]
    )


def _plain_line(line: EvidenceLine) -> dict[str, Any]:
    return {"number": line.number, "text": clip(line.text, _MAX_LINE), "source": line.source.value}


def to_json(value: Any) -> str:
    """:raises StoreError: when it is not JSON or too large."""
    try:
        text = _dump(value)
    except (TypeError, ValueError) as error:
        raise StoreError(f"a value cannot be kept as JSON: {error}") from None
    if len(text) > MAX_JSON:
        raise StoreError(f"a value of {len(text)} bytes is larger than the {MAX_JSON} that are kept")
    return text


def to_conf(text: str | None) -> dict[str, str]:
    """A stored configuration."""
    found = _load(text, dict) if text is not None else {}
    return {str(key): str(value) for key, value in found.items()}


def to_object(text: str | None) -> dict[str, Any] | None:
    """A stored JSON object."""
    return None if text is None else dict(_load(text, dict))


def to_changes(text: str | None) -> dict[str, tuple[str | None, str]]:
    """Stored changes: setting to (before, after)."""
    found = _load(text, dict) if text is not None else {}
    try:
        pairs = {str(key): (before, after) for key, (before, after) in found.items()}
        if all(isinstance(after, str) and isinstance(before, str | None) for before, after in pairs.values()):
            return pairs
        raise ValueError("not texts")
    except (TypeError, ValueError):
        raise StoreError("the changes of a decision in it are unreadable") from None


def to_lines(text: str | None) -> tuple[EvidenceLine, ...]:
    """The lines that decided."""
    return tuple(line for what, line in _to_links(text) if not what)


def to_chain(text: str | None) -> tuple[Link, ...]:
    """The failure chain; empty for decisions of before there were any."""
    return tuple(Link(what, line) for what, line in _to_links(text) if what not in ("", _UNSEEN))


def to_unseen(text: str | None) -> tuple[str, ...]:
    """What was not seen when it was decided."""
    return tuple(line.text for what, line in _to_links(text) if what == _UNSEEN)


def _to_links(text: str | None) -> list[tuple[str, EvidenceLine]]:
    found = _load(text, list) if text is not None else []
    try:
        return [
            (str(line.get("what", "")), EvidenceLine(line["number"], line["text"], Source(line["source"])))
            for line in found
        ]
    except (TypeError, ValueError, KeyError, AttributeError):
        raise StoreError("the log lines of a decision in it are unreadable") from None


def to_operations(text: str) -> tuple[Mapping[str, Any], ...]:
    """The operations of a stored JSON Patch."""
    found = _load(text, list)
    if not all(isinstance(each, dict) and isinstance(each.get("path"), str) for each in found):
        raise StoreError("the operations of a patch in it are unreadable")
    return tuple(found)


def to_patch(row: Any) -> Patch:
    """The patch of a row of the patches, not validated."""
    scope = Scope(row.dag_id, row.run_id, row.task_id, to_whole(row.map_index), row.kind, row.fingerprint)
    return Patch(to_operations(row.operations), scope, to_whole(row.from_try))


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _load(text: str, expected: type) -> Any:
    # Longer than anything we wrote: someone else did. Not parsed, so that it cannot cost us memory.
    if len(text) > MAX_JSON:
        raise StoreError(f"a value in it has {len(text)} bytes; we never write more than {MAX_JSON}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, expected):
        raise StoreError(f"a value in it is not the JSON that was written: {text[:40]!r}")
    return found


def word(words: type[E], text: str) -> E:
    """:raises StoreError: when *text* is none of *words*."""
    try:
        return words(text)
    except ValueError:
        raise StoreError(f"it holds the unknown {words.__name__.lower()} {text[:40]!r}") from None
