"""The one table of options. Parsing, provider information, ``docs/options.md`` and what a task may set come from it.

After a change run ``make docs``: the page and what Airflow is told are written from the table.

A default is not repeated here: it is that of the field of the same name in the dataclass of the option's group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import parsers
from airflow_autoremed.settings.values import Settings
from airflow_autoremed.spark.sizes import format_bytes
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
"""Of the Airflow configuration."""

G = TypeVar("G")


class Kind(NamedTuple):
    """What an option's value looks like."""

    name: str
    """For people."""
    parse: Callable[[Any, str], Any]
    show: Callable[[Any], str] = str
    """The value as somebody would write it: the inverse of *parse*."""
    airflow_type: str = "string"
    """For Airflow's list of options: ``string``, ``boolean``, ``integer`` or ``float``."""


def _show_duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def _check_limits(given: Mapping[str, Any], label: str) -> None:
    parse_group(given, base=Limits(), where=label)


TEXT = Kind("text", parsers.text)
MODE = Kind("mode", parsers.mode, lambda mode: mode.value)
SWITCH = Kind("on, shadow or off", parsers.switch, lambda mode: "on" if mode is Mode.ACT else mode.value)
BOOLEAN = Kind("true or false", parsers.boolean, airflow_type="boolean")
COUNT = Kind("whole number", parsers.count, airflow_type="integer")
COUNT_OR_NEVER = Kind("whole number or never", parsers.count_or_zero)
COUNT_OR_NONE = Kind("whole number or none", parsers.or_none(parsers.count))
SECONDS = Kind("seconds", parsers.number, "{:g}".format, "float")
FACTOR = Kind("factor", parsers.factor, "{:g}".format, "float")
FRACTION = Kind("number from 0 to 1", parsers.fraction, "{:g}".format, "float")
PRICE = Kind("price", parsers.price, "{:g}".format, "float")
CURRENCY = Kind("currency", parsers.currency)
SIZE_OR_NONE = Kind("size or none", parsers.or_none(parsers.size), format_bytes)
DURATION = Kind("duration", parsers.duration, _show_duration)
DURATION_OR_NONE = Kind("duration or none", parsers.duration_or_none, _show_duration)
PATTERNS = Kind("patterns", parsers.patterns, ",".join)
PATH = Kind("path", parsers.path)
PATHS = Kind("paths", parsers.paths)
LIMITS_BY_PLACE = Kind("JSON", parsers.limits_by_place(_check_limits))


class Group(NamedTuple):
    """Options that are read into one dataclass."""

    name: str
    """Of the field of ``Settings`` that holds it; empty: its options are fields of ``Settings`` itself."""
    type: type[Any]
    title: str
    about: str = ""
    argument: str = ""
    """Of ``remediate()``, which takes the group's options as a mapping; empty: they are no task's business."""
    member: str = ""
    """What one option of it is called in an error."""


GENERAL = Group("", Settings, "General")
ATTACH = Group(
    "attach",
    AttachRules,
    "Which tasks are opted in",
    "Each takes patterns with commas between them. A task is opted in when it meets every one of these that is set.",
)
LIMITS = Group(
    "limits",
    Limits,
    "Limits",
    "No recommendation exceeds them.",
    argument="limits",
    member="is not a limit",
)
CEILINGS = Group("ceilings", Ceilings, "Memory that remediation may hold")
PATCHES = Group("patches", PatchRules, "Patches that outlive their run")
BRAKES = Group(
    "brakes",
    Brakes,
    "Pauses",
    "Remediation pauses where it does not help. Failures count when they follow each other.",
)
OBJECTIVE = Group(
    "objective",
    Objective,
    "What a model's answers are weighed by",
    argument="objective",
    member="is no part of an objective",
)
PRICES = Group(
    "prices",
    Prices,
    "Prices",
    "The defaults are list prices of a public cloud. Decisions depend only on the ratio of the two.",
)
GROUPS = (GENERAL, ATTACH, LIMITS, CEILINGS, PATCHES, BRAKES, OBJECTIVE, PRICES)


class Option(NamedTuple):
    """One option of ``[autoremed]``."""

    name: str
    group: Group
    kind: Kind
    text: str
    """What it does, in plain English; a full sentence or two."""
    example: str | None = None
    per_task: bool = False
    """Whether ``remediate()`` takes an argument of this name. Groups with an argument are a task's business whole."""
    sensitive: bool = False
    """Whether Airflow hides its value."""

    @property
    def default(self) -> str:
        """What holds where nothing is set, as somebody would write it; empty: unset."""
        value = getattr(self.group.type(), self.name)
        return "" if value is None or value in ("", (), {}) else self.kind.show(value)


OPTIONS = (
    Option(
        "mode",
        GENERAL,
        MODE,
        "What remediation may do: act, shadow (decide and record, change nothing) or off.",
        "shadow",
        per_task=True,
    ),
    Option(
        "store",
        GENERAL,
        TEXT,
        "SQLAlchemy URL or Airflow connection id of the history. Empty: the SQLite file autoremed.db in AIRFLOW_HOME.",
        "postgresql+psycopg2://autoremed:secret@db.example/autoremed",
        sensitive=True,
    ),
    Option("store_deadline", GENERAL, SECONDS, "Timeout of one store operation, in seconds.", "2"),
    Option(
        "failure_deadline",
        GENERAL,
        SECONDS,
        "Limit on everything that is done about one failure, in seconds. Then the task continues without us.",
        "30",
    ),
    Option(
        "deployment",
        GENERAL,
        TEXT,
        "Name of this deployment in a database that several share. Each sees only its own history.",
        "production",
    ),
    Option(
        "rules_paths",
        GENERAL,
        PATHS,
        "Files or directories of your own classification rules, separated by commas. They are tried before ours.",
        "/opt/airflow/rules/team.yaml",
    ),
    Option(
        "models_path",
        GENERAL,
        PATH,
        "Directory of the trained models. Workers read it and the training job writes it. "
        "Empty: autoremed/models in AIRFLOW_HOME.",
        "/mnt/shared/autoremed/models",
    ),
    Option(
        "stall_timeout",
        GENERAL,
        DURATION_OR_NONE,
        "End an application that has made no progress for this long. Empty: never.",
        "15m",
        per_task=True,
    ),
    Option(
        "retry_budget",
        GENERAL,
        COUNT_OR_NEVER,
        "Number of retries that opted-in tasks get in addition to their own, used only for failures that another "
        "configuration can cure.",
        "2",
        per_task=True,
    ),
    Option(
        "retention",
        GENERAL,
        DURATION_OR_NONE,
        "How long `autoremed db prune` keeps the history. Empty: the command needs --older-than.",
        "180d",
    ),
    Option(
        "attach_to_all",
        GENERAL,
        BOOLEAN,
        "Opt in every task that launches Spark, without a change to its Dag file.",
        "True",
    ),
    Option(
        "attach_operators",
        ATTACH,
        PATTERNS,
        "Opt in only tasks of these operator classes. Patterns use * and ?, and ! excludes.",
        "SparkSubmitOperator,!*Legacy*",
    ),
    Option("attach_dags", ATTACH, PATTERNS, "Opt in only tasks of these Dags.", "sales_*,!sales_test"),
    Option("attach_tags", ATTACH, PATTERNS, "Opt in only tasks of Dags with one of these tags.", "spark"),
    Option("attach_owners", ATTACH, PATTERNS, "Opt in only tasks of these owners.", "data-platform"),
    Option("attach_pools", ATTACH, PATTERNS, "Opt in only tasks in these pools.", "spark_*"),
    Option(
        "max_container_memory",
        LIMITS,
        SIZE_OR_NONE,
        "Largest container that the cluster grants: heap, overhead, off-heap and Python memory together.",
        "32g",
    ),
    Option(
        "max_cores_per_executor",
        LIMITS,
        COUNT_OR_NONE,
        "Maximum cores of one executor. Empty: max_growth times what is declared.",
        "8",
    ),
    Option(
        "max_executors",
        LIMITS,
        COUNT_OR_NONE,
        "Maximum executors of one application. Empty: max_growth times what is declared.",
        "50",
    ),
    Option(
        "max_total_memory",
        LIMITS,
        SIZE_OR_NONE,
        "Maximum memory of all containers of one application. Empty: max_growth times what is declared.",
        "512g",
    ),
    Option(
        "max_growth",
        LIMITS,
        FACTOR,
        "Maximum of every memory setting and of counts (cores, executors, partitions), as a multiple of what is declared.",
        "4",
    ),
    Option(
        "limits_for",
        GENERAL,
        LIMITS_BY_PLACE,
        "Limits for one pool, queue or connection, as JSON. They override those of the deployment.",
        '{"pool=small": {"max_container_memory": "8g"}}',
    ),
    Option(
        "max_extra_memory",
        CEILINGS,
        SIZE_OR_NONE,
        "Memory that all remediated attempts of the deployment may hold at once beyond what their tasks declare. "
        "Empty: no limit.",
        "1t",
    ),
    Option(
        "max_extra_memory_per_dag",
        CEILINGS,
        SIZE_OR_NONE,
        "The same for the remediated attempts of one Dag. Empty: no limit.",
        "256g",
    ),
    Option(
        "promote_after",
        PATCHES,
        COUNT_OR_NEVER,
        "Number of patched attempts of a task that must succeed before its later runs start with the patch. "
        "never: a patch ends with its run.",
        "2",
    ),
    Option(
        "promote_same_job_only",
        PATCHES,
        BOOLEAN,
        "Apply a promoted patch only to the same application with the same declared resources.",
        "True",
    ),
    Option(
        "promote_across_mapped",
        PATCHES,
        BOOLEAN,
        "Let all instances of a mapped task start with the patch that helped one of them.",
        "True",
    ),
    Option(
        "patch_max_age",
        PATCHES,
        DURATION,
        "Age at which a promoted patch expires, so that the declared configuration gets another chance.",
        "30d",
    ),
    Option(
        "patch_max_idle", PATCHES, DURATION, "Time without use after which a promoted patch expires.", "14d"
    ),
    Option(
        "floor",
        PATCHES,
        SWITCH,
        "Start a task with the memory that its last runs needed, where they failed for want of it. "
        "shadow: only say in the task log what it would start with.",
        "shadow",
    ),
    Option(
        "brake_task",
        BRAKES,
        COUNT_OR_NONE,
        "Number of remediations of one task in a row that end in failure before its remediation pauses. A step on the way to what is enough does not count. none: never.",
        "3",
    ),
    Option("brake_dag", BRAKES, COUNT_OR_NONE, "The same for all tasks of one Dag. none: never.", "none"),
    Option(
        "brake_category",
        BRAKES,
        COUNT_OR_NONE,
        "The same for one category of failures in the whole deployment, where each task counts once. none: never.",
        "none",
    ),
    Option("brake_pause", BRAKES, DURATION, "How long such a pause lasts.", "1h"),
    Option(
        "weight_of_failure",
        OBJECTIVE,
        FRACTION,
        "Weight w of the failure probability when a model ranks configurations: "
        "w x P(fail) + (1 - w) x relative cost.",
        "0.8",
    ),
    Option(
        "feasible_below",
        OBJECTIVE,
        FRACTION,
        "A model does not choose a configuration whose failure probability is higher than this.",
        "0.7",
    ),
    Option(
        "stop_above",
        OBJECTIVE,
        FRACTION,
        "The task is stopped when every configuration has a failure probability higher than this.",
        "0.99",
    ),
    Option(
        "rank_from",
        OBJECTIVE,
        COUNT,
        "Number of similar attempts after which a model may choose among the configurations of the playbook.",
        "100",
    ),
    Option(
        "free_from",
        OBJECTIVE,
        COUNT,
        "Number of similar attempts after which a model may choose any configuration within the limits, or stop "
        "the task.",
        "1000",
    ),
    Option("price_gib_hour", PRICES, PRICE, "Price of one GiB of container memory for one hour.", "0.003"),
    Option("price_core_hour", PRICES, PRICE, "Price of one core for one hour.", "0.03"),
    Option("currency", PRICES, CURRENCY, "Name of the currency of both prices. Nothing is converted.", "EUR"),
)

_BY_NAME = {option.name: option for option in OPTIONS}
_BY_ARGUMENT = {group.argument: group for group in GROUPS if group.argument}

PER_TASK = tuple(option.name for option in OPTIONS if option.per_task) + tuple(_BY_ARGUMENT)
"""Names of the arguments that every public way to opt a task in takes."""


def parse_per_task(given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """What an author wrote for one task, checked.

    :param given: of :data:`PER_TASK`, in a person's spelling; ``None``: not given.
    :return: those that were given, parsed. The mappings ``limits`` and ``objective`` stay as they were written: they
        hold over the deployment's, which are not known yet.
    :raises SettingsError: for a value that cannot be used, saying what to write instead.
    """
    parsed: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if group := _BY_ARGUMENT.get(name):
            parse_group(value, base=group.type(), where=where)
            parsed[name] = dict(value)
        else:
            parsed[name] = _BY_NAME[name].kind.parse(value, f"{where} {name}")
    return parsed


def parse_group(given: Mapping[str, Any], *, base: G, where: str) -> G:
    """*given*, in a person's spelling (``{"max_container_memory": "16g"}``), over *base*.

    :raises SettingsError: for an unknown name or a value that cannot be used.
    """
    group = next(each for each in GROUPS if each.type is type(base))
    options = [option for option in OPTIONS if option.group is group]
    if not isinstance(given, Mapping):
        raise SettingsError(
            f"{where} {group.name} is {given!r}; write a mapping, for example {{{options[0].name!r}: {options[0].example!r}}}"
        )
    known = [option.name for option in options]
    for name in given:
        if name not in known:
            raise SettingsError(f"{where} {name} {group.member}; write one of {', '.join(known)}")
    values = {name: _BY_NAME[name].kind.parse(value, f"{where} {name}") for name, value in given.items()}
    return replace(base, **values)  # type: ignore[type-var]
