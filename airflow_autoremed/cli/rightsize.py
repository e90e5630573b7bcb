"""``autoremed rightsize``: tasks that could do with less, and giving it to them."""

from __future__ import annotations

import getpass
import itertools
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer
from rich.table import Table

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import Format, FormatOption, console, counted, fail, print_json, say
from airflow_autoremed.cli.store_access import ModelsOption, StoreOption, opened, recorded
from airflow_autoremed.errors import SettingsError, StoreError
from airflow_autoremed.recommending.rightsizing import Proposal, proposals
from airflow_autoremed.settings import Settings, parse_duration
from airflow_autoremed.types import ANY, RIGHT_SIZED, RecordedAttempt, Scope


def rightsize(
    since: Annotated[str, typer.Option("--since", help="Look at attempts of this period.")] = "30d",
    apply: Annotated[
        list[str] | None,
        typer.Option(
            "--apply",
            help="Apply what is proposed for this task (DAG.TASK), or for all; repeatable.",
            metavar="TASK",
        ),
    ] = None,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
    models: ModelsOption = None,
) -> None:
    """Show tasks that declare far more memory than they use.

    Also shows how much would be enough. Needs measured peaks: event logs with executor metrics, read by `autoremed ingest`. A proposal that you apply holds
    for the next runs of the same job, and is revoked at the first failure.
    """
    from airflow_autoremed.learning import registry

    try:
        settings = configuration.load()
        past = parse_duration(since, where="--since")
        begin = None if past is None else datetime.now(timezone.utc) - timedelta(seconds=past)
        predictor = registry.champion(models or settings.models)
        found = [
            proposal
            for task in _by_task(recorded(store_url, begin))
            for proposal in proposals(task, predictor, settings.objective)
        ]
    except (SettingsError, StoreError) as error:
        fail(str(error))
    found.sort(key=lambda each: -each.saved_gib_hours)
    if apply:
        _apply([each for each in found if _wanted(each, apply)], store_url, settings)
        return
    if output is Format.JSON:
        print_json([asdict(each) for each in found])
        return
    _print(found)


def _by_task(records: Iterator[RecordedAttempt]) -> Iterator[list[RecordedAttempt]]:
    """The attempts of each task and map index, oldest first."""
    for _, task in itertools.groupby(records, key=lambda each: (each.attempt.dag_id, each.attempt.task_id)):
        by_index: dict[int, list[RecordedAttempt]] = {}
        for each in task:
            by_index.setdefault(each.attempt.map_index, []).append(each)
        for mine in by_index.values():
            yield sorted(mine, key=lambda each: each.started_at)


def _wanted(proposal: Proposal, names: list[str]) -> bool:
    return "all" in names or f"{proposal.dag_id}.{proposal.task_id}" in names


def _apply(chosen: list[Proposal], store_url: str | None, settings: Settings) -> None:
    """One patch for each task, of all that is proposed for it."""
    from airflow_autoremed.patching import make_patch

    if not chosen:
        fail("There is no such proposal. `autoremed rightsize` lists them; write DAG.TASK or all.")
    with opened(store_url) as store:
        for (dag_id, task_id, map_index), group in itertools.groupby(sorted(chosen, key=_name), key=_name):
            mine = list(group)
            conf = dict(mine[0].baseline)
            for each in mine:
                conf[each.key] = each.conf[each.key]
            scope = Scope(
                dag_id, ANY, task_id, map_index, kind="task", fingerprint=mine[0].fingerprint or ANY
            )
            said = ", ".join(
                f"{each.key} {each.baseline[each.key]} -> {each.conf[each.key]}" for each in mine
            )
            key = store.promote_patch(
                make_patch(mine[0].baseline, conf, scope, from_try=1),
                category=RIGHT_SIZED,
                who=getpass.getuser(),
                why=f"right-sized: {said}; largest peak of {mine[0].runs} runs "
                f"{mine[0].peak / 1024**3:.2f} GiB",
            )
            say(f"{dag_id}.{task_id}: {said} (patch {key[:10]}; revoked at the first failure)")
    if settings.patches.promote_after < 1:
        say("[autoremed] promote_after is never, so no patch outlives its run and these are not applied.")


def _name(proposal: Proposal) -> tuple[str, str, int]:
    return proposal.dag_id, proposal.task_id, proposal.map_index


def _print(found: list[Proposal]) -> None:
    out = console()
    if not found:
        out.print(
            "No task is known to declare far more memory than it uses. "
            "Peaks come from event logs with executor metrics, read by `autoremed ingest`."
        )
        return
    table = Table("task", "setting", "declared", "largest peak", "proposed", "saves a week", "by")
    for each in found:
        risk = "" if each.fails is None else f", P(fail) {each.fails:.1%}"
        table.add_row(
            f"{each.dag_id}.{each.task_id}" + ("" if each.map_index < 0 else f"[{each.map_index}]"),
            each.key.removeprefix("spark."),
            f"{each.declared / 1024**3:.3g} GiB",
            f"{each.peak / 1024**3:.3g} GiB ({each.runs} runs)",
            f"{each.proposed / 1024**3:.3g} GiB",
            f"{each.saved_gib_hours:,.1f} GiB h",
            each.by + risk,
        )
    out.print(table)
    saved = sum(each.saved_gib_hours for each in found)
    out.print(
        f"{counted(len(found), 'proposal')}, which together save {saved:,.0f} GiB hours a week. "
        "Apply one with: autoremed rightsize --apply DAG.TASK"
    )
