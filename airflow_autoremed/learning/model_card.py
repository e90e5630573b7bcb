"""The model card: what a model learned from, how good it is and what it looks at, as one HTML file for people.

The plots need matplotlib (extra ``learning``); without it the card is made without them and says so.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.learning import features
from airflow_autoremed.learning.audits import Audit, calibration_error
from airflow_autoremed.learning.examples import TrainingSet
from airflow_autoremed.learning.model import Model
from airflow_autoremed.learning.training import Score

_MOST_ROWS = 5_000
_SHOWN = 15


def importance(model: Model, newest: TrainingSet, seed: int = 0) -> list[tuple[str, float]]:
    """Permutation importance: by how much the Brier score rises when what belongs together is shuffled among
    attempts. All columns of a setting, and all hashed names, are shuffled as one. Largest first."""
    rows = newest.rows[-_MOST_ROWS:]
    failed = newest.failed[-_MOST_ROWS:]
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(features.COLUMNS):
        groups.setdefault("names" if name.startswith("name") else name.partition(":")[0], []).append(number)
    base = float(((model.probabilities(rows) - failed) ** 2).mean())
    order = np.random.default_rng(seed).permutation(len(rows))
    found = []
    for name, columns in groups.items():
        shuffled = rows.copy()
        shuffled[:, columns] = rows[order][:, columns]
        found.append((name, float(((model.probabilities(shuffled) - failed) ** 2).mean()) - base))
    return sorted(found, key=lambda pair: -pair[1])


def write_card(
    path: Path, model: Model, newest: TrainingSet, scores: Sequence[Score], audits: Sequence[Audit]
) -> None:
    """Write the card of *model*, judged by *newest*, to *path*."""
    from jinja2 import Environment

    mine = model.probabilities(newest.rows)
    ranked = importance(model, newest)
    page = Environment(autoescape=True).from_string(_PAGE)
    path.write_text(
        page.render(
            model=model,
            manifest=model.manifest,
            since=_day(model.manifest["from"]),
            until=_day(model.manifest["until"]),
            newest=len(newest),
            ece=calibration_error(mine, newest.failed),
            scores=scores,
            audits=audits,
            ranked=ranked[:_SHOWN],
            plots=_plots(model, newest, mine, ranked),
        ),
        encoding="utf-8",
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def _plots(
    model: Model, newest: TrainingSet, mine: NDArray[np.float64], ranked: Sequence[tuple[str, float]]
) -> list[tuple[str, str]]:
    """Title and PNG as base64; none without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []

    def drawn(title: str, draw: Any) -> tuple[str, str]:
        figure = Figure(figsize=(5, 3.4), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return title, base64.b64encode(buffer.getvalue()).decode()

    def calibration(axes: Any) -> None:
        order = np.argsort(mine, kind="stable")
        parts = [part for part in np.array_split(order, 10) if len(part)]
        said = [float(mine[part].mean()) for part in parts]
        was = [float(newest.failed[part].mean()) for part in parts]
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(said, was, marker="o")
        axes.set(xlabel="predicted P(fail)", ylabel="share that failed", xlim=(0, 1), ylim=(0, 1))

    def looked_at(axes: Any) -> None:
        shown = [pair for pair in ranked if pair[1] > 0][:10][::-1]
        axes.barh([name.removeprefix("spark.") for name, _ in shown], [rise for _, rise in shown])
        axes.set(xlabel="rise of the Brier score when shuffled")

    def durations(axes: Any) -> None:
        known = np.isfinite(newest.log_duration)
        error = np.exp(model.duration.rows(newest.rows[known]) - newest.log_duration[known])
        axes.hist(np.clip(error, 0.2, 5), bins=np.geomspace(0.2, 5, 41))
        axes.axvline(1, color="0.3", linewidth=1)
        axes.set(xscale="log", xlabel="predicted / actual duration", ylabel="attempts")
        axes.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        axes.minorticks_off()

    return [
        drawn("Calibration on the newest attempts", calibration),
        drawn("What it looks at", looked_at),
        drawn("Duration, and with it cost", durations),
    ]


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Model {{ model.name }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2530 }
h1, h2 { font-weight: 600 } h2 { margin-top: 2rem; font-size: 1.1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e3e7ec }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.failed { color: #b3261e; font-weight: 600 } .passed { color: #1b7a3d }
figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { font-size: .85rem; color: #55606e }
img { max-width: 100%; width: 28rem }
</style></head><body>
<h1>Model {{ model.name }}</h1>
<p>Learned from {{ "{:,}".format(manifest.attempts) }} attempts, {{ "{:,}".format(manifest.failures) }} of them failures,
from {{ since }} to {{ until }}; seed {{ manifest.seed }}. Failures are predicted by <b>{{ manifest.families.fails }}</b>,
durations by <b>{{ manifest.families.duration }}</b>. Judged by the newest {{ "{:,}".format(newest) }} attempts, which
training did not see.</p>
{% if manifest.refused %}<p>Nothing was learned from attempts: {{ manifest.refused }}.</p>{% endif %}
<h2>Audits</h2>
<table><tr><th>Requirement</th><th></th><th>Measured</th></tr>
{% for audit in audits %}<tr><td>{{ audit.name }}</td>
<td class="{{ 'passed' if audit.passed else 'failed' }}">{{ "passed" if audit.passed else "failed" }}</td>
<td>{{ audit.says }}</td></tr>{% endfor %}</table>
<h2>The families that competed</h2>
<table><tr><th>Family</th><th>Predicts</th><th>Loss (Brier score; mean absolute error of the log)</th></tr>
{% for score in scores %}<tr><td>{{ score.family }}</td><td>{{ score.head }}</td>
<td class="number">{{ "%.4f"|format(score.loss) }}</td></tr>{% endfor %}</table>
<h2>Plots</h2>
{% for title, png in plots %}<figure><img alt="{{ title }}" src="data:image/png;base64,{{ png }}">
<figcaption>{{ title }}</figcaption></figure>{% else %}
<p>Without plots: matplotlib is not installed (<code>pip install 'airflow-autoremed[learning]'</code>).</p>{% endfor %}
<p>Calibration error: {{ "%.4f"|format(ece) }}.</p>
<h2>What it looks at</h2>
<table><tr><th>What is shuffled</th><th>Rise of the Brier score</th></tr>
{% for name, rise in ranked %}<tr><td>{{ name }}</td><td class="number">{{ "%+.4f"|format(rise) }}</td></tr>{% endfor %}
</table></body></html>
"""
