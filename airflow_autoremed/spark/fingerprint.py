"""Whether a job is still the job that it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Conf


def fingerprint(declared: Conf, job: Mapping[str, str]) -> str:
    """16 hexadecimal digits that change with the declared resources or the application.

    Other settings do not count: a date in ``spark.app.name`` does not make another job.

    :param declared: the author's configuration.
    :param job: what the platform knows the application by, such as its path and class.
    """
    resources = {key: value for key, value in declared.items() if key in PATCHABLE}
    text = json.dumps([resources, dict(job)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
