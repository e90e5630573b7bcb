"""``autoremed doctor``: what is configured, what was found, and what would not work here."""

from __future__ import annotations

import os
import shutil
from configparser import ConfigParser, Error
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version

import typer
from rich.console import Console
from rich.table import Table

from airflow_autoremed import settings as settings_module
from airflow_autoremed.cli.store_access import look_at, store_url
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


def doctor() -> None:
    """Say what is configured, whether the store can be used, and what would not work on this machine.

    Exits with 1 when something that remediation needs does not work.
    """
    findings = [*_versions(), *_entry_points(), *_spark(), *_configuration()]
    table = Table(title="autoremed doctor", title_justify="left", show_lines=False)
    table.add_column("what", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for finding in findings:
        table.add_row(
            finding.what,
            f"[{_STYLES[finding.status]}]{finding.status}[/]",
            finding.detail.replace("[", r"\["),
        )
    Console().print(table)
    if any(finding.status == FAILED for finding in findings):
        raise typer.Exit(1)


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
            Finding("spark-submit", WARNING, "not on the PATH here; SparkSubmitOperator needs it on workers")
        ]
    return [Finding("spark-submit", OK, path)]


def _configuration() -> list[Finding]:
    try:
        settings = settings_module.load()
    except SettingsError as error:
        return [Finding("configuration", FAILED, str(error))]
    return [
        Finding(
            "mode",
            OK if settings.mode.value == "act" else WARNING,
            {
                "act": "act",
                "shadow": "shadow: decides and records, changes nothing",
                "off": "off: nothing is done",
            }[settings.mode.value],
        ),
        Finding("limits", OK, _limits(settings)),
        *_rules(settings),
        *_store(settings),
    ]


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
        schema = _schema(url, settings)
        if schema.status == FAILED:
            return [schema, *_shared(url)]
        store = Store(url, deployment=settings.deployment, deadline_s=settings.store_deadline)
        checks = store.check()
        store.close()
    except Exception as error:  # noqa: BLE001 - a store that cannot even be set up is a finding
        told = getattr(error, "orig", None) or error
        return [Finding("store", FAILED, database_urls.mask(" ".join(str(told).split()), shown))]
    found = [
        Finding(name, OK if ok else FAILED, detail) for name, ok, detail in checks if name != "store schema"
    ]
    return [*found, schema, *_shared(url)]


def _schema(url: str, settings: Settings) -> Finding:
    """How the tables stand, before anything creates or upgrades them."""
    from airflow_autoremed.history.db import schema_state
    from airflow_autoremed.history.db.schema_state import State

    found = look_at(url, settings.store_deadline)
    if found.state is State.CURRENT:
        return Finding("store schema", OK, f"up to date: {found.detail}")
    if schema_state.is_automatic(url, found):
        return Finding("store schema", OK, f"had {found.detail}; created or upgraded at first use, as now")
    return Finding("store schema", FAILED, f"{found.state.value}: {schema_state.advice(found)}")


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
        "Patches for the retries of the same run are not lost: Airflow's task state store hands them over."
        if handed_over
        else "Before Airflow 3.3 the patch for a retry is lost too when that retry runs on another machine."
    )
    return [
        Finding(
            what,
            WARNING,
            f"an SQLite file, and {executor} may run tasks on several machines, each with a file of its own "
            "(never share it over a network file system). Then these are in pieces or lost: the history and what is "
            "learnt from it, patches of scope task, brakes, and ceilings for Dag and deployment. "
            f"{kept} Set [autoremed] store to a Postgres or MySQL database.",
        )
    ]


def _executor() -> str:
    """Airflow's executor, without importing Airflow, which takes seconds."""
    parser = ConfigParser(interpolation=None, strict=False)
    with suppress(Error, OSError, UnicodeDecodeError):  # an unreadable file has been reported by now
        parser.read(os.environ.get("AIRFLOW_CONFIG", settings_module.airflow_home() / "airflow.cfg"))
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
