"""How rows are found: by a digest of the attempt's identity (:func:`attempt_key`), not by the names themselves.

Four names of 250 characters make an index larger than the 3,072 bytes that MySQL allows, and MySQL takes names that
differ only in case, or in trailing blanks, for equal. The names stand beside the digest for people and filters.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_autoremed.types import AttemptId, Scope


def instance_key(deployment: str, where: AttemptId | Scope) -> str:
    """Names a task instance of a deployment, whatever its try."""
    return digest(deployment, where.dag_id, where.run_id, where.task_id, where.map_index)


def attempt_key(deployment: str, attempt: AttemptId) -> str:
    """Names an attempt of a deployment."""
    return digest(
        deployment, attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index, attempt.try_number
    )


def digest(*parts: str | int) -> str:
    """A name of fixed length for *parts*, of which no two lists share one."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
