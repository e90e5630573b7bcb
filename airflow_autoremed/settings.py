"""The ``[autoremed]`` section of the Airflow configuration, read once into one frozen object.

The core knows no Airflow: whoever loads the settings may pass a function that looks an option up in Airflow's
own configuration. Without one, the environment (``AIRFLOW__AUTOREMED__MODE``) and ``airflow.cfg`` are read
directly, which is what the command line does because importing Airflow takes seconds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from airflow_autoremed.errors import SettingsError
from airflow_autoremed.spark.sizes import MIB, format_bytes, parse_bytes
from airflow_autoremed.types import (
    AttachRules,
    Brakes,
    Ceilings,
    Limits,
    Mode,
    Objective,
    PatchRules,
    Prices,
)

SECTION = "autoremed"
_LEAST_MEMORY = 64 * MIB
"""No JVM starts Spark in less: a smaller limit is a number whose unit was forgotten."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured, with its default."""

    mode: Mode = Mode.ACT
    limits: Limits = field(default_factory=Limits)
    store: str = ""
    """SQLAlchemy URL or Airflow connection id; empty: SQLite in ``AIRFLOW_HOME``."""
    store_deadline: float = 5.0
    """Seconds after which an operation on the store is given up."""
    deployment: str = "default"
    """Deployments that share one database see only what was recorded under their own name."""
    rules_paths: tuple[Path, ...] = ()
    """Files or directories of the deployment's own rules, tried before ours."""
    attach_to_all: bool = False
    """Switch remediation on for every task whose operator launches Spark, without touching a Dag file."""
    attach: AttachRules = field(default_factory=AttachRules)
    """Switch it on for those only that meet these."""
    limits_for: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``pool=...``, ``queue=...`` or ``connection=...`` to limits that hold there, over those of the deployment."""
    retry_budget: int = 0
    """Retries that opted-in tasks are given beyond their own, for failures that a configuration cures."""
    patches: PatchRules = field(default_factory=PatchRules)
    brakes: Brakes = field(default_factory=Brakes)
    ceilings: Ceilings = field(default_factory=Ceilings)
    prices: Prices = field(default_factory=Prices)
    objective: Objective = field(default_factory=Objective)
    """What the answers of a model are weighed by."""
    models_path: Path | None = None
    """Directory of the trained models; ``None``: ``autoremed/models`` in ``AIRFLOW_HOME``."""
    stall_timeout: float | None = None
    """Seconds that an application may wait without any progress before its try is ended; ``None``: for ever."""
    retention: float | None = None
    """Seconds that ``autoremed db prune`` keeps the history, where it is not told otherwise."""

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
            f"[{SECTION}] store = {self.store!r} is an Airflow connection id; "
            "it can only be resolved where Airflow is loaded. Write a SQLAlchemy URL to use it here."
        )


def airflow_home() -> Path:
    """``AIRFLOW_HOME``, as Airflow itself finds it."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()


def load(lookup: Callable[[str], str | None] | None = None) -> Settings:
    """Read the section.

    :param lookup: returns the raw text of an option, or ``None`` where it is not set.
    :raises SettingsError: for a value that cannot be used.
    """
    look = lookup or _lookup_without_airflow()
    raw = {name: text.strip() for name in _OPTIONS if (text := look(name)) is not None and text.strip()}
    return from_options(raw)


def from_options(raw: Mapping[str, str]) -> Settings:
    """Settings from option texts; an option that is missing has its default."""
    defaults = Settings()
    values: dict[str, Any] = {}
    if "mode" in raw:
        values["mode"] = parse_mode(raw["mode"], where=f"[{SECTION}] mode")
    if "store" in raw:
        values["store"] = raw["store"]
    if "deployment" in raw:
        values["deployment"] = raw["deployment"]
    if "store_deadline" in raw:
        values["store_deadline"] = _positive(raw["store_deadline"], f"[{SECTION}] store_deadline")
    if "models_path" in raw:
        values["models_path"] = Path(raw["models_path"]).expanduser()
    if "rules_paths" in raw:
        values["rules_paths"] = tuple(
            Path(part.strip()).expanduser() for part in raw["rules_paths"].split(",") if part.strip()
        )
    if "attach_to_all" in raw:
        values["attach_to_all"] = _boolean(raw["attach_to_all"], f"[{SECTION}] attach_to_all")
    for name in ("stall_timeout", "retention"):
        if name in raw:
            values[name] = parse_duration(raw[name], where=f"[{SECTION}] {name}")
    if "limits_for" in raw:
        values["limits_for"] = _limits_for(raw["limits_for"], f"[{SECTION}] limits_for")
    if "retry_budget" in raw:
        values["retry_budget"] = _count_or_never(raw["retry_budget"], f"[{SECTION}] retry_budget")
    for name, group in _GROUPS.items():
        values[name] = group(
            **{
                each.name: _GROUPED[each.name](raw[each.name], f"[{SECTION}] {each.name}")
                for each in fields(group)
                if each.name in raw
            }
        )
    limits = {each.name: raw[each.name] for each in fields(Limits) if each.name in raw}
    values["limits"] = parse_limits(limits, base=defaults.limits, where=f"[{SECTION}]")
    return replace(defaults, **values)


def parse_mode(value: str | Mode, *, where: str) -> Mode:
    """A mode by its name."""
    try:
        return Mode(value.lower() if isinstance(value, str) else value)
    except (ValueError, AttributeError):
        raise SettingsError(
            f"{where} is {value!r}; write one of {', '.join(repr(m.value) for m in Mode)}"
        ) from None


def parse_limits(given: Mapping[str, Any], *, base: Limits, where: str) -> Limits:
    """Limits in a person's spelling (``{"max_container_memory": "16g"}``) over *base*.

    :raises SettingsError: for an unknown name or a value that cannot be used.
    """
    known = [each.name for each in fields(Limits)]
    if not isinstance(given, Mapping):
        raise SettingsError(
            f"{where} limits is {given!r}; write a mapping such as {{'max_container_memory': '16g'}}"
        )
    values: dict[str, Any] = {}
    for name, value in given.items():
        label = f"{where} {name}"
        if name not in known:
            raise SettingsError(f"{label} is not a limit; write one of {', '.join(known)}")
        if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "unlimited")):
            if name == "max_growth":
                raise SettingsError(f"{label} cannot be unlimited; write a number such as 8")
            values[name] = None
        elif name in ("max_container_memory", "max_total_memory"):
            values[name] = _memory(value, label)
        elif name == "max_growth":
            values[name] = _positive(value, label, at_least=1.0)
        else:
            values[name] = _count(value, label)
    return replace(base, **values)


def parse_objective(given: Mapping[str, Any], *, base: Objective, where: str) -> Objective:
    """An objective in a person's spelling (``{"stop_above": 0.99}``) over *base*.

    :raises SettingsError: for an unknown name or a value that cannot be used.
    """
    known = [each.name for each in fields(Objective)]
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where} objective is {given!r}; write a mapping such as {{'stop_above': 0.99}}")
    for name in given:
        if name not in known:
            raise SettingsError(f"{where} {name} is no part of an objective; write one of {', '.join(known)}")
    return replace(base, **{name: _GROUPED[name](value, f"{where} {name}") for name, value in given.items()})


def _fraction(value: Any, label: str) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise SettingsError(f"{label} is {value!r}; write a number from 0 to 1, such as 0.9")
    return number


def _memory(value: Any, label: str) -> int:
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str):
        try:
            size = parse_bytes(value)
        except ValueError:
            size = 0
    if size <= 0:
        raise SettingsError(f"{label} is {value!r}; write a size such as '16g' or a number of bytes")
    if size < _LEAST_MEMORY:
        bare = str(value).strip().isdigit()
        meant = (f"'{size}g'" if size < 1024 else f"'{size}m'") if bare else "'16g'"
        raise SettingsError(
            f"{label} is {value!r}, which is {size} bytes{' because it has no unit' if bare else ''}; write a size "
            f"of at least {format_bytes(_LEAST_MEMORY)} with its unit, such as {meant}"
        )
    return size


def _count(value: Any, label: str) -> int:
    try:
        count = int(value) if not isinstance(value, bool) else 0
    except (TypeError, ValueError):
        count = 0
    if count < 1 or (isinstance(value, float) and value != count):
        raise SettingsError(f"{label} is {value!r}; write a whole number of at least 1")
    return count


def _positive(value: Any, label: str, *, at_least: float = 0.0) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not at_least <= number < float("inf") or number == 0:
        raise SettingsError(
            f"{label} is {value!r}; write a number{f' of at least {at_least:g}' if at_least else ' above 0'}"
        )
    return number


def parse_duration(value: Any, *, where: str) -> float | None:
    """Seconds from a number of them or a text such as ``90d``, ``6h``, ``15m``, ``30s``; ``None`` for ``none``.

    :raises SettingsError: for anything else.
    """
    text = str(value).strip().lower()
    if value is None or text in ("", "none"):
        return None
    unit = _DURATIONS.get(text[-1])
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = -1.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise SettingsError(f"{where} is {value!r}; write a duration such as '90d', '6h', '15m' or '30s'")
    return seconds


_DURATIONS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: Any, label: str) -> float:
    seconds = parse_duration(value, where=label)
    if seconds is None:
        raise SettingsError(f"{label} cannot be none; write a duration such as '90d', '6h', '15m' or '30s'")
    return seconds


def _count_or_none(value: Any, label: str) -> int | None:
    return None if str(value).strip().lower() in ("none", "off") else _count(value, label)


def _memory_or_none(value: Any, label: str) -> int | None:
    return None if str(value).strip().lower() in ("none", "unlimited") else _memory(value, label)


def _price(value: Any, label: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < 1e9:
        raise SettingsError(f"{label} is {value!r}; write what an hour of it costs, such as 0.004445")
    return number


def _currency(value: Any, label: str) -> str:
    if not re.fullmatch(r"\w{1,16}|\S{1,3}", str(value)):
        raise SettingsError(f"{label} is {value!r}; write the name of a currency, such as 'EUR'")
    return str(value)


def _count_or_never(value: Any, label: str) -> int:
    return 0 if str(value).strip().lower() in ("0", "never") else _count(value, label)


def _boolean(text: str, label: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "t", "1", "yes", "on"):
        return True
    if lowered in ("false", "f", "0", "no", "off"):
        return False
    raise SettingsError(f"{label} is {text!r}; write True or False")


def _patterns(text: str, _label: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _limits_for(text: str, label: str) -> dict[str, dict[str, Any]]:
    """Limits by place, checked."""
    example = '{"pool=small": {"max_container_memory": "8g"}}'
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{label} is not JSON ({error}); write such as {example}") from None
    if not isinstance(given, dict):
        raise SettingsError(f"{label} is {text!r}; write such as {example}")
    for place, limits in given.items():
        kind, _, name = place.partition("=")
        if kind not in ("pool", "queue", "connection") or not name:
            raise SettingsError(f"{label} names {place!r}; write pool=..., queue=... or connection=...")
        parse_limits(limits, base=Limits(), where=f"{label} {place}")
    return given


_GROUPS: dict[str, Any] = {
    "attach": AttachRules,
    "patches": PatchRules,
    "brakes": Brakes,
    "ceilings": Ceilings,
    "objective": Objective,
    "prices": Prices,
}
_GROUPED: dict[str, Callable[[Any, str], Any]] = {
    **{each.name: _patterns for each in fields(AttachRules)},
    "promote_after": _count_or_never,
    "promote_same_job_only": _boolean,
    "promote_across_mapped": _boolean,
    "patch_max_age": _duration,
    "patch_max_idle": _duration,
    "brake_task": _count_or_none,
    "brake_dag": _count_or_none,
    "brake_category": _count_or_none,
    "brake_pause": _duration,
    "weight_of_failure": _fraction,
    "feasible_below": _fraction,
    "stop_above": _fraction,
    "rank_from": _count,
    "free_from": _count,
    "max_extra_memory": _memory_or_none,
    "max_extra_memory_per_dag": _memory_or_none,
    "price_gib_hour": _price,
    "price_core_hour": _price,
    "currency": _currency,
}
"""Option to the parser of its text; the options of a group are the fields of its dataclass."""

_OPTIONS = (
    "mode",
    "store",
    "store_deadline",
    "deployment",
    "rules_paths",
    "models_path",
    "attach_to_all",
    "stall_timeout",
    "retention",
    "limits_for",
    "retry_budget",
    *_GROUPED,
    *(each.name for each in fields(Limits)),
)


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
