"""What Airflow asks of a provider package: its name and its configuration options."""

from __future__ import annotations

from typing import Any

from airflow_autoremed.airflow.provider_options import OPTIONS


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata; the options appear in ``airflow config list`` and in the documentation."""
    return {
        "package-name": "airflow-autoremed",
        "name": "Auto Remediation for Spark",
        "description": "Spark tasks that fail are retried with a better configuration, or not at all.",
        "config": {
            "autoremed": {
                "description": "Remediation of failed Spark tasks (airflow-autoremed).",
                "options": OPTIONS,
            }
        },
    }
