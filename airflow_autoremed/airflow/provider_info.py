"""What Airflow asks of a provider package: its name and its configuration options."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata; the options appear in ``airflow config list`` and in the documentation."""
    return {
        "package-name": "airflow-autoremed",
        "name": "Auto Remediation for Spark",
        "description": "Spark tasks that fail are retried with a better configuration, or not at all.",
        "config": {
            "autoremed": {
                "description": "Remediation of failed Spark tasks (airflow-autoremed).",
                "options": {
                    "mode": _option(
                        "How far remediation may go: act, shadow (decide and record, change nothing) or off.",
                        "act",
                    ),
                    "store": _option(
                        "SQLAlchemy URL or Airflow connection id of the history. "
                        "Empty: SQLite file autoremed.db in AIRFLOW_HOME.",
                        "",
                        sensitive=True,
                    ),
                    "store_deadline": _option("Seconds after which a store operation is given up.", "5"),
                    "deployment": _option(
                        "Name under which this deployment records its history in a shared database.",
                        "default",
                    ),
                    "rules_paths": _option(
                        "Comma-separated files or directories of your own classification rules.", ""
                    ),
                    "attach_to_all": _option(
                        "Opt in every task that launches Spark, without touching a Dag file.", "False"
                    ),
                    "max_container_memory": _option(
                        "Largest container the cluster grants (heap + overhead + off-heap + pyspark).", "64g"
                    ),
                    "max_cores_per_executor": _option("Cap on cores per executor. Empty: none.", ""),
                    "max_executors": _option("Cap on executors of one application. Empty: none.", ""),
                    "max_total_memory": _option("Cap on the memory of one application. Empty: none.", ""),
                    "max_growth": _option(
                        "Ceiling of every memory setting, as a multiple of the declared value.", "8"
                    ),
                },
            }
        },
    }


def _option(description: str, default: str, *, sensitive: bool = False) -> dict[str, Any]:
    option: dict[str, Any] = {
        "description": description,
        "type": "string",
        "version_added": "0.1.0",
        "default": default,
        "example": None,
    }
    if sensitive:
        option["sensitive"] = True
    return option
