"""The checked catalogue, kept as JSON in the user's cache directory, because parsing YAML takes a quarter of a second.

The name holds a hash over the rule files, so a changed rule is never missed; the first line holds a hash over the
rest, so a damaged file is ignored and written anew. It is JSON: nothing in it can execute. A cache that cannot be
read or written costs time, never a verdict.
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

FORMAT = 1
"""Raise it when :class:`~airflow_autoremed.failures.rules.Rule` or the derivation of literals changes."""


def cache_dir() -> Path | None:
    """Where compiled catalogues are kept: ``AUTOREMED_CACHE_DIR``, else the user's cache directory."""
    own = os.environ.get("AUTOREMED_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "airflow-autoremed"
    except RuntimeError:  # no home directory
        return None


def fingerprint(files: Sequence[Path]) -> str:
    """A hash over the files' names and contents, and over the code that reads them.

    :raises OSError: a file cannot be read.
    """
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    code = [Path(__file__).with_name(name) for name in ("patterns.py", "rarity.py", "rules.py", "signs.py")]
    for file in [*code, *files]:
        with contextlib.suppress(FileNotFoundError):  # code that is shipped without sources
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:32]


def read(key: str) -> Any:
    """What was kept under ``key``, or ``None``: not there, damaged, or writable by others."""
    path = _path(key)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & stat.S_IWOTH):
                return None
            checksum, _, body = stream.read().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            return None
        return json.loads(body)
    except (OSError, ValueError):
        return None


def write(key: str, value: Any) -> None:
    """Keep ``value`` under ``key``, all of it or nothing."""
    path = _path(key)
    if path is None:
        return
    import tempfile

    body = json.dumps(value, separators=(",", ":")).encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        _forget_others(path)


def _forget_others(path: Path) -> None:
    """Catalogues of earlier versions; a few stay, for installations that share the directory."""
    kept = sorted(path.parent.glob("catalogue-*.json"), key=lambda file: file.stat().st_mtime)
    for old in kept[:-4]:
        old.unlink(missing_ok=True)


def _path(key: str) -> Path | None:
    folder = cache_dir()
    return None if folder is None else folder / f"catalogue-{key}.json"
