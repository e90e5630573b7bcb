"""Text of jobs as it may be shown: nothing in it is hidden, and nothing steers what is around it."""

from __future__ import annotations

import re
import unicodedata

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def visible(text: str) -> str:
    """*text* without terminal colours, and with other control characters, and those that turn the direction of
    writing, spelt out as their number. Markup is escaped by the templates."""
    plain = _COLOURS.sub("", text.replace("\r\n", "\n"))
    return "".join(each if each in "\n\t" or not _is_control(each) else _spelt(each) for each in plain)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


def _spelt(character: str) -> str:
    return f"\\u{ord(character):04x}"
