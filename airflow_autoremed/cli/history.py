"""``autoremed history`` and ``autoremed show``: what the store remembers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli.console import (
    NO,
    SHORT_KEY,
    Format,
    FormatOption,
    console,
    fail,
    print_json,
    safe_text,
    say,
    shown_time,
)
from airflow_autoremed.cli.store_access import StoreOption, read
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history.stored import AttemptFilter, Outcome, StoredAttempt
from airflow_autoremed.settings import parse_duration
from airflow_autoremed.types import Action, Mode

if TYPE_CHECKING:
    from airflow_autoremed.history import Store

_STYLES = {Action.REMEDIATE: "green", Action.STOP: "red", Action.LEAVE_ALONE: "yellow"}


def history(
    dag: Annotated[str | None, typer.Option("--dag", help="Only attempts of this Dag.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Only attempts of the task with this id.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Only attempts of the Dag run with this id.")
    ] = None,
    outcome: Annotated[
        Outcome | None,
        typer.Option("--outcome", help="Only attempts that ended so. interrupted: ended from outside."),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--category", help="Only failures with this cause, for example executor_oom_heap."),
    ] = None,
    decision: Annotated[
        Action | None, typer.Option("--decision", help="Only attempts with this decision.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only attempts recorded in this period, for example 7d.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="Number of attempts to show.")
    ] = 20,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
) -> None:
    """Show the latest attempts and what was decided."""
    try:
        past = parse_duration(since, where="--since")
    except SettingsError as error:
        fail(str(error))
    begin = None if past is None else datetime.now(timezone.utc) - timedelta(seconds=past)
    wanted = AttemptFilter(dag, task, run, category, decision, outcome, begin)
    rows, url = read(store_url, lambda store: store.recent(limit, wanted))
    if output is Format.JSON:
        print_json([_as_json(row) for row in rows])
        return
    if rows:
        console().print(_overview(rows))
        return
    if wanted != AttemptFilter():
        say(f"No attempt in {url} matches.")
    else:
        say(f"No attempts are recorded yet in {url}.")


def show(
    dag_id: Annotated[str, typer.Argument(help="Id of the Dag.")],
    task_id: Annotated[str, typer.Argument(help="Id of the task.")],
    run_id: Annotated[
        str | None, typer.Argument(help="Id of the Dag run. Default: the latest that is recorded.")
    ] = None,
    map_index: Annotated[
        int | None, typer.Option("--map-index", help="Instance of a mapped task.", min=-1)
    ] = None,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
) -> None:
    """Show everything recorded about one task instance."""

    def ask(store: Store) -> list[StoredAttempt]:
        run, index = run_id, map_index
        if run is None:
            latest = [
                row.attempt
                for row in store.recent(1000, AttemptFilter(dag_id, task_id))
                if index is None or row.attempt.map_index == index
            ]
            if not latest:
                return []
            run, index = latest[0].run_id, latest[0].map_index
        return store.one(dag_id, run, task_id, -1 if index is None else index)

    rows, url = read(store_url, ask)
    if not rows:
        instance = "" if map_index is None else f"[{map_index}]"
        in_run = f" in run {run_id}" if run_id else ""
        fail(f"No attempt of {dag_id}.{task_id}{instance}{in_run} is recorded in {url}.", NO)
    if output is Format.JSON:
        print_json([_as_json(row) for row in rows])
        return
    out = console()
    for row in rows:
        out.print(_details(row))


def _overview(rows: list[StoredAttempt]) -> Table:
    table = Table(show_lines=True)
    table.add_column("attempt", overflow="fold")
    table.add_column("outcome")
    table.add_column("GiB-s", justify="right")
    table.add_column("cause and decision", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(
            Group(
                safe_text(f"{row.attempt.instance}, try {row.attempt.try_number}"),
                safe_text(row.attempt.run_id, "dim"),
                safe_text(f"{shown_time(row.started_at)} UTC" if row.started_at else "", "dim"),
            ),
            _outcome(row),
            _number(row.gib_seconds),
            Group(safe_text(row.category or "", "bold"), *_decision(row)) if row.action else "",
        )
    return table


def _details(row: StoredAttempt) -> Group:
    attempt = row.attempt
    parts: list[Text] = [
        safe_text(f"{attempt.instance}, run {attempt.run_id}, try {attempt.try_number}", "bold"),
        Text.assemble("  outcome   ", _outcome(row), safe_text(_cost(row))),
        safe_text(f"  started   {shown_time(row.started_at)} UTC, {row.operator}" if row.started_at else ""),
        safe_text(f"  ran with  {_configuration_of(row)}"),
    ]
    parts += [
        safe_text(f"            {key} = {value}", "bold" if row.baseline.get(key) != value else "")
        for key, value in sorted(row.effective.items())
    ]
    if row.action is not None:
        rule = f" (rule {row.rule})" if row.rule else ""
        parts.append(safe_text(f"  category  {row.category}{rule}"))
        if row.template:
            parts.append(safe_text(f"  template  {row.template}"))
        if row.opinion:
            sure = "" if row.opinion.get("above_bar") else ", too low to count"
            parts.append(
                safe_text(
                    f"  opinion   text model: {row.opinion.get('category')}, confidence "
                    f"{row.opinion.get('confidence')}{sure} (recorded only, it changes nothing)"
                )
            )
        parts += [safe_text(f"  line {line.number}: {line.text}", "dim") for line in row.lines]
        parts += [
            safe_text(
                f"  {'because of' if depth else 'ended by  '} line {link.line.number}: {link.line.text}"
            )
            for depth, link in enumerate(row.chain)
        ]
        parts += [safe_text(f"  not seen  {phrase}") for phrase in row.unseen]
        parts += [Text.assemble("  ", line) for line in _decision(row)]
        parts.append(safe_text(f"  decided by {row.decided_by}, {shown_time(row.decided_at)} UTC"))
    if row.excerpt:
        parts.append(safe_text("  evidence"))
        parts += [safe_text(f"    {line}", "dim") for line in row.excerpt.splitlines()]
    return Group(*(part for part in parts if part.plain), Text())


def _configuration_of(row: StoredAttempt) -> str:
    if not row.patched:
        return "the declared configuration"
    key = (row.patch_key or "")[:SHORT_KEY]
    return f"a patched configuration (autoremed patches show {key})" if key else "a patched configuration"


def _decision(row: StoredAttempt) -> list[Text]:
    """The decision, its reason and its changes, one under the other."""
    if row.action is None:
        return []
    word = row.action.value.replace("_", " ")
    shadow = " (shadow: nothing was changed)" if row.mode is Mode.SHADOW else ""
    head = Text.assemble((word, _STYLES[row.action]), f"{shadow}: ", safe_text(row.reason or ""))
    changes = [
        safe_text(f"{key}: {'(not set)' if before is None else before} -> {after}")
        for key, (before, after) in sorted(row.changes.items())
    ]
    return [head, *changes]


def _outcome(row: StoredAttempt) -> Text:
    if row.interrupted:
        return Text("ended from outside", "dim")
    if row.succeeded is None:
        return Text("unknown", "dim")
    return Text("succeeded", "green") if row.succeeded else Text("failed", "red")


def _cost(row: StoredAttempt) -> str:
    after = "" if row.duration_s is None else f" after {row.duration_s:.1f} s"
    return after if row.gib_seconds is None else f"{after}, {_number(row.gib_seconds)} GiB-seconds"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _as_json(row: StoredAttempt) -> dict[str, Any]:
    attempt = row.attempt
    return {
        "dag_id": attempt.dag_id,
        "run_id": attempt.run_id,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index,
        "try_number": attempt.try_number,
        "operator": row.operator,
        "started_at": row.started_at and row.started_at.isoformat(),
        "patched": row.patched,
        "patch_key": row.patch_key,
        "baseline": dict(row.baseline),
        "effective": dict(row.effective),
        "category": row.category,
        "rule": row.rule,
        "decision": row.action and row.action.value,
        "mode": row.mode and row.mode.value,
        "reason": row.reason,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at and row.decided_at.isoformat(),
        "changes": {key: list(pair) for key, pair in row.changes.items()},
        "lines": [
            {"number": line.number, "text": line.text, "source": line.source.value} for line in row.lines
        ],
        "chain": [
            {
                "what": link.what,
                "number": link.line.number,
                "text": link.line.text,
                "source": link.line.source.value,
            }
            for link in row.chain
        ],
        "unseen": list(row.unseen),
        "template": row.template,
        "opinion": row.opinion,
        "excerpt": row.excerpt,
        "succeeded": row.succeeded,
        "interrupted": row.interrupted,
        "ended_at": row.ended_at and row.ended_at.isoformat(),
        "duration_s": row.duration_s,
        "gib_seconds": row.gib_seconds,
    }
