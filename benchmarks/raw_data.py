"""The raw figures behind the pages of ``benchmarks/results``: compact JSON, gzipped, the same bytes for the same figures.

They are read by programs and looked at by nobody, so a new run must not be a diff of ten thousand lines. To look at
them all the same: ``zcat benchmarks/results/proof.json.gz | python -m json.tool``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(file: Path) -> dict[str, Any]:
    """The figures in *file*.

    :raises OSError: *file* is missing or is not gzipped.
    :raises ValueError: its content is not JSON.
    """
    found: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return found


def write(file: Path, figures: Mapping[str, Any]) -> None:
    """Replace *file* with *figures*."""
    text = json.dumps(figures, separators=(",", ":"), ensure_ascii=False) + "\n"
    file.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
