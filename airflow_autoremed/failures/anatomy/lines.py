"""What one line of a log is: a record of a logger, an exception by its class, a frame, or something printed."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 2000
"""Characters of a line that are looked at."""

LOUD = frozenset(("ERROR", "FATAL", "SEVERE", "CRITICAL"))
WARNED = frozenset(("WARN", "WARNING"))

_LEVEL = r"(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|SEVERE|CRITICAL)"
_STAGES = re.compile(r"\[Stage \d{1,9}:[^\]\n]{0,300}\]|(?:spark-sql(?: \([\w.]{1,60}\))?|scala|>>)> ")
"""What a console has in front of a record: the bar of the stages, or the prompt of a shell."""
_BEFORE = re.compile(
    r"(?:[\d\-:/.,+|\s]|T(?=\d)|Z(?!\w)){1,60}|\[[^\]\n]{0,120}\]|\{[^}\n]{0,120}\}|[\w.$-]{1,60}(?: -|\s?\|) "
)
"""Time, thread and the like: what stands before the level. One at a time, because together they could take for ever."""
_AT_LEVEL = re.compile(rf"(?P<level>{_LEVEL})\b(?! OCCURRED)[:\]\s]")
_MOST_BEFORE = 7
_CLASS = r"(?:[a-z_][\w$]{0,80}\.){0,16}[A-Z_][\w$]{0,120}"
_ERROR_NAME = re.compile(
    r"(?:Exception|Error|Throwable|Failure|Fault|Interrupt|Exit|Timeout|Invalid\w+|Exceeded|Denied|NotFound)"
    r"\d{0,2}(?:\$\w+|_\w+)?$|^SystemExit$|\$Invalid"
)
_HEADER = re.compile(
    r"^(?P<lead>\s{0,4}(?:Caused by: ?|Suppressed: ?|Exception in thread \"+[^\"]{0,120}\"+ ?|: |Error: |\"|'|Exception: )?)"
    rf"(?P<name>{_CLASS})(?:\([\w.$]{{1,200}}\))?(?P<rest>: .*|:?\s*)$",
    re.DOTALL,
)
_MORE = re.compile(
    r"^(?:\s+\S|at |Caused by: ?|Suppressed: |\.\.\. \d+ (?:more|common)|Driver stacktrace:|JVM stacktrace:|"
    r"During handling of the above|The above exception was|: |\+- |'|\)|== |SQLSTATE|-+\^+-*|\[Previous line)"
)
"""A line that continues what stands above it."""
_FRAME = re.compile(r"^\s*(?:at [\w$.<>/]+[(.]|File \"|\.\.\. \d+ (?:more|common))")
_BETWEEN = re.compile(
    r"^(?:During handling of the above|The above exception was|Driver stacktrace:|JVM stacktrace:)"
)

_CLASS_NAME = re.compile(r"[a-z](?:Exception|Error)\b")
_OF_LOGGING = ("SLF4J: ", "SLF4J(W): ", "SLF4J(E): ", "SLF4J(I): ", "log4j:")
"""A logging library about itself: nobody can have failed of that."""
_NAMES_AN_ERROR = re.compile(
    r"^(?P<before>[^\n]{1,200}?\s)(?:[a-z_][\w$]{0,80}\.){0,16}[A-Z]\w{1,80}(?:Exception|Error)\b"
)
_SPEAKS_OF_A_FAULT = re.compile(
    r"[Ee]rror|ERROR|[Ff]ail|[Ee]xception|[Cc]ause|[Aa]bort|[Rr]efus|[Kk]ill|[Dd]iagnos|[Rr]eason|[Cc]rash|[Ll]ost|[Uu]nable|[Cc]annot"
)


@dataclass(frozen=True)
class Record:
    """The beginning of a logger's record."""

    level: str
    message: str
    """All that follows the level, with the logger's name."""
    of_python: bool = False
    """In the way of Python's logging, which writes tracebacks below its records."""


@dataclass(frozen=True)
class Header:
    """A line that names an exception: ``java.io.IOException: closed``, with what leads to it."""

    lead: str
    """``Caused by:``, ``Exception in thread "main"``, ``:`` of Py4J, or empty."""
    name: str
    """The class."""
    message: str

    @property
    def is_cause(self) -> bool:
        """It says why the exception above it was thrown."""
        return self.lead.lstrip().startswith(("Caused by", ":"))

    @property
    def is_aside(self) -> bool:
        """It happened while the exception above it was dealt with."""
        return self.lead.lstrip().startswith("Suppressed")


def record(text: str) -> Record | None:
    """``text`` as the first line of a logger's record; ``None``: it is none."""
    if text.startswith(_OF_LOGGING):
        return Record("INFO", text)
    bar = _STAGES.match(text)
    place = bar.end() if bar is not None else 0
    head = _AT_LEVEL.match(text, place)
    for _ in range(_MOST_BEFORE):
        if head is not None:
            break
        before = _BEFORE.match(text, place)
        if before is None:
            return None
        place = before.end()
        head = _AT_LEVEL.match(text, place)
    if head is None:
        return None
    message = text[head.end() :]
    named = text[head.end() - 1] == ":" and not message.startswith(" ")
    return Record(head["level"], message, named or message.startswith("- "))


def header(text: str) -> Header | None:
    """``text`` as the line that names an exception; ``None``: it is none."""
    found = _HEADER.match(text)
    if found is None:
        return None
    lead, name = found["lead"], found["name"]
    if not _ERROR_NAME.search(name) and not ("Caused by" in lead and "." in name):
        return None
    return Header(lead, name, found["rest"].removeprefix(":").strip())


def continues(text: str) -> bool:
    """Whether ``text`` is a frame, a cause, or another part of what stands above it."""
    return _MORE.match(text) is not None


def is_frame(text: str) -> bool:
    """Whether ``text`` is a line of a stack trace, of Java or of Python."""
    return _FRAME.match(text) is not None


def is_between(text: str) -> bool:
    """Whether ``text`` joins two exceptions of one trace."""
    return _BETWEEN.match(text) is not None


def names_an_error(text: str) -> bool:
    """Whether the class of an exception stands somewhere in ``text``."""
    return _CLASS_NAME.search(text) is not None


def is_printed(text: str) -> bool:
    """Whether a line of no logger looks like something that the job shows: a row, or a sentence of its own."""
    if is_table_row(text):
        return True
    named = _NAMES_AN_ERROR.match(text)
    return (
        named is not None
        and " " in named["before"].strip()
        and not _SPEAKS_OF_A_FAULT.search(named["before"])
    )


def is_table_row(text: str) -> bool:
    """Whether ``text`` looks like a row that a job shows."""
    return text.startswith(("|", "+-")) and text.rstrip().endswith(("|", "+"))
