"""The settings as the workers have them.

Importing Airflow takes seconds, so the environment and ``airflow.cfg`` are read directly where that gives the same.
Where it would not (a value that a command or a secrets backend gives, an escape, a variable), Airflow is asked.
"""

from __future__ import annotations

import os
from configparser import ConfigParser, Error
from pathlib import Path

from airflow_autoremed import settings as settings_module
from airflow_autoremed.settings import Settings

_GIVEN_ELSEWHERE = ("_CMD", "_SECRET")
_PREFIX = "AIRFLOW__AUTOREMED__"


def load() -> Settings:
    """The settings.

    :raises SettingsError: for a value that cannot be used.
    """
    if _only_airflow_knows():
        try:
            from airflow_autoremed.airflow.compat import airflow_option
        except ImportError:
            return settings_module.load()
        return settings_module.load(airflow_option)
    return settings_module.load()


def configuration_file() -> Path:
    """Airflow's configuration file, which need not exist."""
    return Path(os.environ.get("AIRFLOW_CONFIG", settings_module.airflow_home() / "airflow.cfg")).expanduser()


def options_in_file() -> dict[str, str]:
    """The options of ``[autoremed]`` as ``airflow.cfg`` spells them; none where it cannot be read."""
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(configuration_file(), encoding="utf-8")
    except (Error, OSError, UnicodeDecodeError):
        return {}
    return dict(parser["autoremed"]) if parser.has_section("autoremed") else {}


def options_in_environment() -> dict[str, str]:
    """The options of ``[autoremed]`` that environment variables set, by name in small letters."""
    return {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX)
    }


def _only_airflow_knows() -> bool:
    in_file, in_environment = options_in_file(), options_in_environment()
    return any(name.upper().endswith(_GIVEN_ELSEWHERE) for name in (*in_file, *in_environment)) or any(
        sign in value for value in in_file.values() for sign in "%$"
    )
