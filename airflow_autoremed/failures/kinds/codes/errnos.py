"""The error numbers of operating systems (errno, Winsock), by name, by number and by the system's own words."""

from __future__ import annotations

import errno
import re
from functools import lru_cache

from airflow_autoremed.failures.kinds.meaning import Meaning, Rows, by_code

ROWS: Rows = (
    (
        "network_timeout",
        "a connection could not be made, or broke off",
        "ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN ENETRESET "
        "ENOTCONN ESHUTDOWN EADDRNOTAVAIL ENONET ENOLINK ECOMM EPROTO ETIME EALREADY EINPROGRESS EISCONN ENOBUFS "
        "EMULTIHOP ENOTUNIQ ESTRPIPE EADV EREMCHG ERESTART ENOSR ENOSTR ENODATA EBADMSG EREMOTE ESRMNT",
    ),
    ("disk_full", "a disk is full, or a quota of disk space is used up", "ENOSPC EDQUOT"),
    ("executor_oom_overhead", "the system had no memory left to give", "ENOMEM"),
    (
        "auth_permission",
        "the system does not permit it",
        "EACCES EPERM EROFS ENOKEY EKEYREVOKED EKEYREJECTED",
    ),
    ("credentials_expired", "a key has expired", "EKEYEXPIRED"),
    ("missing_data", "a file or folder is not there", "ENOENT ENOTDIR"),
    (
        "concurrency_conflict",
        "something is there already, or in use",
        "EEXIST EBUSY ETXTBSY EDEADLK EDEADLOCK ENOLCK",
    ),
    (
        "resource_unavailable",
        "the machine was short of something, or a device failed",
        "EAGAIN EWOULDBLOCK EMFILE ENFILE EIO EREMOTEIO ESTALE ENODEV ENXIO EADDRINUSE EUSERS ENOMEDIUM EMEDIUMTYPE "
        "EOWNERDEAD ENOTRECOVERABLE EHWPOISON ERFKILL EUNATCH ENOTBLK EMLINK",
    ),
    ("interpreter_mismatch", "a program was built for another machine", "ENOEXEC"),
    (
        "dependency_missing",
        "a shared library is missing or broken, or a call is not supported",
        "ELIBACC ELIBBAD ELIBEXEC ELIBMAX ELIBSCN ENOSYS ENOPKG EOPNOTSUPP ENOTSUP EPROTONOSUPPORT EPFNOSUPPORT "
        "EAFNOSUPPORT ESOCKTNOSUPPORT ENOPROTOOPT EPROTOTYPE",
    ),
    ("bad_data", "bytes are not valid text, or a structure is damaged", "EILSEQ EUCLEAN EBFONT"),
    ("submit_config_error", "a command line is too long", "E2BIG"),
    (
        "user_code_error",
        "a call was made with a wrong argument",
        "EINVAL EISDIR ENOTEMPTY EDOM ERANGE ENAMETOOLONG ELOOP EBADF ESPIPE EXDEV EFBIG ENOTTY EFAULT ENOTSOCK "
        "EDESTADDRREQ EMSGSIZE EOVERFLOW ENOTNAM EISNAM ENAVAIL",
    ),
    (
        "nothing",
        "",
        "EINTR ECANCELED ECHILD ESRCH EBADE EBADFD EBADR EBADRQC EBADSLT EL2HLT EL2NSYNC EL3HLT EL3RST ELNRNG ENOANO "
        "ENOCSI EIDRM ENOMSG EXFULL EDOTDOT ETOOMANYREFS ECHRNG",
    ),
)

_OTHER_SYSTEMS = {
    # macOS and BSD, where the number means something else than on Linux
    "ECONNREFUSED": ("61", "10061"),
    "ECONNRESET": ("54", "10054"),
    "ETIMEDOUT": ("60", "10060"),
    "EHOSTUNREACH": ("65", "10065"),
    "ENETUNREACH": ("51", "10051"),
    "ECONNABORTED": ("53", "10053"),
    "EADDRINUSE": ("48", "10048"),
    "EADDRNOTAVAIL": ("49", "10049"),
    "ENOTCONN": ("57", "10057"),
    "EACCES": ("10013",),
    "ENOBUFS": ("10055",),
}
_WINDOWS_FILES = {"2": "ENOENT", "3": "ENOENT", "5": "EACCES", "32": "EBUSY", "112": "ENOSPC", "39": "ENOSPC"}
_WINDOWS_FILES |= {
    "8": "ENOMEM",
    "14": "ENOMEM",
    "121": "ETIMEDOUT",
    "183": "EEXIST",
    "193": "ENOEXEC",
    "206": "ENAMETOOLONG",
}

WORDS = {
    "Connection refused": "ECONNREFUSED",
    "Connection reset by peer": "ECONNRESET",
    "Connection reset": "ECONNRESET",
    "Broken pipe": "EPIPE",
    "Connection timed out": "ETIMEDOUT",
    "Operation timed out": "ETIMEDOUT",
    "No route to host": "EHOSTUNREACH",
    "Host is down": "EHOSTDOWN",
    "Network is unreachable": "ENETUNREACH",
    "Network is down": "ENETDOWN",
    "Software caused connection abort": "ECONNABORTED",
    "Transport endpoint is not connected": "ENOTCONN",
    "Cannot assign requested address": "EADDRNOTAVAIL",
    "Address already in use": "EADDRINUSE",
    "No space left on device": "ENOSPC",
    "Disk quota exceeded": "EDQUOT",
    "Cannot allocate memory": "ENOMEM",
    "Not enough space": "ENOMEM",
    "Permission denied": "EACCES",
    "Operation not permitted": "EPERM",
    "Read-only file system": "EROFS",
    "No such file or directory": "ENOENT",
    "Not a directory": "ENOTDIR",
    "File exists": "EEXIST",
    "Device or resource busy": "EBUSY",
    "Text file busy": "ETXTBSY",
    "Resource temporarily unavailable": "EAGAIN",
    "Too many open files": "EMFILE",
    "Input/output error": "EIO",
    "Stale file handle": "ESTALE",
    "Stale NFS file handle": "ESTALE",
    "Exec format error": "ENOEXEC",
    "Argument list too long": "E2BIG",
    "File name too long": "ENAMETOOLONG",
    "Is a directory": "EISDIR",
    "Directory not empty": "ENOTEMPTY",
    "Invalid or incomplete multibyte or wide character": "EILSEQ",
    "nodename nor servname provided": "EHOSTUNREACH",
    "Name or service not known": "EHOSTUNREACH",
    "Temporary failure in name resolution": "EHOSTUNREACH",
    "No address associated with hostname": "EHOSTUNREACH",
    "getaddrinfo failed": "EHOSTUNREACH",
}
"""What the system says in words, in Java's exceptions too, to the name."""

_NUMBER = re.compile(r"\[Errno (-?\d{1,3})\]|\berrno[=: ]{1,2}(\d{1,3})\b|\berror=(\d{1,3}),")
_WINDOWS = re.compile(r"\[WinError (\d{1,5})\]")
_NAME = re.compile(r"\b(E(?:[A-Z]{3,15}|2BIG|L[23][A-Z]{3,5}))\b")
_IN_WORDS = re.compile("|".join(re.escape(words) for words in sorted(WORDS, key=len, reverse=True)))


@lru_cache(maxsize=1)
def table() -> dict[str, Meaning | None]:
    """Name of an error number to what it means."""
    return by_code(ROWS)


def read(text: str) -> tuple[str, Meaning] | None:
    """The error number that a message states, with what it means."""
    name = _name_in(text)
    if name == "ENOENT" and "Cannot run program" in text:
        return "errno-enoent-program", Meaning("dependency_missing", "a program is not on the machine")
    meaning = table().get(name) if name else None
    return (f"errno-{name.lower()}", meaning) if name and meaning is not None else None


def _name_in(text: str) -> str | None:
    windows = _WINDOWS.search(text)
    if windows is not None:
        others = (name for name, numbers in _OTHER_SYSTEMS.items() if windows[1] in numbers)
        return _WINDOWS_FILES.get(windows[1]) or next(others, None)
    in_words = _IN_WORDS.search(text)
    if in_words is not None:  # surer than the number, which differs between systems
        return WORDS[in_words[0]]
    number = _NUMBER.search(text)
    if number is not None:
        value = int(number[1] or number[2] or number[3])
        if value < 0:  # of getaddrinfo: a name that was not resolved
            return "EHOSTUNREACH" if value >= -11 else None
        return errno.errorcode.get(value)
    name = _NAME.search(text)
    return name[1] if name is not None and name[1] in table() else None
