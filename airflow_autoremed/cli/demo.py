"""``autoremed demo``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli.console import NO, console

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_autoremed.demo.expected_outcomes import Ended
    from airflow_autoremed.demo.runner import Demo


def demo(
    keep: bool = typer.Option(
        False, "--keep", help="Keep Airflow running until Ctrl-C, so that you can look at its UI."
    ),
    baseline: bool = typer.Option(
        False, "--baseline", help="Measure what plain retries cost, and keep the figures for the table."
    ),
) -> None:
    """Run eight real Spark tasks through a real Airflow.

    Watch them heal, be stopped or be left alone.

    Exits with 1 when a task did not end as expected.
    """
    from airflow_autoremed.demo import runner
    from airflow_autoremed.errors import SparkUnavailableError, WebError

    out = console()
    started = time.monotonic()

    def tell(line: str) -> None:
        out.print(Text.assemble((f"{time.monotonic() - started:5.0f} s", "dim"), f"  {line}"))

    try:
        with (
            out.status("running; the first failures take about a minute"),
            runner.run(tell, mode="shadow" if baseline else "act") as ran,
        ):
            if baseline:
                runner.save_baseline(ran, "autoremed demo --baseline")
                out.print(f"kept in {runner.BASELINE}")
                return
            out.print(_table(ran))
            broken = _report_broken(out, ran)
            out.print(f"{len(ran.ended)} tasks in {ran.seconds:.0f} s. Airflow's UI: {ran.airflow.url}")
            if keep:
                _wait_for_ctrl_c(out, ran.airflow.url)
    except (SparkUnavailableError, FileNotFoundError, RuntimeError, WebError) as error:
        out.print(Text.assemble(("The demo could not run: ", "bold red"), str(error)))
        raise typer.Exit(NO) from None
    except KeyboardInterrupt:
        out.print("stopped")
        raise typer.Exit(130) from None
    if broken:
        raise typer.Exit(NO)


def _table(ran: Demo) -> Table:
    blind, caption = _baseline()
    table = Table(title="How the tasks ended", title_justify="left", caption=caption, caption_justify="left")
    for column in ("task", "tries", "category", "before -> after", "decision", "outcome"):
        table.add_column(column, overflow="fold")
    table.add_column("GiB-s", justify="right")
    table.add_column("blind", justify="right")
    for each in ran.ended:
        table.add_row(
            Text.assemble(each.promise.task_id, "\n", (each.promise.about, "dim")),
            str(len(each.rows)),
            _text(each.rows[0].category if each.rows else None),
            _changes(each),
            _text(each.rows[0].action.value if each.rows and each.rows[0].action else None),
            _outcome(each),
            f"{each.gib_seconds:.0f}",
            blind.get(each.promise.task_id, "?"),
        )
    return table


def _baseline() -> tuple[dict[str, str], str]:
    from airflow_autoremed.demo.runner import BASELINE

    legend = "GiB-s: memory of all containers times the time they were held, over all tries."
    try:
        kept = json.loads(BASELINE.read_text())
    except (OSError, ValueError):
        return {}, f"{legend} What blind retries spend was not measured here: autoremed demo --baseline."
    blind = {name: f"{task['gib_seconds']:.0f}" for name, task in kept["tasks"].items()}
    return blind, (
        f"{legend} blind: the same with blind retries, measured on {kept['measured_at']} "
        f"({kept['machine']}) with: {kept['command']}"
    )


def _changes(each: Ended) -> str:
    changes = each.rows[0].changes if each.rows else {}
    return "\n".join(
        f"{key.removeprefix('spark.')} {before or 'default'} -> {after}"
        for key, (before, after) in changes.items()
    )


def _outcome(each: Ended) -> Text:
    if each.state == "success":
        healed = any(row.patched for row in each.rows)
        return Text("healed" if healed else "success", "green")
    stopped = bool(each.rows) and each.rows[-1].action is not None and each.rows[-1].action.value == "stop"
    return Text("stopped", "yellow") if stopped else Text(str(each.state), "red")


def _text(value: str | None) -> str:
    return value or "-"


def _report_broken(out: Console, ran: Demo) -> bool:
    broken = [(each, each.broken()) for each in ran.ended if each.broken()]
    for each, why in broken:
        promise = each.promise
        out.print(Text.assemble((f"{promise.task_id} did not end as expected: ", "bold red"), why))
        log = ran.airflow.task_log(
            promise.dag_id, ran.run_ids[promise.dag_id], promise.task_id, max(1, len(each.rows))
        )
        for line in log[-30:]:
            out.print(f"    {line[:200]}")
    return bool(broken)


def _wait_for_ctrl_c(out: Console, airflow: str) -> None:
    out.print("Airflow and Spark keep running. Press Ctrl-C to stop them.")
    out.print(
        f"What was healed and stopped, and why: {airflow}/autoremed/overview (sign in to Airflow first)"
    )
    while True:
        time.sleep(1)
