"""What a line of a log says with everything particular taken out, so that two runs of one failure read the same.

Used by the error templates and by the text model, which must see texts masked in exactly the same way when they are
learnt from and when they are judged: it belongs to neither, and imports nothing of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

VERSION = 1
"""Of what :func:`mask` makes of a line. Templates and models of another version do not fit."""

LONGEST_LINE = 2000
"""Characters of a line that are looked at."""
MOST_LINES = 60
"""Lines of a text that :func:`telling_lines` keeps."""

PLACEHOLDERS = ("<time>", "<uuid>", "<url>", "<path>", "<host>", "<name>", "<hex>", "<id>", "<num>")

_UNIT = r"(?:\s?(?:[KMGTP]i?B|[kmgt]b|bytes?|ms|min)\b|%)?"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"(?<![\w/])(?:\d{4}|\d\d)[-/]\d\d[-/](?:\d{4}|\d\d),?[ T]\d\d:\d\d:\d\d"
            r"(?:[.,]\d{1,9})?(?:Z|\s?[+-]\d\d:?\d\d\b|\sUTC\b)?"
        ),
        "<time>",
    ),
    (
        re.compile(
            r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:[A-Z][a-z]{2} \d\d?|\d\d? [A-Z][a-z]{2})"
            r"(?: \d{4})? \d\d:\d\d:\d\d(?: [A-Z]{3,4})?(?: \d{4})?\b"
        ),
        "<time>",
    ),
    (re.compile(r"`[^`\n]{1,120}`(?:\.`[^`\n]{1,120}`)*"), "`<name>`"),
    (re.compile(r"(?:(?<![\w'])|(?<=\b[urb]))'[^'\n]{1,120}'(?!\w)"), "'<name>'"),
    (re.compile(r'(?:(?<![\w"])|(?<=\b[urb]))"[^"\n]{1,120}"(?!\w)'), '"<name>"'),
    (re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}:(?:[a-z]{2,20}:){0,2}//?[^\s'\"<>,;)\]}|]+"), "<url>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), "<name>"),
    (re.compile(r"(?<![\w.-])(?:[\w-]{0,63}/)?/?\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])"), "<host>"),
    (
        re.compile(r"(?<![\w.-])[A-Za-z]:\\[^\s'\"<>,;)\]}|]+|(?<![\w.<])(?:/[\w.@%+=~$:-]{1,255})+/?"),
        "<path>",
    ),
    (re.compile(r"(?<![\w.@%+=~$/-])[\w.@%+=~$-]{1,100}(?:/[\w.@%+=~$-]{1,100}){2,}/?"), "<path>"),
    (
        re.compile(
            r"(?<![\w.-])[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
            r"\.(?:com|net|org|io|internal|local|cloud|svc|dev|corp|lan|amazonaws|cn|de|eu)\.?(?::\d{1,5})?(?![\w.$])"
        ),
        "<host>",
    ),
    (re.compile(r"\bip-\d{1,3}(?:-\d{1,3}){3}(?:\.[\w-]{1,63})*(?::\d{1,5})?"), "<host>"),
    (
        re.compile(
            r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
            r"(?![0-9A-Za-z])"
        ),
        "<uuid>",
    ),
    (re.compile(r"@[0-9a-f]{4,16}\b"), "@<hex>"),
    (re.compile(r"\b0[xX][0-9A-Fa-f]+\b"), "<hex>"),
    (
        re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])|(?<![\w:])\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?![\w:])"),
        "<time>",
    ),
    (re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*" + _UNIT + r"(?![\w])"), "<num>"),
)
_ROUNDS = 6
_WORD = re.compile(r"(?<![<\w])\w*\d\w*")
_NUMBERED = re.compile(r"([A-Za-z]+(?:_[A-Za-z]+)*)_?\d+(?:_[A-Za-z]?\d+)*")
_HEX = re.compile(r"[0-9a-f]{6,}|[0-9A-F]{8,}")
_DIGITS = re.compile(r"\d+")
_AGAIN = tuple(
    (re.compile(rf"{re.escape(mark)}(?:(?:, ?|; ?| |:|-|_|\.){re.escape(mark)})+"), mark)
    for mark in PLACEHOLDERS
)


def mask(line: str) -> str:
    """``line`` with times, ids, quoted names, addresses, paths, hosts and numbers replaced by placeholders.

    Masking what is masked already changes nothing. Runs of one placeholder become one.
    """
    text = " ".join(line[:LONGEST_LINE].split())
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" and text.count(text[0]) == 2:
        text = text[1:-1].strip()  # a message that is quoted as a whole
    for _ in range(_ROUNDS):  # what one replacement uncovers is replaced in the next round
        before = text
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        text = _WORD.sub(_word, text)
        for pattern, replacement in _AGAIN:
            text = pattern.sub(replacement, text)
        if text == before:
            break
    return text


def _word(found: re.Match[str]) -> str:
    """A word with digits in it: an id, a numbered thing (``rdd_7_1``), or a name (``s3a``, ``py4j``)."""
    word = found[0]
    if word.isdigit():
        return "<num>"
    numbered = _NUMBERED.fullmatch(word)
    if numbered is not None:
        return f"{numbered[1]}{'_' if word[len(numbered[1])] == '_' else ''}<num>"
    runs = _DIGITS.findall(word)
    if _HEX.fullmatch(word) and sum(map(len, runs)) >= 2:
        return "<hex>"
    if len(runs) == 1 and len(runs[0]) <= 2 and not word[0].isdigit() and not word[-1].isdigit():
        return word
    if len(runs) >= 3 or (len(word) >= 12 and sum(map(len, runs)) >= 4):
        return "<id>"
    return _DIGITS.sub("<num>", word)


# ---------------------------------------------------------------------------------------- the head of a log line

_LEVEL = re.compile(r"(?:TRACE|DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|CRITICAL|SEVERE)\b")
_FRONT = re.compile(
    r"(?:\[?<time>\]?|<num>|[-|,:\s]|UTC\b|\{[^{}]{0,120}\}|\[(?![A-Z0-9_.]+\])[^\[\]]{0,120}\])+"
)
_PROGRESS = re.compile(r"^\[Stage \d{1,9}:[^\]]{0,300}\](?=\S)")
_LOGGER = re.compile(r"(?:[\w$]{1,80}\.){0,12}([\w$]{1,80}):\s")


def split_head(line: str) -> tuple[str, str, str]:
    """A log line as ``(level, logger, message)``, the message masked.

    :return: level and logger (its last name) are empty where the line has none in sight; a line without a level
        is a message as a whole.
    """
    text = mask(_PROGRESS.sub("", line[:LONGEST_LINE].lstrip()))
    front = _FRONT.match(text)
    rest = text[front.end() :] if front is not None else text
    level = _LEVEL.match(rest)
    if level is None:
        return "", "", (rest if front is not None and "<time>" in front[0] and rest else text)
    rest = rest[level.end() :]
    front = _FRONT.match(rest)
    if front is not None:
        rest = rest[front.end() :]
    logger = _LOGGER.match(rest)
    if logger is None or _is_exception(logger[1]):
        return level[0], "", rest
    return level[0], logger[1], rest[logger.end() :]


def _is_exception(name: str) -> bool:
    return name.endswith(("Exception", "Error", "Throwable", "Failure"))


# --------------------------------------------------------------------------------------------------- telling lines

_QUIET = re.compile(r"^\s*(?:at\s+[\w$.<>/]+\(|\.\.\. \d+ (?:more|common)|File \"|\[Stage \d)|^\s*$")
_TROUBLE = re.compile(
    r"Exception|Error\b|ERROR|FATAL|CRITICAL|Caused by|Traceback|[Ff]ail|[Kk]illed|[Ee]xit (?:code|status)|"
    r"[Dd]enied|[Rr]efused|[Uu]nable|[Cc]annot|[Cc]an't|[Nn]ot found|[Tt]imed? ?out|[Ee]xceed|[Ii]nvalid|[Aa]bort|"
    r"[Mm]issing|[Uu]nsupported|[Dd]iagnostics|SQLSTATE|WARN"
)


def telling_lines(texts: Iterable[str]) -> str:
    """Masked lines of ``texts`` that may say what went wrong, each once, at most :data:`MOST_LINES`: the last ones.

    A text in which nothing looks like trouble gives its last lines as they are (masked).
    """
    lines = [line for text in texts for line in text.splitlines() if not _QUIET.match(line[:200])]
    told = [line for line in lines if _TROUBLE.search(line[:LONGEST_LINE])]
    kept: dict[str, None] = {}
    for line in reversed(told or lines):
        level, logger, message = split_head(line)
        kept.setdefault(" ".join(part for part in (level, logger, message) if part))
        if len(kept) >= MOST_LINES:
            break
    return "\n".join(reversed(kept))
