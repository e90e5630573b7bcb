"""``autoremed doctor``: what is configured, what was found, and what would not work here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from configparser import ConfigParser, Error
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version

import typer
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import NO, Format, FormatOption, console, print_json, safe_text, say
from airflow_autoremed.cli.effective_options import (
    DEFAULT,
    EffectiveOption,
    effective_options,
    unknown_options,
)
from airflow_autoremed.cli.store_access import look_at, store_url, what_went_wrong
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import Settings
from airflow_autoremed.spark.sizes import format_bytes

OK, WARNING, FAILED = "ok", "warning", "failed"
_STYLES = {OK: "green", WARNING: "yellow", FAILED: "bold red"}
_OLDEST_AIRFLOW = (2, 11)
_RETRY_POLICIES = (3, 3)
_ON_ONE_MACHINE = ("LocalExecutor", "SequentialExecutor")
"""Executors whose tasks run where the scheduler runs."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    status: str
    detail: str


def doctor(output: FormatOption = Format.TEXT) -> None:
    """Check this installation and its configuration.

    Shows the options, the store, the rules and the model, and what would not work on this machine. It only looks: nothing is created or upgraded. Exits with 1 when something that remediation needs does not work.
    """
    settings, problem = _settings()
    options = [] if settings is None else effective_options(settings)
    findings = [*_versions(), *_entry_points(), *_spark(), *problem, *_unknown()]
    if settings is not None:
        findings += _configuration(settings)
    if output is Format.JSON:
        print_json(
            {"findings": [asdict(each) for each in findings], "options": [asdict(each) for each in options]}
        )
    else:
        _print(findings, [each for each in options if each.source != DEFAULT], len(options))
    if any(finding.status == FAILED for finding in findings):
        raise typer.Exit(NO)


def _print(findings: Sequence[Finding], options: Sequence[EffectiveOption], all_options: int) -> None:
    table = Table(title="autoremed doctor", title_justify="left", show_lines=False)
    table.add_column("what", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for finding in findings:
        status = Text(finding.status, _STYLES[finding.status])
        table.add_row(finding.what, status, safe_text(finding.detail))
    console().print(table)
    if options:
        table = Table("option", "value", "set in", title="Options that are set", title_justify="left")
        for each in options:
            table.add_row(*map(safe_text, (each.name, each.value, each.source)))
        console().print(table)
    say(
        f"{all_options - len(options)} options have their default; `autoremed doctor --format json` lists all of them."
    )


def _versions() -> list[Finding]:
    found = [Finding("airflow-autoremed", OK, settings_version())]
    airflow = _version("apache-airflow-core") or _version("apache-airflow")
    if airflow is None:
        found.append(
            Finding("Airflow", FAILED, "not installed in this environment: pip install apache-airflow")
        )
    elif _numbers(airflow) < _OLDEST_AIRFLOW:
        found.append(Finding("Airflow", FAILED, f"{airflow}; 2.11 or newer is needed"))
    elif _numbers(airflow) < _RETRY_POLICIES:
        found.append(
            Finding(
                "Airflow",
                WARNING,
                f"{airflow}: no retry policies before 3.3; tasks are watched through their execute, and patches "
                "travel through the store, which every worker must reach",
            )
        )
    else:
        found.append(Finding("Airflow", OK, f"{airflow}: retry policies and the task state store are used"))
    provider = _version("apache-airflow-providers-apache-spark")
    found.append(
        Finding("Spark provider", OK, provider)
        if provider
        else Finding("Spark provider", WARNING, "not installed: pip install 'airflow-autoremed[spark]'")
    )
    engine = _version("hyperscan")
    found.append(
        Finding("log matcher", OK, f"hyperscan {engine}" if engine else "portable engine (ahocorasick-rs)")
    )
    return found


def _entry_points() -> list[Finding]:
    wanted = ("apache_airflow_provider", "airflow.plugins", "airflow.policy")
    missing = [
        group
        for group in wanted
        if not any(point.value.startswith("airflow_autoremed.") for point in entry_points(group=group))
    ]
    if missing:
        return [
            Finding("entry points", FAILED, f"missing: {', '.join(missing)}; reinstall airflow-autoremed")
        ]
    return [Finding("entry points", OK, "provider, plugin and cluster policy are registered")]


def _spark() -> list[Finding]:
    path = shutil.which("spark-submit")
    if path is None:
        return [
            Finding(
                "spark-submit", WARNING, "not on the PATH here; SparkSubmitOperator needs it on the workers"
            )
        ]
    return [Finding("spark-submit", OK, path)]


def _settings() -> tuple[Settings | None, list[Finding]]:
    try:
        return configuration.load(), []
    except SettingsError as error:
        return None, [Finding("configuration", FAILED, str(error))]


def _unknown() -> list[Finding]:
    return [
        Finding(
            "configuration",
            WARNING,
            f"{each.name} ({each.source}) is not an option of [autoremed]"
            + (f"; did you mean {each.meant}?" if each.meant else "; docs/options.md lists them"),
        )
        for each in unknown_options()
    ]


def _configuration(settings: Settings) -> list[Finding]:
    return [
        Finding(
            "mode",
            OK if settings.mode.value == "act" else WARNING,
            {
                "act": "act",
                "shadow": "shadow: decides and records, changes nothing",
                "off": "off: does nothing",
            }[settings.mode.value],
        ),
        Finding("opted in", OK, _opted_in(settings)),
        Finding("limits", OK, _limits(settings)),
        Finding("model", OK, _model(settings)),
        *_rules(settings),
        *_store(settings),
    ]


def _opted_in(settings: Settings) -> str:
    rules = {
        name.removeprefix("attach_"): patterns for name, patterns in vars(settings.attach).items() if patterns
    }
    if rules:
        which = " and ".join(f"{name} {','.join(patterns)}" for name, patterns in rules.items())
        return f"tasks that launch Spark with {which}, and those that a Dag file opts in"
    if settings.attach_to_all:
        return "every task that launches Spark (attach_to_all)"
    return "tasks that a Dag file opts in"


def _model(settings: Settings) -> str:
    from airflow_autoremed.learning import registry

    try:
        name = registry.champion_name(settings.models)
    except Exception as error:  # noqa: BLE001 - a broken model is no reason for doctor to end
        return f"cannot be read: {error}"
    return f"{name} is active, in {settings.models}" if name else "none; the playbook decides"


def _limits(settings: Settings) -> str:
    limits = settings.limits
    sizes = {"container": limits.max_container_memory, "application": limits.max_total_memory}
    counts = {"cores per executor": limits.max_cores_per_executor, "executors": limits.max_executors}
    parts = [f"{name} {format_bytes(size)}" for name, size in sizes.items() if size]
    parts += [f"{name} {count}" for name, count in counts.items() if count]
    return ", ".join([*parts, f"growth x{limits.max_growth:g}"])


def _rules(settings: Settings) -> list[Finding]:
    from airflow_autoremed.failures.rules.loading import load_catalogue

    try:
        catalogue = load_catalogue(settings.rules_paths)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the rules is what doctor is asked for
        return [Finding("rules", FAILED, str(error))]
    problems = [Finding("rules", WARNING, str(problem)) for problem in catalogue.warnings]
    return [Finding("rules", OK, f"{len(catalogue.rules)} rules"), *problems]


def _store(settings: Settings) -> list[Finding]:
    from airflow_autoremed import database_urls
    from airflow_autoremed.history import Store

    shown = ""
    try:
        url = shown = database_urls.normalise(store_url(settings))
        schema, current = _schema(url, settings)
        if not current:
            return [schema, *_shared(url)]
        store = Store(url, deployment=settings.deployment, deadline_s=settings.store_deadline)
        checks = store.check()
        store.close()
    except Exception as error:  # noqa: BLE001 - a store that cannot even be set up is a finding
        return [Finding("store", FAILED, what_went_wrong(error, shown))]
    found = [
        Finding(name, OK if ok else FAILED, detail) for name, ok, detail in checks if name != "store schema"
    ]
    return [*found, schema, *_shared(url)]


def _schema(url: str, settings: Settings) -> tuple[Finding, bool]:
    """How the tables stand, and whether they can be worked with as they are. Nothing is created or upgraded."""
    from airflow_autoremed.history.db import schema_state
    from airflow_autoremed.history.db.schema_state import State

    found = look_at(url, settings.store_deadline)
    if found.state is State.CURRENT:
        return Finding("store schema", OK, f"up to date: {found.detail}"), True
    if schema_state.is_automatic(url, found):
        when = "the first task that uses it creates or upgrades it"
        return Finding("store schema", OK, f"{found.detail}; {when}"), False
    return Finding("store schema", FAILED, f"{found.state.value}: {schema_state.advice(found)}"), False


def _shared(url: str) -> list[Finding]:
    """Whether all workers see the same store, as far as that can be told from here."""
    what = "store shared"
    if not url.startswith("sqlite"):
        return [Finding(what, OK, "a database server: every worker that reaches it sees the same history")]
    executor = _executor()
    if all(name.strip().rpartition(".")[2] in _ON_ONE_MACHINE for name in executor.split(",")):
        return [Finding(what, OK, f"an SQLite file, and {executor} runs all tasks on one machine")]
    airflow = _version("apache-airflow-core") or _version("apache-airflow")
    handed_over = airflow is not None and _numbers(airflow) >= _RETRY_POLICIES
    kept = (
        "Patches for retries of the same run still work: Airflow's task state store hands them over."
        if handed_over
        else "Before Airflow 3.3 the patch for a retry is also lost when that retry runs on another machine."
    )
    return [
        Finding(
            what,
            WARNING,
            f"an SQLite file, and {executor} may run tasks on several machines, each with its own file "
            "(never share it over a network file system). Then each machine has only a part of the history, of the "
            "promoted patches, and of what the brakes and the ceilings for Dag and deployment count. "
            f"{kept} Set [autoremed] store to a Postgres or MySQL database.",
        )
    ]


def _executor() -> str:
    """Airflow's executor, without importing Airflow, which takes seconds."""
    parser = ConfigParser(interpolation=None, strict=False)
    with suppress(Error, OSError, UnicodeDecodeError):  # an unreadable file has been reported by now
        parser.read(configuration.configuration_file())
    in_file = parser.get("core", "executor", fallback="LocalExecutor")
    return os.environ.get("AIRFLOW__CORE__EXECUTOR", in_file).strip()


def settings_version() -> str:
    """The installed version of this package."""
    return _version("airflow-autoremed") or "not installed as a distribution"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
