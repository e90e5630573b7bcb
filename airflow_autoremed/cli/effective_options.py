"""What holds for each option of ``[autoremed]``, who says so, and which names are no options."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from airflow_autoremed import database_urls
from airflow_autoremed.cli.configuration import configuration_file, options_in_environment, options_in_file
from airflow_autoremed.settings import Settings
from airflow_autoremed.settings.options import OPTIONS

_SUFFIXES = ("_cmd", "_secret")
DEFAULT = "default"


@dataclass(frozen=True)
class EffectiveOption:
    """One option as it holds."""

    name: str
    value: str
    """As somebody would write it; empty: unset. Passwords are masked."""
    source: str
    """``environment``, the configuration file, or ``default``."""


@dataclass(frozen=True)
class UnknownOption:
    """A name that somebody set and that is no option."""

    name: str
    source: str
    meant: str | None
    """The option whose name is nearest."""


def effective_options(settings: Settings) -> list[EffectiveOption]:
    """Every option, in the order of ``docs/options.md``."""
    found = []
    for option in OPTIONS:
        holder = getattr(settings, option.group.name) if option.group.name else settings
        value = getattr(holder, option.name)
        shown = "" if value is None or value in ("", (), {}) else option.kind.show(value)
        if option.sensitive:
            shown = database_urls.masked(shown) if "://" in shown else shown
        found.append(EffectiveOption(option.name, shown, _source(option.name)))
    return found


def unknown_options() -> list[UnknownOption]:
    """Names in the environment and in the configuration file that are no options, such as misspelt ones."""
    known = [option.name for option in OPTIONS]
    return [
        UnknownOption(name, source, next(iter(difflib.get_close_matches(name, known, 1)), None))
        for source, names in (
            ("environment", options_in_environment()),
            (str(configuration_file()), options_in_file()),
        )
        for name in sorted(names)
        if _plain(name) not in known
    ]


def _source(name: str) -> str:
    for source, names in (
        ("environment", options_in_environment()),
        (str(configuration_file()), options_in_file()),
    ):
        for each, value in names.items():
            if _plain(each) == name and value.strip():
                return source if each == name else f"{source} ({each})"
    return DEFAULT


def _plain(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name
