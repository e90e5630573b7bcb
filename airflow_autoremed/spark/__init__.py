"""Spark's own facts: sizes, keys, what a container takes, event logs."""

from __future__ import annotations
