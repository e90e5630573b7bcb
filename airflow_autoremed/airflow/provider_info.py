"""What Airflow asks of a provider package: its name and its configuration options."""

from __future__ import annotations

from typing import Any

from airflow_autoremed.settings.options import OPTIONS, SECTION, Option


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata; the options appear in ``airflow config list`` and in the documentation."""
    return {
        "package-name": "airflow-autoremed",
        "name": "Auto Remediation for Spark",
        "description": "Spark tasks that fail are retried with a better configuration, or not at all.",
        "config": {
            SECTION: {
                "description": "Remediation of failed Spark tasks (airflow-autoremed).",
                "options": {option.name: _as_airflow_has_it(option) for option in OPTIONS},
            }
        },
    }


def _as_airflow_has_it(option: Option) -> dict[str, Any]:
    return {
        "description": option.text,
        # An option without a default is an empty text, which is none of Airflow's other types.
        "type": option.kind.airflow_type if option.default else "string",
        "version_added": "0.1.0",
        "default": option.default,
        "example": option.example,
        **({"sensitive": True} if option.sensitive else {}),
    }
