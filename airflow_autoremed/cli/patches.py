"""``autoremed patches``: which patches there are, how each came about, and taking one back."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer
from rich.table import Table

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
from airflow_autoremed.cli.store_access import StoreOption, opened, read
from airflow_autoremed.history.stored import StoredPatch
from airflow_autoremed.types import ANY, ANY_MAP_INDEX, PatchState

_STYLES = {PatchState.PROMOTED: "bold green", PatchState.PROVEN: "green", PatchState.REVOKED: "red"}

patches_app = typer.Typer(name="patches", help="List, explain and revoke patches.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="Key of the patch, or the beginning of it.", metavar="KEY")]


@patches_app.callback()
def patches() -> None:
    """List, explain and revoke patches."""


@patches_app.command(name="list")
def list_(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also patches that hold for one run only, and those no longer in force."),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="Number of patches to show.")
    ] = 50,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
) -> None:
    """List the patches that the next runs start with."""
    rows, name = read(store_url, lambda store: store.patches(limit, in_force_only=not everything))
    if output is Format.JSON:
        print_json([_as_json(row) for row in rows])
        return
    if not rows:
        say(f"There are no patches in {name}." if everything else f"There is no promoted patch in {name}.")
        return
    table = Table()
    for column in ("patch", "for", "cause", "state", "last used"):
        table.add_column(column, overflow="fold")
    table.add_column("changes", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(
            row.key[:SHORT_KEY],
            safe_text(_whom(row)),
            safe_text(row.category),
            safe_text(f"{row.state.value}\n{shown_time(row.state_at)}", _STYLES.get(row.state, "")),
            shown_time(row.last_used_at),
            safe_text("\n".join(_changes(row))),
        )
    console().print(table)


@patches_app.command()
def show(key: KeyArgument, output: FormatOption = Format.TEXT, store_url: StoreOption = None) -> None:
    """Show one patch and its history.

    What it changes, for which task, and who changed its state, when and why.
    """
    row = _only(read(store_url, lambda store: store.find_patches(key))[0], key)
    if output is Format.JSON:
        print_json(_as_json(row))
        return
    say(f"Patch {row.key[:SHORT_KEY]} for {_whom(row)}", "bold")
    say(f"  cause  {row.category}")
    say(f"  state  {row.state.value}, since {shown_time(row.state_at)} UTC")
    for line in _changes(row):
        say(f"  {line}")
    for change in row.changes:
        say(f"  {shown_time(change.at)}  {change.to_state:<10} {change.who}: {change.why}")


@patches_app.command()
def revoke(
    key: KeyArgument,
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the history.")],
    store_url: StoreOption = None,
) -> None:
    """Revoke a patch.

    The next attempts start with the declared configuration.
    """
    with opened(store_url) as store:
        row = _only(store.find_patches(key), key)
        if not store.end_patch(row.key, PatchState.REVOKED, who=getpass.getuser(), why=why):
            fail(f"Patch {row.key[:SHORT_KEY]} is already {row.state.value}.", NO)
        running = store.running_with(row.key)
    say(f"Patch {row.key[:SHORT_KEY]} for {_whom(row)} is revoked.")
    say("New attempts run with the declared configuration.")
    for attempt in running:
        say(f"Still running with the patch: {attempt}")


def _only(rows: list[StoredPatch], key: str) -> StoredPatch:
    if not rows or not key:
        fail(f"No patch begins with {key!r}; `autoremed patches list --all` shows them.", NO)
    if len(rows) > 1:
        fail(f"{len(rows)} patches begin with {key!r}; write more of the key.", NO)
    return rows[0]


def _whom(row: StoredPatch) -> str:
    scope = row.patch.scope
    instance = {ANY_MAP_INDEX: " [every instance]", -1: ""}.get(scope.map_index, f" [{scope.map_index}]")
    run = "every run" if scope.run_id == ANY else f"run {scope.run_id}, try {row.patch.from_try + 1}"
    job = "" if scope.kind == "run" or scope.fingerprint == ANY else f", job {scope.fingerprint}"
    return f"{scope.dag_id}.{scope.task_id}{instance}, {run}{job}"


def _changes(row: StoredPatch) -> list[str]:
    tested = {each["path"]: each["value"] for each in row.patch.operations if each["op"] == "test"}
    return [
        f"{each['path'][1:]}: {tested.get(each['path'], '(not set)')} -> {each['value']}"
        for each in row.patch.operations
        if each["op"] != "test"
    ]


def _as_json(row: StoredPatch) -> dict[str, Any]:
    scope = row.patch.scope
    return {
        "key": row.key,
        "kind": scope.kind,
        "dag_id": scope.dag_id,
        "run_id": scope.run_id,
        "task_id": scope.task_id,
        "map_index": scope.map_index,
        "fingerprint": scope.fingerprint,
        "from_try": row.patch.from_try,
        "category": row.category,
        "state": row.state.value,
        "state_at": row.state_at and row.state_at.isoformat(),
        "created_at": row.created_at and row.created_at.isoformat(),
        "last_used_at": row.last_used_at and row.last_used_at.isoformat(),
        "operations": [dict(each) for each in row.patch.operations],
        "changes": [
            {
                "at": change.at and change.at.isoformat(),
                "who": change.who,
                "from_state": change.from_state,
                "to_state": change.to_state,
                "why": change.why,
            }
            for change in row.changes
        ],
    }
