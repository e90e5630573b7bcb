"""Write airflow_autoremed/failures/kinds/classes.txt: each exception class with its nearest ancestor in the tables.

    .venv/bin/python scripts/make_kinds.py [--check]

Made from ``throwables.tsv.gz`` (see ``throwables.py``) and ``class_tables.py``. Left out are classes that the tables
name themselves, and those with no such ancestor: their name and package are all there is to judge. With ``--check``
nothing is written; exits with 1 when the file is stale.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import defaultdict
from pathlib import Path

from airflow_autoremed.failures.kinds.classes import ANCESTORS, judge_words, listed

THROWABLES = Path(__file__).with_name("throwables.tsv.gz")
_COVERED = ("java.", "org.apache.zookeeper.", "org.apache.thrift.", "org.apache.parquet.")
_UNUSED = (
    "com.sun.",
    "sun.jvm.",
    "jdk.",
    "sun.tools.",
    "scala.tools.",
    "idlelib",
    "great_expectations.",
    "sklearn.",
    "numpy.distutils.",
)


def read_throwables() -> dict[str, list[str]]:
    """Class to its ancestors, the nearest first."""
    lines = gzip.decompress(THROWABLES.read_bytes()).decode().splitlines()
    return {name: line.split(" ") for name, line in (each.split("\t") for each in lines)}


def text() -> str:
    """The file as it has to be."""
    named = listed()
    packages: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, line in read_throwables().items():
        if name in named or name.startswith(_UNUSED) or not name.isascii():
            continue
        known = next((each for each in line if each in named or each.startswith("SQLSTATE:")), None)
        if known is None or (not known.startswith("SQLSTATE:") and named[known] is None):
            continue
        if not known.startswith("SQLSTATE:") and judge_words(name) == named[known]:
            continue  # its name says as much
        package, _, simple = name.rpartition(".")
        packages[package][known].append(simple)
    return "".join(
        package
        + "\t"
        + ";".join(f"{known}={','.join(sorted(names))}" for known, names in sorted(groups.items()))
        + "\n"
        for package, groups in sorted(packages.items())
    )


def strangers() -> list[str]:
    """Classes of the tables that are not where they are said to be."""
    known = read_throwables()
    return sorted(
        name
        for name in listed()
        if name.startswith(_COVERED) and name not in known and name != "java.lang.Throwable"
    )


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    if strangers():
        print("no such class:", *strangers(), sep="\n  ")
        return 1
    wanted = text()
    if parser.parse_args().check:
        stale = not ANCESTORS.exists() or ANCESTORS.read_text(encoding="ascii") != wanted
        if stale:
            print(f"{ANCESTORS} is stale; run: python scripts/make_kinds.py")
        return int(stale)
    ANCESTORS.write_text(wanted, encoding="ascii")
    print(f"{ANCESTORS}: {wanted.count(chr(10))} packages, {len(wanted)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
