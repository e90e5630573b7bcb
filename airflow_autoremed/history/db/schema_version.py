"""Of which version the tables are. Apart from everything else, because every attempt asks."""

from __future__ import annotations

VERSION = 5
"""The version of the schema that this code reads and writes; the last file in ``migrations/versions`` leads to it."""
