"""The ``autoremed`` command."""

from __future__ import annotations
