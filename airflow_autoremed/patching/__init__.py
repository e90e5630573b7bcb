"""JSON patches against a task's declared Spark configuration: making them, and applying only what is safe.

A patch travels through stores that others can write to. Whatever comes out of one is untrusted until
:func:`apply` has accepted it.
"""

from __future__ import annotations

from airflow_autoremed.patching.apply_patch import apply
from airflow_autoremed.patching.config_diff import describe, diff, make_patch
from airflow_autoremed.patching.patch_json import from_json, to_json
from airflow_autoremed.patching.promotion import expired, worth_keeping, worth_promoting
from airflow_autoremed.patching.together import together

__all__ = [
    "apply",
    "describe",
    "diff",
    "expired",
    "from_json",
    "make_patch",
    "to_json",
    "together",
    "worth_keeping",
    "worth_promoting",
]
