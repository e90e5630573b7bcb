"""Which models there are, and which of them decides.

A directory (``[autoremed] models_path``) with one directory for each model, and ``champion.json``, which names the
one in use and those before it. Workers read it, the training job writes it; where they are on different machines,
it has to be a directory that both see.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_autoremed import atomic_file
from airflow_autoremed.errors import UnusableModelError
from airflow_autoremed.learning.artifact import small_file
from airflow_autoremed.learning.model import MANIFEST, load, read, read_manifest
from airflow_autoremed.types import Predictor

log = logging.getLogger("airflow_autoremed")

CHAMPION = "champion.json"
_MOST_BEFORE = 20


@dataclass(frozen=True)
class Entry:
    """One model of the registry."""

    name: str
    folder: Path
    champion: bool
    manifest: Mapping[str, Any]
    fault: str = ""
    """Why it cannot be used."""


def champion(models: Path | str) -> Predictor | None:
    """The model that decides; ``None`` where there is none that can be used. Never raises."""
    name = _named(Path(models))
    if name is None or not _is_as_promoted(Path(models), name):
        return None
    return load(Path(models) / name)


def _is_as_promoted(models: Path, name: str) -> bool:
    """Whether the model is the one that passed its audits and was promoted: its manifest, which names its arrays by
    their SHA-256, has not been changed since."""
    promoted = _state(models).get("sha256")
    if promoted is None:  # promoted by an earlier version of this package
        return True
    try:
        present = _digest(models, name)
    except (OSError, ValueError) as error:
        log.warning("[autoremed] The model %s is not used: its manifest cannot be read: %s", name, error)
        return False
    if present != promoted:
        log.warning(
            "[autoremed] The model %s is not used: it was changed after it was promoted; audit it and promote it again "
            "(autoremed models promote)",
            name,
        )
    return bool(present == promoted)


def _digest(models: Path, name: str) -> str:
    return hashlib.sha256(small_file(models / name / MANIFEST)).hexdigest()


def champion_name(models: Path) -> str | None:
    """The name of the model in use."""
    return _named(models)


def before(models: Path) -> list[str]:
    """The models that decided before the present one, the latest first."""
    found = _state(models).get("before", [])
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def entries(models: Path) -> list[Entry]:
    """All models, the latest first."""
    chosen = _named(models)
    found = []
    for manifest in sorted(models.glob(f"*/{MANIFEST}"), reverse=True):
        folder = manifest.parent
        try:
            content, fault = read_manifest(folder), ""
            read(folder)
        except UnusableModelError as error:
            fault = str(error)
            try:
                content = read_manifest(folder)
            except UnusableModelError:
                content = {}
        found.append(Entry(folder.name, folder, folder.name == chosen, content, fault))
    return found


def promote(models: Path, name: str, *, who: str, why: str) -> None:
    """Let the model *name* decide from now on.

    :raises UnusableModelError: when it cannot be used.
    """
    read(models / name)
    earlier = [each for each in (_named(models), *before(models)) if each and each != name]
    _write(models, name, earlier, who, why)


def rollback(models: Path, *, who: str, why: str) -> str | None:
    """Let the model before the present one decide; without one, none does (the playbook then decides alone).

    :return: the name of the model that decides now.
    """
    earlier = [
        each for each in before(models) if Path(each).name == each and (models / each / MANIFEST).is_file()
    ]
    name = earlier[0] if earlier else None
    _write(models, name, earlier[1:], who, why)
    return name


def _named(models: Path) -> str | None:
    if not os.path.isfile(models / CHAMPION):  # noqa: PTH113 - the cheapest look, in every failing task
        return None
    name = _state(models).get("name")
    # A name, never a path: the file is no way out of the directory.
    name = Path(name).name if isinstance(name, str) else ""
    return name if name not in ("", ".", "..") else None


def _state(models: Path) -> dict[str, Any]:
    try:
        state = json.loads(small_file(models / CHAMPION))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _write(models: Path, name: str | None, earlier: list[str], who: str, why: str) -> None:
    models.mkdir(parents=True, exist_ok=True)
    state = {
        "name": name,
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "who": who,
        "why": why,
        "before": earlier[:_MOST_BEFORE],
        "sha256": None if name is None else _digest(models, name),
    }
    atomic_file.write(models / CHAMPION, (json.dumps(state, indent=2) + "\n").encode())
