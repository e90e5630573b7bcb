"""The checked catalogue, kept as JSON, because reading it from YAML takes most of a second.

It is looked for in two places: beside the rules, where ``scripts/compile_catalogue.py`` puts it when a wheel is
built, and in the user's cache directory, where the first process that needs it puts it otherwise.

The key is a hash over the rule files and the code that reads them, so that a changed rule is never missed; the first
line is a hash over key and content, so that a damaged, foreign or outdated file is ignored and written anew. It is
JSON: nothing in it can execute. Nobody but the user (or root) can put a file into the cache that is believed: file and
directory must belong to them and be writable by nobody else. A cache that cannot be read or written costs time,
never a verdict.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_autoremed import atomic_file

FORMAT = 3
"""Raise it when :class:`~airflow_autoremed.failures.rules.rule.Rule` or the derivation of literals changes."""
SHIPPED = Path(__file__).parents[1] / "catalogue" / "compiled.json"
_KEPT = 4
"""Catalogues that stay in the directory: installations may share it."""
_LARGEST = 64 * 1024 * 1024
_CODE = ("regex_cost.py", "pattern_literals.py", "literal_rarity.py", "rule.py", "outcome_signs.py")


def cache_dir() -> Path | None:
    """Where compiled catalogues are kept: ``AUTOREMED_CACHE_DIR``, else the user's cache directory."""
    own = os.environ.get("AUTOREMED_CACHE_DIR")
    try:
        if own:
            return Path(own).expanduser()
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "airflow-autoremed"
    except RuntimeError:  # no home directory
        return None


def fingerprint(files: Sequence[Path]) -> str:
    """A hash over the files' names and contents, and over the code that reads them.

    :raises OSError: a file cannot be read, a file of the code included: without it a stale catalogue would pass.
    """
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    for file in [*(Path(__file__).with_name(name) for name in _CODE), *files]:
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def read(key: str) -> Any:
    """What was shipped or kept under ``key``; ``None``: not there, outdated, damaged, or not to be trusted."""
    with contextlib.suppress(OSError, ValueError):
        value = _open(key, SHIPPED.read_bytes())  # as good as the code beside it
        if value is not None:
            return value
    path = _path(key)
    if path is None:
        return None
    try:
        if not _is_ours(path.parent.stat()):
            return None
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as stream:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or not _is_ours(state) or state.st_size > _LARGEST:
                return None
            return _open(key, stream.read())
    except (OSError, ValueError):
        return None


def write(key: str, value: Any) -> None:
    """Keep ``value`` under ``key``, all of it or nothing."""
    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_ours(path.parent.stat()):
            return
        atomic_file.write(path, seal(key, value), mode=0o600)
        _forget_others(path)


def seal(key: str, value: Any) -> bytes:
    """``value`` as it is kept in a file."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return _checksum(key, body) + b"\n" + body


def _open(key: str, content: bytes) -> Any:
    checksum, _, body = content.partition(b"\n")
    return json.loads(body) if _checksum(key, body) == checksum else None


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + body).hexdigest().encode()


def _is_ours(state: os.stat_result) -> bool:
    """Whether nobody but this user and root can have put it there."""
    if not hasattr(os, "getuid"):
        return True
    return state.st_uid in (os.getuid(), 0) and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _forget_others(path: Path) -> None:
    """Catalogues of earlier versions, and what a process that was killed left behind."""
    kept = sorted(path.parent.glob("catalogue-*.json"), key=lambda file: file.stat().st_mtime)
    for old in kept[:-_KEPT]:
        old.unlink(missing_ok=True)
    newest = path.stat().st_mtime
    for left in path.parent.glob(f"{atomic_file.UNFINISHED}*"):
        if left.stat().st_mtime < newest - 3600:
            left.unlink(missing_ok=True)


def _path(key: str) -> Path | None:
    folder = cache_dir()
    return None if folder is None else folder / f"catalogue-{key}.json"
