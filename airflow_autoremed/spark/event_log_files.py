"""Event logs as files: finding them, and reading their lines whatever they are packed with and wherever they are.

An application's log is a file, or a directory ``eventlog_v2_*`` of numbered parts (the default since Spark 4.0). What
it is packed with is told by its first bytes, not by its name. Libraries that are not ours to bring are imported when
a file needs them.

Others write these files, so nothing about them is believed: only regular files are opened, links found in a directory
are not followed, and depth and unpacked size are bounded.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from airflow_autoremed.errors import EventLogError

_BLOCK = 256 * 1024
MAX_LINE = 64 * 1024**2
"""Bytes of a line (one event) beyond which it is left out. Plans of queries can be large; what we use is not."""
MAX_UNPACKED = 64 * 1024**3
"""Bytes of a log, unpacked, beyond which the rest is left out."""
_MAX_EXPANSION = 500
"""Unpacked bytes for each packed one, from :data:`_EXPANDS_FREELY` on. Event logs reach about 30."""
_EXPANDS_FREELY = 1024**3
MAX_DEPTH = 16
"""Directories below the one that was named in which logs are looked for."""
_MAX_CHUNK = 64 * 1024**2
"""Bytes of a packed chunk. Spark's codecs write 32 KiB unless told otherwise."""

_ROLLING = "eventlog_v2_"
_PART = re.compile(r"events_(?P<index>[0-9]+)_(?P<rest>.+)")
_IN_PROGRESS = ".inprogress"
_COMPACTED = ".compact"
_NOT_LOGS = re.compile(r"[._].*|.*\.(crc|md|txt|py|json|tmp|zip)|appstatus_.*|_SUCCESS", re.DOTALL)


@dataclass(frozen=True)
class EventLog:
    """One application's log: one file, or the parts of a rolling log in their order."""

    name: str
    """What it is called in messages; unique in its place: a path or URL."""
    parts: tuple[str, ...]
    """Paths or fsspec URLs."""
    size: int = 0
    """Bytes of all parts, packed."""
    stamp: str = ""
    """Changes when the log does: sizes and times of change."""
    open_part: Callable[[str], IO[bytes]] | None = None
    """For parts that are no paths nor URLs, such as members of an archive."""


def find_event_logs(places: Sequence[str]) -> Iterator[EventLog | EventLogError]:
    """The logs that *places* stand for: a file, a rolling log's directory, or a directory (or bucket) of logs.

    :param places: local paths or fsspec URLs (``s3://bucket/spark-logs``).
    """
    for place in places:
        try:
            yield from _in(place)
        except EventLogError as error:  # noqa: PERF203 - one bad place must not hide the others
            yield error
        except Exception as error:  # noqa: BLE001 - whatever the client of an object store raises
            yield EventLogError(f"{place} cannot be read: {_told(error)}")


def is_remote(place: str) -> bool:
    """Whether fsspec has to open it."""
    return "://" in place


# ------------------------------------------------------------------------------------------------------------ finding


@dataclass(frozen=True)
class _Entry:
    path: str
    name: str
    size: int
    changed: str
    folder: bool
    trouble: str = ""
    """Why it is not opened; empty: it may be."""


def _in(place: str) -> Iterator[EventLog | EventLogError]:
    listing = _Remote(place) if is_remote(place) else _Local(place)
    top = listing.entry
    if top.trouble:
        raise EventLogError(f"{place} {top.trouble}")
    if not top.folder:
        yield _log(top.path, [top])
        return
    found = False
    for log in _inside(listing, top, MAX_DEPTH):
        found = True
        yield log
    if not found:
        yield EventLogError(f"{place} holds no event logs; name the directory of spark.eventLog.dir")


def _inside(listing: _Local | _Remote, folder: _Entry, deeper: int) -> Iterator[EventLog | EventLogError]:
    """Depth first, one directory's names at a time. What cannot be read is named, and the others follow.

    :param deeper: how many levels below *folder* are looked at.
    """
    try:
        entries = sorted(listing.children(folder), key=lambda entry: entry.name)
    except Exception as error:  # noqa: BLE001 - whatever the file system or client raises
        yield EventLogError(f"{folder.path} cannot be read: {_told(error)}")
        return
    if folder.name.startswith(_ROLLING):
        parts = _in_order([entry for entry in entries if not entry.folder])
        odd = next((part for part in parts if part.trouble), None)
        if odd is not None:
            yield EventLogError(f"{odd.path} {odd.trouble}")
        elif parts:
            yield _log(folder.path, parts)
        else:
            yield EventLogError(f"{folder.path} has no parts named events_*")
        return
    for entry in entries:
        if entry.name.startswith(".") or (not entry.folder and _NOT_LOGS.fullmatch(entry.name)):
            continue
        if entry.trouble:
            yield EventLogError(f"{entry.path} {entry.trouble}")
        elif not entry.folder:
            yield _log(entry.path, [entry])
        elif deeper > 0:
            yield from _inside(listing, entry, deeper - 1)
        else:
            yield EventLogError(f"{entry.path} lies too deep to be searched; name it to have it read")


def _in_order(entries: Sequence[_Entry]) -> list[_Entry]:
    by_name = {entry.name: entry for entry in entries}
    return [by_name[name] for name in in_order(list(by_name))]


def in_order(names: Sequence[str]) -> list[str]:
    """The parts of a rolling log that count, first to last: from the last compacted one on, which holds what is
    left of those before it. Other names are left out."""
    numbered = []
    for name in names:
        match = _PART.fullmatch(name)
        if match is not None:
            numbered.append((int(match["index"]), name.endswith(_COMPACTED), name))
    numbered.sort()
    start = max((index for index, compacted, _ in numbered if compacted), default=-1)
    return [name for index, compacted, name in numbered if index > start or (index == start and compacted)]


def _log(name: str, parts: Sequence[_Entry]) -> EventLog:
    return EventLog(
        name,
        tuple(part.path for part in parts),
        sum(part.size for part in parts),
        ";".join(f"{part.size}@{part.changed}" for part in parts[-3:]) + f";{len(parts)}",
    )


class _Local:
    """A path of this machine. The place itself may be a link, because its user named it; nothing inside may."""

    def __init__(self, place: str) -> None:
        path = Path(place).expanduser()
        if not path.exists():
            raise EventLogError(f"{place} does not exist")
        self.entry = self._entry(path, path.stat())

    def children(self, folder: _Entry) -> list[_Entry]:
        found = []
        with os.scandir(folder.path) as entries:
            for entry in entries:
                try:
                    found.append(self._entry(Path(entry.path), entry.stat(follow_symlinks=False)))
                except OSError as error:  # noqa: PERF203 - one bad file must not hide the others
                    found.append(
                        _Entry(entry.path, entry.name, 0, "", False, f"cannot be read: {_told(error)}")
                    )
        return found

    @staticmethod
    def _entry(path: Path, state: os.stat_result) -> _Entry:
        mode = state.st_mode
        trouble = ""
        if stat.S_ISLNK(mode):
            trouble = "is a link, which is not followed; name its target to have it read"
        elif not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            trouble = _NO_FILE
        return _Entry(
            str(path), path.name, state.st_size, str(state.st_mtime_ns), stat.S_ISDIR(mode), trouble
        )


_NO_FILE = "is not a regular file"


class _Remote:
    """A URL, through fsspec."""

    def __init__(self, place: str) -> None:
        self._files, path = _fsspec(place).core.url_to_fs(place)
        try:
            self.entry = self._entry(self._files.info(path))
        except FileNotFoundError:
            raise EventLogError(f"{place} does not exist") from None

    def children(self, folder: _Entry) -> list[_Entry]:
        entries = [
            self._entry(info)
            for info in self._files.ls(self._files._strip_protocol(folder.path), detail=True)
        ]
        return [entry for entry in entries if entry.path.rstrip("/") != folder.path.rstrip("/")]

    def _entry(self, info: dict[str, Any]) -> _Entry:
        path = str(info["name"])
        changed = next(
            (
                str(info[key])
                for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
                if info.get(key)
            ),
            "",
        )
        return _Entry(
            self._files.unstrip_protocol(path),
            path.rstrip("/").rsplit("/", 1)[-1],
            int(info.get("size") or 0),
            changed,
            info.get("type") == "directory",
        )


def _fsspec(place: str) -> Any:
    try:
        return import_module("fsspec")
    except ImportError:
        raise EventLogError(f"{place}: URLs need fsspec: {_EXTRA}") from None


# ------------------------------------------------------------------------------------------------------------ reading


class Lines:
    """The lines of a log, in bounded memory.

    A damaged part ends there: what came before counts, :attr:`problem` says what is wrong, and the next part
    follows.

    :param on_bytes: told of each block that was read, with its number of packed bytes.
    :raises EventLogError: on iterating, when a library is missing; says which.
    """

    def __init__(self, log: EventLog, on_bytes: Callable[[int], None] | None = None) -> None:
        self.problem = ""
        """What kept a part from being read to its end; empty: nothing."""
        self._log, self._on_bytes = log, on_bytes
        self._packed = self._unpacked = 0
        self._too_large = False

    def __iter__(self) -> Iterator[bytes]:
        for part in self._log.parts:
            try:
                with self._open(part) as raw:
                    yield from self._split(self._bounded(unpacked(_Counted(raw, self._read), part)))
                if self._too_large:
                    return
            except EventLogError:  # noqa: PERF203 - the next part may be whole
                raise
            except Exception as error:  # noqa: BLE001 - whatever the file system, client or codec raises
                self.problem = _told(error)

    def _open(self, part: str) -> IO[bytes]:
        if self._log.open_part is not None:
            return self._log.open_part(part)
        if is_remote(part):
            return _fsspec(part).open(part, "rb").open()  # type: ignore[no-any-return]
        return _open_regular(part)

    def _read(self, size: int) -> None:
        self._packed += size
        if self._on_bytes is not None:
            self._on_bytes(size)

    def _bounded(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """*blocks*, as long as the log is no larger than a log can be."""
        for block in blocks:
            self._unpacked += len(block)
            if self._unpacked > MAX_UNPACKED:
                self.problem = f"it is larger than {MAX_UNPACKED} bytes; the rest is left out"
            elif self._unpacked > max(_EXPANDS_FREELY, _MAX_EXPANSION * self._packed):
                self.problem = f"it expands to more than {_MAX_EXPANSION} times its size"
            else:
                yield block
                continue
            self._too_large = True
            return

    def _split(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        kept: list[bytes] = []
        length = 0
        try:
            for block in blocks:
                first, *others = block.split(b"\n")
                length += len(first)
                if length <= MAX_LINE:
                    kept.append(first)
                else:
                    kept.clear()
                    self.problem = f"a line is longer than {MAX_LINE} bytes"
                if not others:
                    continue
                yield b"".join(kept)
                yield from others[:-1]
                kept, length = [others[-1]], len(others[-1])
        except Exception:
            # What was unpacked before the damage is as good as any other.
            yield b"".join(kept)
            raise
        yield b"".join(kept)


def _open_regular(path: str) -> IO[bytes]:
    """A regular file, opened so that nothing else can hang or mislead whoever opens it: it may have been replaced since it
    was listed.

    :raises OSError: when it cannot be opened, or is a pipe, a device or the like.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, f"it {_NO_FILE}")
    return open(descriptor, "rb")  # noqa: PTH123 - of a descriptor, and closed by the caller


class _Counted:
    """A stream that says how much was read from it."""

    def __init__(self, stream: IO[bytes], on_bytes: Callable[[int], None] | None) -> None:
        self._stream, self._on_bytes = stream, on_bytes
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, which are read again later."""
        while len(self._ahead) < size:
            more = self._stream.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            size = _BLOCK
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(data) < size:
            data += self._stream.read(size - len(data))
        if self._on_bytes is not None and data:
            self._on_bytes(len(data))
        return data

    def exactly(self, size: int) -> bytes:
        """*size* bytes.

        :raises EOFError: where there are fewer.
        """
        pieces = []
        while size > 0:
            piece = self.read(size)
            if not piece:
                raise EOFError("it is cut off")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def unpacked(stream: _Counted, name: str) -> Iterator[bytes]:
    """The bytes of a file in blocks, unpacked as its first bytes ask for.

    :raises EventLogError: when the library for it is not installed, or there is none.
    """
    head = stream.peek(8)
    for magic, unpack in _FORMATS:
        if head.startswith(magic):
            return unpack(stream, name)
    return _plain(stream, name)


def _plain(stream: _Counted, _name: str) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _gzip(stream: _Counted, _name: str) -> Iterator[bytes]:
    import gzip

    with gzip.GzipFile(fileobj=stream) as file:  # type: ignore[call-overload]
        while block := file.read1(_BLOCK):
            yield block


def _zstd(stream: _Counted, name: str) -> Iterator[bytes]:
    zstandard = _library("zstandard", name, "zstd")
    # A driver that was killed leaves its last frame open, which the reader takes for an end.
    with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as file:
        while block := file.read1(_BLOCK):
            yield block


def _lz4_frame(stream: _Counted, name: str) -> Iterator[bytes]:
    frame = _library("lz4.frame", name, "lz4")
    unpacker = frame.LZ4FrameDecompressor()
    while block := stream.read(_BLOCK):
        while block:
            yield unpacker.decompress(block)
            block = unpacker.unused_data if unpacker.eof else b""
            if unpacker.eof:
                unpacker = frame.LZ4FrameDecompressor()


_LZ4_HEADER = struct.Struct("<8sBiiI")
_LZ4_STORED, _LZ4_PACKED = 0x10, 0x20


def _lz4_java(stream: _Counted, name: str) -> Iterator[bytes]:
    """Spark's ``lz4`` is not the frame format of the lz4 tools but lz4-java's ``LZ4BlockOutputStream``: a header of
    magic, method, packed length, length and checksum before each block, and an empty block at the end."""
    block = _library("lz4.block", name, "lz4")
    while stream.peek(1):
        magic, token, packed_length, length, _checksum = _LZ4_HEADER.unpack(stream.exactly(_LZ4_HEADER.size))
        method = token & 0xF0
        if (
            magic != b"LZ4Block"
            or method not in (_LZ4_STORED, _LZ4_PACKED)
            or not 0 <= packed_length <= _MAX_CHUNK
            or not 0 <= length <= _MAX_CHUNK
        ):
            raise ValueError("a block of lz4 is damaged")
        data = stream.exactly(packed_length)
        if length:
            yield data if method == _LZ4_STORED else block.decompress(data, uncompressed_size=length)


def _snappy(stream: _Counted, name: str) -> Iterator[bytes]:
    """snappy-java's ``SnappyOutputStream``: a header of 16 bytes, then length and raw snappy by turns. A stream that
    was appended to has its header again, whose first four bytes are no length."""
    codec = _library("pyarrow", name, "snappy").Codec("snappy")
    stream.exactly(16)
    while stream.peek(1):
        (length,) = struct.unpack(">i", stream.exactly(4))
        if length == _SNAPPY_MAGIC:
            stream.exactly(12)
            continue
        if not 0 <= length <= _MAX_CHUNK:
            raise ValueError("a chunk of snappy is damaged")
        data = stream.exactly(length)
        size = _varint(data)
        if size > _MAX_CHUNK:
            raise ValueError("a chunk of snappy is damaged")
        yield codec.decompress(data, decompressed_size=size, asbytes=True)


(_SNAPPY_MAGIC,) = struct.unpack(">i", b"\x82SNA")


def _varint(data: bytes) -> int:
    """The number that raw snappy begins with: how long it is unpacked."""
    value = 0
    for place, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value
    raise ValueError("a chunk of snappy is damaged")


def _lzf(_stream: _Counted, name: str) -> Iterator[bytes]:
    raise EventLogError(
        f"{name} is packed with lzf, which cannot be read; set spark.eventLog.compression.codec=zstd"
    )


_FORMATS: tuple[tuple[bytes, Callable[[_Counted, str], Iterator[bytes]]], ...] = (
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"LZ4Block", _lz4_java),
    (b"\x04\x22\x4d\x18", _lz4_frame),
    (b"\x82SNAPPY\x00", _snappy),
    (b"\x1f\x8b", _gzip),
    (b"ZV", _lzf),
)

_EXTRA = "pip install 'airflow-autoremed[ingest]'"


def _library(module: str, name: str, codec: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise EventLogError(
            f"{name} is packed with {codec}, which needs {module.partition('.')[0]}: {_EXTRA}"
        ) from None


def _told(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
