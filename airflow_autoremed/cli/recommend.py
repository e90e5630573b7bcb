"""``autoremed recommend``: what the pipeline would decide about a failure, from a log and a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli.console import Format, FormatOption, console, fail, safe_text, say
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import parse_group
from airflow_autoremed.types import AttemptId, Conf, Decision, FailedAttempt, Limits, PastAttempt


def recommend(
    log: Path = typer.Option(..., "--log", help="Log of the failed attempt (driver log; plain or .gz)."),
    conf: Path = typer.Option(..., "--conf", help="JSON object of Spark keys: what the attempt ran with."),
    limits: Path | None = typer.Option(
        None,
        "--limits",
        help="JSON object: max_container_memory, max_cores_per_executor, max_executors, max_total_memory, max_growth.",
    ),
    history: Path | None = typer.Option(
        None,
        "--history",
        help="JSON list of earlier attempts of this task instance, oldest first: conf, category, succeeded, duration_s.",
    ),
    retries_left: int = typer.Option(
        1, "--retries-left", min=0, help="Number of retries that Airflow still has for the task."
    ),
    output: FormatOption = Format.TEXT,
) -> None:
    """Say what would be decided about one failure.

    Remediate, stop or leave alone, and with which configuration.
    """
    effective = _conf(_read(conf, "--conf"), "--conf")
    past = () if history is None else _history(_read(history, "--history"))
    caps = Limits()
    if limits is not None:
        try:
            caps = parse_group(_read(limits, "--limits"), base=caps, where="--limits:")
        except SettingsError as error:
            fail(str(error))
    if not log.is_file():
        fail(f"--log: {log} is not a file; write the path of the failed attempt's log")

    from airflow_autoremed.failures.matching.classify import classify_file
    from airflow_autoremed.failures.rules.loading import load_catalogue
    from airflow_autoremed.patching import diff
    from airflow_autoremed.remediation import pipeline, reasons
    from airflow_autoremed.remediation.gates import Passage

    # The first attempt ran with what the author declared; growth is measured against that.
    baseline = past[0].conf if past else effective
    failed = FailedAttempt(
        AttemptId("recommend", "recommend", "recommend", -1, len(past) + 1),
        baseline=baseline,
        effective=effective,
        retries_left=retries_left,
        history=past,
    )
    decision = pipeline.decide(failed, classify_file(load_catalogue(), log), caps, Passage())
    patch = [dict(operation) for operation in diff(effective, decision.conf)]
    if output is Format.JSON:
        typer.echo(
            json.dumps(
                {
                    "decision": decision.action.value,
                    "reason": reasons.text(decision),
                    "category": decision.classification.category,
                    "conf": dict(decision.conf),
                    "patch": patch,
                }
            )
        )
    else:
        _print(decision, reasons.text(decision), effective)


def _print(decision: Decision, reason: str, before: Conf) -> None:
    cause = decision.classification
    console().print(Text.assemble((decision.action.value, "bold"), "  ", safe_text(reason)), soft_wrap=True)
    say(f"category: {cause.category} ({'by rule ' + cause.rule if cause.rule else 'no rule matched'})")
    for line in cause.lines:
        console().print(
            Text.assemble(f"  {line.number}: ", safe_text(line.text.strip(), "yellow")), soft_wrap=True
        )
    changed = [key for key in sorted(decision.conf) if before.get(key) != decision.conf[key]]
    if changed:
        table = Table("key", "before", "after")
        for key in changed:
            table.add_row(*map(safe_text, (key, before.get(key, "(not set)"), decision.conf[key])))
        console().print(table)


def _read(path: Path, option: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{option}: {path} cannot be read: {error.strerror}")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        fail(f"{option}: {path} is not JSON: {error}")


def _conf(found: Any, where: str) -> dict[str, str]:
    if not isinstance(found, Mapping):
        fail(f'{where}: write a flat JSON object, for example {{"spark.executor.memory": "4g"}}')
    for key, value in found.items():
        if not isinstance(value, str | int | float | bool):
            fail(f'{where}: the value of {key!r} is {value!r}; write a string, for example "4g"')
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in found.items()
    }


def _history(found: Any) -> tuple[PastAttempt, ...]:
    if not isinstance(found, list):
        fail(
            '--history: write a JSON list of attempts, for example [{"conf": {...}, "category": "...", "succeeded": false}]'
        )
    attempts = []
    for number, each in enumerate(found, start=1):
        where = f"--history: attempt {number}"
        if not isinstance(each, Mapping) or "conf" not in each:
            fail(f"{where}: write an object with conf, category, succeeded and duration_s")
        category, duration = each.get("category"), each.get("duration_s")
        if category is not None and not isinstance(category, str):
            fail(f"{where}: category is {category!r}; write a category id or null")
        if duration is not None and (isinstance(duration, bool) or not isinstance(duration, int | float)):
            fail(f"{where}: duration_s is {duration!r}; write a number of seconds or null")
        succeeded = each.get("succeeded", False)
        if not isinstance(succeeded, bool):
            fail(f"{where}: succeeded is {succeeded!r}; write true or false")
        attempts.append(
            PastAttempt(_conf(each["conf"], f"{where}: conf"), category, succeeded, duration, number)
        )
    return tuple(attempts)
