"""From one line that names an error to its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from airflow_autoremed.failures.kinds.class_tables import DATA_READERS, SIDES, SUBSYSTEMS
from airflow_autoremed.failures.kinds.classes import ancestor_of, judge_class, listed
from airflow_autoremed.failures.kinds.codes import clouds, databases, errnos, http, platforms
from airflow_autoremed.failures.kinds.meaning import CODE, PACKAGE, Kind, Meaning
from airflow_autoremed.types import Restartable

LONGEST = 4000
"""Characters of a line that are read; the beginning says what it is."""
_MOST_FRAMES = 60
_LONGEST_FRAME = 400
_MOST_HEADS = 8

_QUIET = re.compile(r"^.{0,90}?\b(?:TRACE|DEBUG|INFO|WARN(?:ING)?|Normal)\b")
_LOUD = re.compile(r"^.{0,90}?\b(?:ERROR|FATAL|CRITICAL|SEVERE)\b")
_WORD = r"[A-Za-z_][\w$]{0,79}"
_HEAD = re.compile(
    rf"(?<![\w.$/<-])((?:{_WORD}\.){{0,14}}[A-Z_][\w$]{{2,99}})(?=: |:$|\s*$|:\s| ?\(|\)|; |, status)"
)
"""A class name where one stands at the beginning of a message."""
_ENDS = re.compile(
    r"(?:Exception|Error|Throwable|Failure|Fault|Interrupt|NotFound|Denied|Timeout|timeout|Errors|Conflict|Unavailable|OOM"
    r"|Exceeded|Expired|Invalid|Forbidden|Unauthorized|RestException|Exit|Rejected|TooManyRequests|NoBrokersAvailable"
    r"|NoHostAvailable|AutoReconnect|gaierror|herror|error|DatabaseError|AlreadyExists|Exists|Aborted|Cancelled|Exhausted)$"
)
_PYTHON_LOWER = re.compile(
    r"^\s{0,4}((?:socket|zlib|binascii|select|struct|_csv|csv)\.(?:error|gaierror|herror|timeout|Error))\b"
)
_SIGN = re.compile(
    r"\d|[Rr]eason|SIG|[A-Z]{3}|refused|reset|denied|pipe|full|space|route|resol|open files|memory"
)

_OOM: tuple[tuple[str, str, str], ...] = (
    # (in the message, pool, category where it is not the heap of a process)
    ("Metaspace", "metaspace", "metaspace_oom"),
    ("Compressed class space", "metaspace", "metaspace_oom"),
    ("PermGen", "metaspace", "metaspace_oom"),
    ("Direct buffer memory", "direct", "direct_memory_oom"),
    ("Cannot reserve", "direct", "direct_memory_oom"),
    ("direct memory", "direct", "direct_memory_oom"),
    ("unable to create", "overhead", "overhead"),
    ("map failed", "overhead", "overhead"),
    ("Out of swap space", "overhead", "overhead"),
    ("CUDA", "device", "overhead"),
    ("Unable to acquire", "heap", ""),
)
_POOLS = {
    "executor_oom_overhead": "overhead",
    "driver_oom_overhead": "overhead",
    "executor_oom_heap": "heap",
    "driver_oom_heap": "heap",
    "executor_oom_python": "python",
    "direct_memory_oom": "direct",
    "metaspace_oom": "metaspace",
    "stack_overflow": "stack",
}
_NETWORK = frozenset(("network_timeout", "jdbc_source_error", "object_store_other", "metastore_or_catalog"))
_OUTAGE = re.compile(
    r"(?i)refused|timed? ?out|unreachable|reset by peer|temporar|try again|unavailable|no route|broken pipe|EOF|"
    r"name resolution|connection (?:closed|lost|aborted|attempt)|Communications link failure|failed to (?:connect|respond)|"
    r"too many connections|max retries|unable to (?:connect|reach)|could not connect|service not known|read error"
)
_EXPIRED = re.compile(
    r"(?i)\b(?:token|session|credentials?|certificate|secret|signature|ticket|password|key)\b.{0,40}\bexpir(?:ed|y)\b|\bexpired\b.{0,20}\btoken"
)
_RATE = re.compile(r"(?i)per (?:second|minute|hour|user|100 seconds)|rate|retry|try again|requests")
_VAGUE_CODES = frozenset(("http-400", "http-500"))
"""A service that answers so says what it means in the name of its error."""
_END_OF_FILE = re.compile(
    r"(?i)past the end|\bseek|end of (?:the )?(?:file|input)\b|reached the end of stream|premature EOF"
)
_SHUFFLE_FILE = re.compile(r"/blockmgr-|temp_shuffle_|/shuffle_\d")
_CERTIFICATE = re.compile(r"PKIX|certificate|CERTIFICATE_VERIFY_FAILED|hostname.{0,40}match")


def judge(text: str, frames: Iterable[str] = ()) -> Kind | None:
    """What is known of the error that a line names; ``None``: nothing.

    :param text: a line of an exception, a platform's message, the message of a log line. Of several lines the first
        counts. A log line of the level WARN and below is no error.
    :param frames: what stands around it, the nearest first: stack frames, loggers, threads, the log line above.
    """
    line = text.lstrip().split("\n", 1)[0][:LONGEST].rstrip()
    around = [frame[:_LONGEST_FRAME] for frame in islice(frames, _MOST_FRAMES)]
    if not line or (_QUIET.search(line) and not _LOUD.search(line) and not _thrown(line)):
        return None
    heads = _heads(line)
    kind = None
    for start, name in reversed(heads):
        kind = _judge_one(name, line[start:], around)
        if kind is not None:
            break
    if kind is None:
        kind = _judge_message(line, bool(heads))
    return _placed(kind, line, around) if kind is not None else None


def _thrown(line: str) -> bool:
    """A warning of a task that failed names what ended the task."""
    return "Lost task" in line or "Exception in task" in line


def _heads(line: str) -> list[tuple[int, str]]:
    """The classes that a line names one in the other, the outermost first: where each stands, and its name."""
    found: list[tuple[int, str]] = []
    for each in _HEAD.finditer(line):
        name = each[1]
        simple = name.rpartition(".")[2].rpartition("$")[2]
        if not _ENDS.search(simple) and name not in listed() and ancestor_of(name) is None:
            continue
        dotted = "." in name
        before = line[: each.start()]
        if before.endswith(("eason: ", "eason:")):
            continue
        begins = (
            not before.strip()
            or before.endswith((": ", "] ", "> ", "(", "Caused by: ", "thread ", "cause: "))
            or before.rstrip().endswith((":", '"', "|"))
        )
        if begins or (dotted and name.count(".") >= 2):
            found.append((each.start(), name))
            if len(found) >= _MOST_HEADS:
                break
    lower = _PYTHON_LOWER.match(line)
    if lower is not None:
        found.insert(0, (lower.start(1), lower[1]))
    return found


def _judge_one(name: str, message: str, around: list[str]) -> Kind | None:
    """One class with its message."""
    rest = message[len(name) :]
    by_class = judge_class(name)
    network = "rror" in name or "xception" in name
    code = _code(
        rest, message, network, by_class is None or by_class[1].category in _NETWORK or "OSError" in name
    )
    if code is None:
        code = _named_code(message)
    if code is not None and by_class is not None and code[0] in _VAGUE_CODES:
        code = None
    if code is not None and (by_class is None or by_class[1].category in _NETWORK or by_class[2] < CODE):
        meaning = _by_subsystem(code[1], rest, around)
        own = by_class[1].category if by_class is not None else ""
        if code[1].category == "network_timeout" and own in _NETWORK and meaning is code[1]:
            meaning = Meaning(own, code[1].why, Restartable.AS_IS)
        return _kind(code[0], meaning, CODE, rest)
    if by_class is not None:
        _, meaning, rank = by_class
        if _is_memory(name, meaning):
            return _memory(name, meaning, rank, rest, around)
        if meaning.category == "missing_data" and _SHUFFLE_FILE.search(rest):
            meaning = Meaning("shuffle_fetch_failure", "a shuffle file was gone")
        meaning = _by_subsystem(meaning, rest, around)
        return _kind(_slug(name), meaning, rank, rest)
    if code is not None:
        return _kind(code[0], code[1], CODE, rest)
    return _vague(name, rest, around)


def _judge_message(line: str, exception: bool) -> Kind | None:
    """A message with no class that says anything."""
    code = _code(line, line, exception, exception)
    return _kind(code[0], code[1], CODE, line) if code is not None else None


def _code(text: str, whole: str, network: bool, words: bool) -> tuple[str, Meaning] | None:
    """The code of a system that a message states."""
    if not _SIGN.search(text):
        return None
    for read in (databases.read, clouds.read):
        found = read(whole)
        if found is not None:
            return found
    found = http.read(whole) or (http.read(text, leading=True) if network else None)
    if found is not None:
        return found
    if words or "[Errno" in text or "[WinError" in text or "error=" in text:
        found = errnos.read(text)
        if found is not None:
            return found
    return platforms.read(text)


def _named_code(message: str) -> tuple[str, Meaning] | None:
    """A code whose name says what it means, as a class's does."""
    for name in clouds.names(message):
        found = judge_class(name if name.endswith(("Exception", "Error")) else name + "Exception")
        if found is not None:
            return f"cloud-{_slug(name)[6:]}", found[1]
    return None


def _vague(name: str, rest: str, around: list[str]) -> Kind | None:
    """A class that says nothing by itself, in a subsystem that does."""
    for frame in around:
        for prefix in DATA_READERS:
            if prefix in frame and "java.io." not in name and not _OUTAGE.search(rest):
                meaning = Meaning("bad_data", "a reader of files failed on what it read")
                return _kind(_slug(name), meaning, PACKAGE, rest)
        found = _subsystem(frame)
        if found is not None:
            subsystem, category, _ = found
            meaning = Meaning(category, f"the {subsystem} failed", _never_stop(category))
            return _kind(_slug(name), meaning, PACKAGE, rest)
    return None


def _never_stop(category: str) -> Restartable | None:
    return Restartable.AS_IS if category == "jdbc_source_error" else None


def _by_subsystem(meaning: Meaning, rest: str, around: list[str]) -> Meaning:
    """A network trouble is that of the subsystem it befell."""
    if meaning.category != "network_timeout":
        return meaning
    for frame in around:
        found = _subsystem(frame)
        if found is not None:
            subsystem, _, category = found
            if category == "broadcast_oom_or_timeout":
                return Meaning(category, "a broadcast took longer than it may")
            return Meaning(category, f"{meaning.why} ({subsystem})", Restartable.AS_IS)
    return meaning


def _subsystem(frame: str) -> tuple[str, str, str] | None:
    for name, vague, network, prefixes in _subsystems():
        if any(prefix in frame for prefix in prefixes):
            return name, vague, network
    return None


@lru_cache(maxsize=1)
def _subsystems() -> list[tuple[str, str, str, list[str]]]:
    return [(name, vague, network, prefixes.split()) for name, vague, network, prefixes in SUBSYSTEMS]


@lru_cache(maxsize=1)
def _sides() -> list[tuple[str, re.Pattern[str]]]:
    return [(side, re.compile(pattern)) for side, pattern in SIDES]


def _is_memory(name: str, meaning: Meaning) -> bool:
    return meaning.category in _POOLS and not name.endswith("StackOverflowError")


def _memory(name: str, meaning: Meaning, rank: int, rest: str, around: list[str]) -> Kind:
    """Which memory ran out, of which process."""
    pool, category = _POOLS[meaning.category], meaning.category
    for words, its_pool, its_category in _OOM:
        if words in rest:
            pool = its_pool
            category = (
                f"executor_oom_{its_category}" if its_category == "overhead" else its_category or category
            )
            break
    if re.search(r"Gpu|GPU|Cuda|CUDA", name):
        pool = "device"
    side = _side(around)
    if side == "driver" and category.startswith("executor_oom_"):
        category = "driver_oom_heap" if category == "executor_oom_heap" else "driver_oom_overhead"
        if any((found := _subsystem(frame)) is not None and found[0] == "broadcast" for frame in around):
            category = "broadcast_oom_or_timeout"
    return Kind(f"{_slug(name)}", category, Meaning(category, "").retry, meaning.why, rank, side, pool)


def _side(around: list[str]) -> str | None:
    for frame in around:
        for side, pattern in _sides():
            if pattern.search(frame):
                return side
    return None


def _kind(identifier: str, meaning: Meaning, rank: int, message: str) -> Kind:
    """With what the message adds: an expired credential, a rate that is no quota, an outage that is no refusal."""
    category, retry, why = meaning.category, meaning.retry, meaning.why
    if category == "network_timeout" and identifier == "kind-eofexception" and _END_OF_FILE.search(message):
        category, retry, why = "bad_data", Restartable.AS_IS, "a file ended before its reader expected it"
    if category in ("auth_permission", "network_timeout") and _EXPIRED.search(message):
        category, retry, why = (
            "credentials_expired",
            Restartable.NO,
            "a token, session or certificate has expired",
        )
    elif category == "network_timeout" and _CERTIFICATE.search(message) and "expired" not in message:
        category, retry, why = "auth_permission", Restartable.NO, "a certificate is not trusted"
    elif (category == "license_or_quota" and _RATE.search(message)) or (
        retry is Restartable.NO
        and category not in ("missing_data", "dependency_missing")
        and _OUTAGE.search(message)
    ):
        retry = Restartable.AS_IS
    if not identifier.startswith("kind-"):
        identifier = f"kind-{identifier}"
    return Kind(identifier, category, retry, why, rank)


def _placed(kind: Kind, line: str, around: list[str]) -> Kind:
    """With its side and pool."""
    side = (
        kind.side or platforms.side(line)
        if kind.id.startswith(("kind-exit", "kind-signal", "kind-kube", "kind-yarn"))
        else kind.side
    )
    side = side or _side([line, *around])
    category = kind.category
    if side == "driver" and category in ("executor_oom_overhead", "executor_oom_heap"):
        category = category.replace("executor", "driver")
    pool = kind.pool or _POOLS.get(category)
    return replace(kind, category=category, side=side, pool=pool)


def _slug(name: str) -> str:
    return "kind-" + re.sub(
        r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.rpartition(".")[2]).lower()
    ).strip("-")
