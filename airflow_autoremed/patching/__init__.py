"""JSON patches against a task's declared Spark configuration: making them, and applying only what is safe.

A patch travels through stores that others can write to. Whatever comes out of one is untrusted until
:func:`apply` has accepted it.
"""

from __future__ import annotations

from airflow_autoremed.patching.applying import apply
from airflow_autoremed.patching.life import expired, paused, worth_keeping, worth_promoting
from airflow_autoremed.patching.making import describe, diff, make_patch
from airflow_autoremed.patching.shape import PatchRejected, from_json, to_json

__all__ = [
    "PatchRejected",
    "apply",
    "describe",
    "diff",
    "expired",
    "from_json",
    "make_patch",
    "paused",
    "to_json",
    "worth_keeping",
    "worth_promoting",
]
