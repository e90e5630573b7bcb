"""Rules that a team keeps beside its Dags."""

from __future__ import annotations

from pathlib import Path

NAMES = ("autoremed_rules.yaml", "autoremed_rules")
"""A file, or a directory of ``*.yaml`` files, in the folder of a Dag file or in one above it."""

_MOST_FOLDERS = 12


def dag_rules_paths(fileloc: str, dags_folder: str | None) -> tuple[Path, ...]:
    """The rule files and directories that hold for the Dags of *fileloc*, the nearest first.

    Looked for beside the Dag file, and in every folder above it up to *dags_folder*; only beside it where the file
    is not in there. A few look-ups of names; nothing is raised.

    :param fileloc: path of the Dag file. One inside a zip archive has its rules beside the archive.
    :param dags_folder: Airflow's ``[core] dags_folder`` or the root of the Dag bundle.
    """
    if not fileloc:
        return ()
    try:
        folder = Path(fileloc).parent
        above = [folder, *folder.parents]
        root = Path(dags_folder) if dags_folder else folder
        above = above[: above.index(root) + 1] if root in above else above[:1]
        candidates = [each / name for each in above[:_MOST_FOLDERS] for name in NAMES]
        return tuple(path for path in candidates if path.exists())
    except (OSError, ValueError):
        return ()
