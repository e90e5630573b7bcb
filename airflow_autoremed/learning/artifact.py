"""A trained model on disk, of either kind: ``manifest.json`` (JSON) and the ``.npz`` file of arrays that it names.

The arrays are read without pickle, and only if their SHA-256 is the manifest's: nothing in an artifact can execute.
Imports numpy and zipfile only where arrays are read or written.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_autoremed import atomic_file
from airflow_autoremed.errors import UnusableModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger("airflow_autoremed")

MANIFEST = "manifest.json"
_LARGEST = 256 * 1024 * 1024
"""Bytes of arrays that are read at most, packed and unpacked."""

_LARGEST_MANIFEST = 16 * 1024 * 1024

M = TypeVar("M")


@dataclass(frozen=True)
class Artifact:
    """A model's directory and what its manifest says."""

    folder: Path
    manifest: Mapping[str, Any]
    cure: str
    """What to do about a model that cannot be used: ``train again (autoremed train)``."""

    def require(self, versions: Mapping[str, object]) -> None:
        """Refuse what was made for another version of this package.

        :param versions: entry of the manifest to the only value that is accepted.
        :raises UnusableModelError: one differs.
        """
        for name, version in versions.items():
            if self.manifest.get(name) != version:
                raise UnusableModelError(
                    f"{self.folder} has {name} {self.manifest.get(name)!r}, and this version needs {version!r}; "
                    f"{self.cure}"
                )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Name to array.

        :raises UnusableModelError: the file is missing, too large, damaged, or not the one that was trained.
        """
        import zipfile

        import numpy as np

        path = self.folder / Path(str(self.manifest.get("arrays"))).name
        too_large = f"is larger than the {_LARGEST} bytes that any model of ours takes"
        try:
            if path.stat().st_size > _LARGEST:
                raise UnusableModelError(f"{path} {too_large}")
            raw = path.read_bytes()
        except OSError as error:
            raise UnusableModelError(f"{path} cannot be read: {error.strerror or error}") from None
        if hashlib.sha256(raw).hexdigest() != self.manifest.get("sha256"):
            raise UnusableModelError(f"{path} is not the file that was trained; {self.cure}")
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                    raise UnusableModelError(f"{path}, unpacked, {too_large}")
            with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UnusableModelError(f"{path} is damaged ({error}); {self.cure}") from None


def small_file(path: Path) -> bytes:
    """The content of a regular file of JSON; nothing else is waited for, or read without end.

    :raises OSError: when it cannot be read. :raises ValueError: when it is no such file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        raw = file.read(_LARGEST_MANIFEST + 1)
    if len(raw) > _LARGEST_MANIFEST:
        raise ValueError(f"larger than {_LARGEST_MANIFEST} bytes")
    return raw


def find(folder: Path, cure: str) -> Artifact:
    """The artifact in *folder*.

    :param cure: what to do about one that cannot be used, for the messages.
    :raises UnusableModelError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(small_file(path))
    except OSError as error:
        raise UnusableModelError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UnusableModelError(f"{path} is damaged ({error}); {cure}") from None
    if not isinstance(manifest, dict):
        raise UnusableModelError(f"{path} is damaged (not a mapping); {cure}")
    return Artifact(folder, manifest, cure)


def write(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    manifest: Mapping[str, Any],
    *,
    file: str,
    packed: bool = True,
) -> str:
    """Write arrays and manifest to *folder*, the manifest last: a former model stays in use until then.

    :param file: the name of the file of arrays; ``{}`` stands for the first digits of its SHA-256.
    :param packed: smaller, but slower to read.
    :returns: the name of the file of arrays.
    """
    import numpy as np

    buffer = io.BytesIO()
    save: Callable[..., None] = np.savez_compressed if packed else np.savez
    save(buffer, **arrays)
    raw = buffer.getvalue()
    digest = hashlib.sha256(raw).hexdigest()
    name = file.format(digest[:16])
    atomic_file.write(folder / name, raw)
    complete = {**manifest, "arrays": name, "sha256": digest}
    atomic_file.write(folder / MANIFEST, (json.dumps(complete, indent=2, sort_keys=True) + "\n").encode())
    return name


def usable(read: Callable[[Path | str], M], directory: Path | str, name: str) -> M | None:
    """What *read* makes of *directory*; ``None``, with a warning that says why, where it cannot be used.

    Never raises: it runs in failing tasks.

    :param name: of the model, for the warning: ``text model``.
    """
    try:
        return read(directory)
    except UnusableModelError as error:
        log.warning("[autoremed] The %s is not used: %s", name, error)
    except Exception as error:  # noqa: BLE001 - runs in failing tasks
        log.warning("[autoremed] The %s is not used: %s cannot be read: %r", name, directory, error)
    return None
