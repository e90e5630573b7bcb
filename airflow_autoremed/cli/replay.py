"""``autoremed replay``: what a policy would have decided on the recorded history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import Format, FormatOption, console, fail, print_json
from airflow_autoremed.cli.store_access import ModelsOption, StoreOption, recorded
from airflow_autoremed.errors import SettingsError, StoreError
from airflow_autoremed.settings import parse_duration


def replay(
    since: Annotated[
        str | None, typer.Option("--since", help="Only failures of this period, for example 90d.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Name of a model. Default: the active one.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the result as a PNG or SVG file.")
    ] = None,
    output: FormatOption = Format.TEXT,
    store_url: StoreOption = None,
    models: ModelsOption = None,
) -> None:
    """Replay recorded failures under other policies.

    Says what the playbook, and a model, would have healed, saved or broken. A model is judged only by failures that are later than those it learned from. What cannot be known is given as
    bounds.
    """
    from airflow_autoremed import replay as replaying
    from airflow_autoremed.errors import UnusableModelError
    from airflow_autoremed.learning import registry
    from airflow_autoremed.learning.model import read

    try:
        settings = configuration.load()
        past = parse_duration(since, where="--since")
        folder = models or settings.models
        name = model or registry.champion_name(folder)
        predictor = None if name is None else read(folder / Path(name).name)
    except (SettingsError, UnusableModelError) as error:
        fail(str(error))
    begin = 0.0 if past is None else (datetime.now(timezone.utc) - timedelta(seconds=past)).timestamp()
    policies: dict[str, replaying.Policy] = {
        "as Airflow does: the same again": replaying.blind,
        "playbook": replaying.playbook(settings.limits),
    }
    if predictor is not None:
        policies[f"playbook and model {name}"] = replaying.with_model(settings.limits)
        begin = max(begin, float(predictor.manifest.get("learned_until", 0.0)))
    attempts = recorded(store_url)
    try:
        with console(err=True).status("replaying"):
            found = replaying.replay(
                attempts,
                policies,
                replaying.describe,
                prices=settings.prices,
                predictor=predictor,
                objective=settings.objective,
                after=begin,
            )
    except StoreError as error:
        fail(str(error))
    if plot is not None:
        _draw(plot, found)
    if output is Format.JSON:
        print_json({policy: asdict(tally) for policy, tally in found.items()})
        return
    _print(found, begin, settings.prices.currency)


def _print(found: Mapping[str, Any], begin: float, currency: str) -> None:
    out = console()
    judged = next(iter(found.values())).failures
    if not judged:
        out.print(
            "No failure that another try followed"
            + (f" since {datetime.fromtimestamp(begin, timezone.utc):%Y-%m-%d %H:%M} UTC" if begin else "")
            + ": there is nothing to replay. Shadow mode and autoremed ingest fill the history."
        )
        return
    table = Table(
        "policy", "next try heals", "stops rightly", "stops wrongly", "fails for sure", "unknown", "cost"
    )
    for policy, tally in found.items():
        least, most = tally.healed_bounds
        share = f"{least:.1%}" if most - least < 5e-4 else f"{least:.1%} to {most:.1%}"
        if tally.unknown and tally.expected_healed:
            share += f" (the model says {(tally.healed + tally.expected_healed) / tally.failures:.1%})"
        table.add_row(
            policy,
            share,
            f"{tally.stopped_rightly:,}",
            f"{tally.stopped_wrongly:,}",
            f"{tally.failed:,}",
            f"{tally.unknown:,}",
            f"{tally.retry_cost:,.2f} {currency}",
        )
    out.print(table)
    recorded = next(iter(found.values())).recorded_cost
    out.print(
        f"{judged:,} failures that another try followed; the tries after them cost {recorded:,.2f} {currency}. "
        "Bounds: what a configuration that was never run would have done is not known."
    )


def _draw(path: Path, found: Mapping[str, Any]) -> None:
    """Bars of the share healed, with the bounds, and of what was stopped."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        fail("--plot needs matplotlib: pip install 'airflow-autoremed[learning]'")
    figure = Figure(figsize=(8, 1.2 + 0.7 * len(found)), layout="constrained")
    axes = figure.subplots()
    for number, tally in enumerate(found.values()):
        least, most = tally.healed_bounds
        judged = max(1, tally.failures)
        stopped = (tally.stopped_rightly + tally.stopped_wrongly) / judged
        axes.barh(number, least, color="#2b7a4b", label="next try heals" if not number else None)
        axes.barh(number, most - least, left=least, color="#a9d3b8", label="perhaps" if not number else None)
        axes.barh(number, stopped, left=1 - stopped, color="#c9ccd1", label="stopped" if not number else None)
    axes.set(xlim=(0, 1), xlabel="share of the failures that another try followed")
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small", frameon=False)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:  # no such directory, no such format
        fail(f"--plot: {path} cannot be written: {getattr(error, 'strerror', None) or error}")
