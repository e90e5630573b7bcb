"""The ``[autoremed]`` section as one frozen object, with its defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_autoremed.errors import SettingsError
from airflow_autoremed.types import AttachRules, Brakes, Ceilings, Limits, Mode, Objective, PatchRules, Prices


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured, with its default."""

    mode: Mode = Mode.ACT
    store: str = ""
    """SQLAlchemy URL or Airflow connection id; empty: SQLite in ``AIRFLOW_HOME``."""
    store_deadline: float = 5.0
    """Timeout of one operation on the store, in seconds."""
    failure_deadline: float = 60.0
    """Limit in seconds on everything that is done about one failure."""
    deployment: str = "default"
    """Deployments that share one database see only what was recorded under their own name."""
    rules_paths: tuple[Path, ...] = ()
    """Files or directories of the deployment's own rules, tried before ours."""
    attach_to_all: bool = False
    """Switch remediation on for every task whose operator launches Spark, without touching a Dag file."""
    limits_for: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``pool=...``, ``queue=...`` or ``connection=...`` to limits that hold there, over those of the deployment."""
    retry_budget: int = 0
    """Retries that opted-in tasks are given beyond their own, for failures that a configuration cures."""
    models_path: Path | None = None
    """Directory of the trained models; ``None``: ``autoremed/models`` in ``AIRFLOW_HOME``."""
    stall_timeout: float | None = None
    """Seconds that an application may wait without any progress before its attempt is ended; ``None``: for ever."""
    retention: float | None = None
    """Seconds that ``autoremed db prune`` keeps the history; ``None``: the command has to say it."""
    limits: Limits = field(default_factory=Limits)
    attach: AttachRules = field(default_factory=AttachRules)
    """Opt in only the tasks that meet these."""
    patches: PatchRules = field(default_factory=PatchRules)
    brakes: Brakes = field(default_factory=Brakes)
    ceilings: Ceilings = field(default_factory=Ceilings)
    prices: Prices = field(default_factory=Prices)
    objective: Objective = field(default_factory=Objective)
    """What the answers of a model are weighed by."""

    @property
    def models(self) -> Path:
        """Where models are looked for."""
        return self.models_path or airflow_home() / "autoremed" / "models"

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the store.

        :raises SettingsError: when ``store`` is an Airflow connection id, which only Airflow can resolve.
        """
        if not self.store:
            return f"sqlite:///{airflow_home() / 'autoremed.db'}"
        if "://" in self.store:
            return self.store
        raise SettingsError(
            f"[autoremed] store = {self.store!r} is an Airflow connection id; "
            "it can only be resolved where Airflow is loaded. Write a SQLAlchemy URL to use it here."
        )


def airflow_home() -> Path:
    """``AIRFLOW_HOME``, as Airflow itself finds it."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
