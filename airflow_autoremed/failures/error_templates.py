"""Unclassified failures as a work list: each reduced to an error template, and the templates counted.

A template is the line that says most about a failure, with everything particular masked
(:mod:`airflow_autoremed.log_text`). A template miner would have to keep a state that all workers share; one line and a
fixed masking give every worker the same template with none.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_autoremed.failures.matching.cleaning import clean, spread_json
from airflow_autoremed.log_text import LONGEST_LINE, PLACEHOLDERS, mask, split_head
from airflow_autoremed.redaction import mask_secrets

LONGEST_TEMPLATE = 500
"""Characters of a template that are kept."""


@dataclass(frozen=True)
class Template:
    """What an unclassified failure says, without anything particular to one run."""

    id: str
    """16 hexadecimal digits, of the text alone: the same in every process and version of Python."""
    text: str
    line: str
    """The line it was made of, without secrets."""


@dataclass(frozen=True)
class FailedTry:
    """What is known of one unclassified failure, in plain values."""

    template: Template
    task: str
    gib_seconds: float | None = None
    """Memory of its containers times the time they were held: what the try cost."""
    plain_retry_succeeded: bool | None = None
    """How the next try ended that ran with the same configuration; ``None``: there was none, or it is not known."""


@dataclass(frozen=True)
class TemplateCount:
    """One template over the history."""

    template: Template
    """With the line of its latest failure."""
    count: int
    tasks: tuple[tuple[str, int], ...]
    """Tasks that failed so, with how often, the most frequent first."""
    gib_seconds: float
    """Lost in failed tries, of those whose cost is known."""
    retries: int
    """Failures that a retry with the same configuration followed."""
    retries_succeeded: int


def costliest(tries: Iterable[FailedTry]) -> list[TemplateCount]:
    """Templates with what they cost, the costliest first; equal costs by count, then by id.

    :param tries: latest first.
    """
    groups: dict[str, list[FailedTry]] = {}
    for each in tries:
        groups.setdefault(each.template.id, []).append(each)
    counts = []
    for group in groups.values():
        tasks = Counter(each.task for each in group)
        ends = [each.plain_retry_succeeded for each in group if each.plain_retry_succeeded is not None]
        counts.append(
            TemplateCount(
                template=group[0].template,
                count=len(group),
                tasks=tuple(sorted(tasks.items(), key=lambda item: (-item[1], item[0]))),
                gib_seconds=sum(each.gib_seconds or 0.0 for each in group),
                retries=len(ends),
                retries_succeeded=sum(ends),
            )
        )
    return sorted(counts, key=lambda each: (-each.gib_seconds, -each.count, each.template.id))


def error_template(texts: Iterable[str | Iterable[str]]) -> Template | None:
    """The template of a failure; ``None`` where no line looks like one.

    :param texts: its exception text and its log or excerpt, each whole or as lines. Read once, in bounded memory.
    """
    picker = _Picker()
    for text in texts:
        for line in text.splitlines() if isinstance(text, str) else text:
            for piece in _pieces(line):
                picker.take(piece)
        picker.end_text()
    found = picker.best()
    if found is None:
        return None
    text, line = found
    text = text[:LONGEST_TEMPLATE]
    # A placeholder that is cut in two would be read as text.
    cut = text.rfind("<", -8)
    if len(text) == LONGEST_TEMPLATE and cut > 0 and ">" not in text[cut:]:
        text = text[:cut]
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Template(digest, text, mask_secrets(line.strip()[: 2 * LONGEST_LINE])[:LONGEST_TEMPLATE])


def _pieces(line: str) -> list[str]:
    """A line as lines to look at: clean, and JSON spread out as the rules see it."""
    if "\x1b" in line or "\x00" in line:
        line = clean(line.encode("utf-8", "replace")).decode("utf-8", "replace")
    if '{"' in line or '{ "' in line:
        spread = spread_json(line.encode("utf-8", "replace"))
        if spread is not None:
            return spread[0].decode("utf-8", "replace").split("\n")[1:]
    return [line]


# --------------------------------------------------------------------------------------------- the most telling line

_CLASS = (
    r"(?:[A-Za-z_$][\w$]{0,80}\.){0,12}"
    r"[A-Z][\w$]{0,100}?(?:Exception|Error|Throwable|Failure|Fault|Interrupt|NotFound|Denied|Timeout)(?![\w$.])"
)
_EXCEPTION = re.compile(rf"(?<![\w$.<>]){_CLASS}(?=:|\s*$|\s[\[(]|\()")
_HEAD = re.compile(rf"^(?:: |Error: |error: |Uncaught |Driver stacktrace: )?(?={_CLASS}(?::|\s*$))")
_UNCAUGHT = re.compile(r"^Exception in thread \"|User class threw exception:")
_CAUSE = re.compile(r"^(?:Caused by|Root cause|Nested exception):? ?", re.IGNORECASE)
_FRAME = re.compile(r"^\s*(?:at\s+[\w$.<>/@-]+\(|\.\.\. \d+ (?:more|common)|Suppressed: )")
_TRACEBACK = "Traceback (most recent call last):"
_PYTHON_END = re.compile(r"^[A-Za-z_][\w.]{0,200}(?::|$)")
_RETRIED = re.compile(
    r"^.{0,400}most recent failure: (?:Lost task .{0,300}?\(TID [^()]{0,20}\)?[^)]{0,200}\): )?"
)
"""What Spark says before the failure itself when a task has failed too often."""
_LOUD = ("ERROR", "FATAL", "CRITICAL", "SEVERE")
_PLAIN_TROUBLE = re.compile(
    r"(?i)\b(?:error|fail(?:ed|ure|s)?|fatal|denied|refused|cannot|could not|unable|invalid|killed|aborted|"
    r"timed out|not found|exceed(?:ed|s)|panic|unsupported|no such|not allowed|forbidden|rejected|exit (?:code|status)|diagnostics|dead|lost)\b"
)
_TELLING = re.compile(
    r"Exception|Error|Throwable|Failure|Fault|Interrupt|NotFound|Denied|Timeout|ERROR|FATAL|CRITICAL|SEVERE|Caused by|"
    r"Traceback|" + _PLAIN_TROUBLE.pattern.replace("(?i)", "") + r"|root cause|nested exception",
    re.IGNORECASE,
)
"""In every line that can open a block or belong to one."""
_QUIET = re.compile(r"\b(?:TRACE|DEBUG|INFO|WARN(?:ING)?)\b")
_LONGEST_HEAD = 120
_GENERIC = re.compile(
    r"SparkException: (?:Job aborted\.?$|Job aborted due to stage failure: .*most recent failure: |Task failed while "
    r"writing rows|Writing job aborted|Exception thrown in awaitResult|Application .{0,80} finished with failed status|"
    r"Job <?\w+>? cancelled because SparkContext was shut down|Failed to execute user defined function)|"
    r"Py4J(?:Java|Network)?Error: An error occurred while calling|PythonException: (?:'?<name>|Traceback|An exception "
    r"was thrown)|SparkUserAppException|ExitCodeException|TaskKilledException|AirflowException|AirflowFailException|"
    r"CalledProcessError|"
    r"(?:InvocationTarget|Execution|UndeclaredThrowable|PrivilegedAction|Completion|Runtime|Uncheckedexecution)Exception"
    r"(?::? ?$|: (?=(?:[a-z][\w$]*\.){1,12}[A-Z]))|FileFormatWriter: Aborting job|^(?:User class threw exception|"
    r"Exception in thread)|^(?:FAILED|Failed)\.?$|^Cannot execute:|Error code is: ?<num>|Task .{0,40} failed <num> "
    r"times; aborting job|Exception in task <num>|Failing this attempt|Failing the application|"
    r"[Ee]xit(?:ed|Code| code| status)?\b.{0,20}<num>\W{0,3}$"
)
_DECOY = re.compile(
    r"Interrupted(?:IO)?Exception|RejectedExecutionException|ClosedChannelException|ClosedByInterruptException|"
    r"SparkContext was shut down|Cannot call methods on a stopped SparkContext|"
    r"requests? outstanding when connection|already stopped! Dropping event|"
    r"ShutdownHook|Failed to delete: |Exception while deleting|shutting down|RpcEnv already stopped"
)
_UNCAUGHT_TIER, _ERROR_TIER, _LOUD_TIER, _QUIET_TIER, _GENERIC_TIER = 5, 4, 3, 2, 1


class _Picker:
    """Goes through lines once and keeps the most telling one: of the best kind, the last.

    An exception with its frames and causes is one block; the last cause that says anything speaks for it.
    """

    def __init__(self) -> None:
        self._best: tuple[int, str, str] | None = None
        self._tier = 0
        """Of the block that is open; 0: none is."""
        self._text = self._line = ""
        self._level = ""
        """Of the log line just before; empty where that was no log line."""
        self._traceback = 0
        """Tier of the Python traceback that is open; 0: none is."""

    def take(self, line: str) -> None:
        """Look at one line."""
        if not line.strip():
            return
        if _FRAME.match(line[:300]):
            self._level = ""
            return
        if self._traceback and (line[0] in " \t" or line.startswith("[")):
            return
        if not self._traceback and not self._text.endswith(":") and not _TELLING.search(line[:LONGEST_LINE]):
            # Most lines are such: masking them would take most of the time.
            head = _QUIET.search(line[:_LONGEST_HEAD])
            self._level = head[0] if head is not None else ""
            if head is not None:
                self._close()
            return
        level, logger, message = split_head(line)
        if self._traceback and not level and _PYTHON_END.match(message):
            tier, self._traceback = self._traceback, 0
            self._open(tier, _exception_of(message) or message, line)
        elif (cause := _CAUSE.match(message)) is not None and not level:
            self._cause(message[cause.end() :], line)
        elif level:
            self._log_line(level, logger, message, line)
        else:
            self._bare(message, line)
        if message.endswith(_TRACEBACK):
            quiet = (self._level and self._level not in _LOUD) or (level and level not in _LOUD)
            self._traceback = _QUIET_TIER if quiet else _ERROR_TIER if level else _UNCAUGHT_TIER
        self._level = level

    def end_text(self) -> None:
        """What follows is of another source."""
        self._close()
        self._level, self._traceback = "", 0

    def best(self) -> tuple[str, str] | None:
        """Masked text and line; ``None`` where nothing looked like a failure."""
        self._close()
        return None if self._best is None else self._best[1:]

    def _log_line(self, level: str, logger: str, message: str, line: str) -> None:
        loud = level in _LOUD
        found = _exception_of(message)
        if found is not None:
            uncaught = loud and _UNCAUGHT.search(message) is not None
            self._open(_UNCAUGHT_TIER if uncaught else _ERROR_TIER if loud else _QUIET_TIER, found, line)
        elif loud:
            self._open(_LOUD_TIER, f"{logger}: {message}" if logger else message, line)
        else:
            self._close()

    def _bare(self, message: str, line: str) -> None:
        if self._tier and self._text.endswith(":") and _says_something(message) and not _HEAD.match(message):
            self._text, self._line = (
                message,
                line,
            )  # the message of an exception that begins on a line of its own
            return
        message = _RETRIED.sub("", message)
        if _UNCAUGHT.search(message):
            self._open(_UNCAUGHT_TIER, _exception_of(message) or message, line)
        elif _HEAD.match(message):
            tier = _UNCAUGHT_TIER
            if self._level:  # what a log line prints below itself
                tier = _ERROR_TIER if self._level in _LOUD else _QUIET_TIER
            self._open(tier, _exception_of(message) or message, line)
        elif message.startswith(("Error: ", "error: ", "ERROR: ", "FATAL: ", "fatal: ")):
            self._open(_ERROR_TIER, message, line)
        elif (found := _exception_of(message)) is not None:
            self._open(_QUIET_TIER, found, line)
        elif _PLAIN_TROUBLE.search(message):
            self._open(_QUIET_TIER, message, line)

    def _open(self, tier: int, text: str, line: str) -> None:
        self._close()
        self._tier, self._text, self._line = tier, text, line

    def _cause(self, message: str, line: str) -> None:
        text = _exception_of(message) or message
        if not self._tier:
            self._open(_QUIET_TIER if self._level not in _LOUD else _ERROR_TIER, text, line)
        elif _GENERIC.search(self._text) or (
            not _GENERIC.search(text) and (_has_message(text) or not _has_message(self._text))
        ):
            self._text, self._line = text, line

    def _close(self) -> None:
        if not self._tier:
            return
        tier = _GENERIC_TIER if _GENERIC.search(self._text) or _DECOY.search(self._text) else self._tier
        if (self._best is None or tier >= self._best[0]) and _says_something(self._text):
            self._best = (tier, self._text, self._line)
        self._tier = 0


def _exception_of(message: str) -> str | None:
    """The part of a masked message from its first exception on that is more than a wrapper of another.

    ``None`` where there is none, or only the bare name of a class behind other words.
    """
    last = None
    message = _RETRIED.sub("", message)
    for found in _EXCEPTION.finditer(message):
        last = message[found.start() :]
        if not _GENERIC.match(last[max(0, last.find(found[0].rpartition(".")[2])) :]):
            break
    if last is None or _has_message(last) or last == message:
        return last
    return last if message[: -len(last)].endswith(": ") else None


def _has_message(text: str) -> bool:
    return ":" in text.rstrip(": ") or " " in text.strip()


def _says_something(text: str) -> bool:
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, " ")
    return sum(map(str.isalpha, text)) >= 6


def masked_line(line: str) -> str:
    """A line as a template has it, with its level and logger: for examples that may be shown to others."""
    return mask(mask_secrets(line))[:LONGEST_TEMPLATE]
