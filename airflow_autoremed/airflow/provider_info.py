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
                    "attach_operators": _option(
                        "Opt in only tasks of these operator classes; comma-separated patterns, ! excludes.",
                        "",
                    ),
                    "attach_dags": _option("Opt in only tasks of these Dags.", ""),
                    "attach_tags": _option("Opt in only tasks of Dags with these tags.", ""),
                    "attach_owners": _option("Opt in only tasks of these owners.", ""),
                    "attach_pools": _option("Opt in only tasks in these pools.", ""),
                    "retry_budget": _option(
                        "Retries that opted-in tasks get beyond their own, for failures that another "
                        "configuration cures.",
                        "0",
                    ),
                    "limits_for": _option(
                        "JSON of limits by place, over those of the deployment: "
                        '{"pool=small": {"max_container_memory": "8g"}}; pool, queue or connection.',
                        "",
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
                    "max_extra_memory": _option(
                        "Memory that remediated tries of the deployment may hold at once beyond what their tasks "
                        "declare. Empty: any.",
                        "",
                    ),
                    "max_extra_memory_per_dag": _option("The same for each Dag. Empty: any.", ""),
                    "promote_after": _option(
                        "Patched tries that must have succeeded before coming runs of the task begin with the "
                        "patch; never: a patch does not outlive its run.",
                        "1",
                    ),
                    "promote_same_job_only": _option(
                        "Promote only for the same application with the same declared resources.", "False"
                    ),
                    "promote_across_mapped": _option(
                        "Let the instances of a mapped task share what one of them proved.", "False"
                    ),
                    "patch_max_age": _option(
                        "After this, a promoted patch expires, and the declared configuration is tried again.",
                        "90d",
                    ),
                    "patch_max_idle": _option("The same when no run used it for so long.", "35d"),
                    "brake_task": _option(
                        "Remediated tries of one task that fail in a row before its remediation pauses. none: never.",
                        "5",
                    ),
                    "brake_dag": _option("The same for all tasks of a Dag.", "10"),
                    "brake_category": _option("The same for one category in the whole deployment.", "20"),
                    "brake_pause": _option("How long such a pause lasts.", "6h"),
                    "models_path": _option(
                        "Directory of the trained models, which workers read and the training job writes. "
                        "Empty: autoremed/models in AIRFLOW_HOME.",
                        "",
                    ),
                    "weight_of_failure": _option(
                        "w of w x P(fail) + (1 - w) x relative cost, by which a model's candidates are ranked.",
                        "0.9",
                    ),
                    "feasible_below": _option(
                        "A candidate that fails with a higher probability is not tried.", "0.8"
                    ),
                    "stop_above": _option(
                        "Where every candidate fails with a higher probability, no retry is made.", "0.95"
                    ),
                    "rank_from": _option(
                        "Similar attempts from which on a model chooses among what the playbook proposes.",
                        "50",
                    ),
                    "free_from": _option(
                        "Similar attempts from which on a model chooses any configuration inside the limits, "
                        "or none.",
                        "500",
                    ),
                    "stall_timeout": _option(
                        "End an application that waited this long without any progress, such as 15m. "
                        "Empty: never.",
                        "",
                    ),
                    "price_gib_hour": _option(
                        "What a GiB of container memory costs for an hour. The default is a public cloud's list "
                        "price; decisions depend on its ratio to the price of a core alone.",
                        "0.004445",
                    ),
                    "price_core_hour": _option("What a core costs for an hour.", "0.04048"),
                    "currency": _option("The name of the currency of both.", "USD"),
                    "retention": _option(
                        "How long `autoremed db prune` keeps the history, such as 180d. Empty: it has to be told.",
                        "",
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
