"""Reading the ``[autoremed]`` section.

The core knows no Airflow: whoever loads the settings may pass a function that looks an option up in Airflow's
own configuration. Without one, the environment (``AIRFLOW__AUTOREMED__MODE``) and ``airflow.cfg`` are read
directly, which is what the command line does because importing Airflow takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings.options import GROUPS, OPTIONS, SECTION
from airflow_autoremed.settings.values import Settings, airflow_home


def load(lookup: Callable[[str], str | None] | None = None) -> Settings:
    """Read the section.

    :param lookup: returns the raw text of an option, or ``None`` where it is not set.
    :raises SettingsError: for a value that cannot be used.
    """
    look = lookup or _lookup_without_airflow()
    names = [option.name for option in OPTIONS]
    return from_options(
        {name: text.strip() for name in names if (text := look(name)) is not None and text.strip()}
    )


def from_options(raw: Mapping[str, str]) -> Settings:
    """Settings from option texts; an option that is missing has its default."""
    values: dict[str, dict[str, Any]] = {group.name: {} for group in GROUPS}
    for option in OPTIONS:
        if option.name in raw:
            parsed = option.kind.parse(raw[option.name], f"[{SECTION}] {option.name}")
            values[option.group.name][option.name] = parsed
    groups = {group.name: group.type(**values[group.name]) for group in GROUPS if group.name}
    return Settings(**values[""], **groups)


def _lookup_without_airflow() -> Callable[[str], str | None]:
    """Options from the environment, then from ``airflow.cfg``, in Airflow's own order of precedence."""
    path = Path(os.environ.get("AIRFLOW_CONFIG", airflow_home() / "airflow.cfg")).expanduser()
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (Error, OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as an Airflow configuration: {error}") from error

    def look(name: str) -> str | None:
        from_environment = os.environ.get(f"AIRFLOW__{SECTION.upper()}__{name.upper()}")
        if from_environment is not None:
            return from_environment
        return parser.get(SECTION, name, fallback=None)

    return look
