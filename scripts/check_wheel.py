"""The built wheel holds what users need: every module and rule file of the source tree, and the entry points."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ENTRY_POINTS = ("apache_airflow_provider", "airflow.plugins", "airflow.policy", "console_scripts")


def main(dist: Path) -> int:
    """Compare the one wheel in *dist* with the tree; print what is missing."""
    wheels = sorted(dist.glob("*.whl"))
    if len(wheels) != 1:
        print(f"expected one wheel in {dist}, found {len(wheels)}")
        return 1
    with zipfile.ZipFile(wheels[0]) as wheel:
        packed = set(wheel.namelist())
        entry_points = next(name for name in packed if name.endswith("entry_points.txt"))
        declared = wheel.read(entry_points).decode()
    wanted = {
        str(path)
        for path in Path("airflow_autoremed").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    problems = [f"not in the wheel: {name}" for name in sorted(wanted - packed)]
    problems += [f"no entry point group {group}" for group in ENTRY_POINTS if f"[{group}]" not in declared]
    print("\n".join(problems) or f"{wheels[0].name}: {len(wanted)} files, entry points complete")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
