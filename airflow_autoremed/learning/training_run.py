"""One training, from attempts to a model that decides, or to the reasons why it does not.

Imports scikit-learn, through :mod:`airflow_autoremed.learning.training`: never in a worker that handles a failure.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from airflow_autoremed.learning import registry
from airflow_autoremed.learning.audits import Audit, audit
from airflow_autoremed.learning.examples import Refused, TrainingSet, examples
from airflow_autoremed.learning.model import MANIFEST, Model, load, write
from airflow_autoremed.learning.training import Score, Trained, train
from airflow_autoremed.types import Objective, RecordedAttempt

log = logging.getLogger("airflow_autoremed")

_SUFFICIENT = 40
"""Models that are kept: older ones that neither decide nor decided are removed."""


@dataclass(frozen=True)
class Report:
    """What came of a training."""

    name: str
    folder: Path
    attempts: int
    failures: int
    refused: str
    """Attempts that nothing was learned from, by why."""
    scores: tuple[Score, ...]
    audits: tuple[Audit, ...]
    promoted: bool
    champion: str | None
    """The model that decides now."""

    @property
    def passed(self) -> bool:
        """Whether every audit passed."""
        return all(each.passed for each in self.audits)


def run(
    records: Iterable[RecordedAttempt],
    models: Path,
    *,
    objective: Objective,
    seed: int = 0,
    promote: bool = True,
    by_task: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Train on *records*, audit, write the model to *models* and, where it passed, let it decide.

    :param by_task: whether the attempts of each task stand together.
    :param say: is told what is being done.
    :raises TooLittleDataError: when there is too little to learn from.
    """
    refused = Refused()
    say("reading the history")
    return from_training_set(
        TrainingSet.of(examples(records, refused, by_task=by_task)),
        models,
        objective=objective,
        seed=seed,
        promote=promote,
        say=say,
        refused=str(refused),
    )


def from_training_set(
    found: TrainingSet,
    models: Path,
    *,
    objective: Objective,
    seed: int = 0,
    promote: bool = True,
    say: Callable[[str], None] = lambda _: None,
    refused: str = "",
) -> Report:
    """The same from examples that were made elsewhere (:mod:`airflow_autoremed.distributed`)."""
    name = _new_name(models)
    trained = train(found, name=name, seed=seed, say=say)
    present = registry.champion_name(models)
    champion = load(models / present) if present else None
    say(f"auditing on the newest {len(trained.newest):,} attempts")
    audits = audit(trained.model, trained.newest, champion, stop_above=objective.stop_above)
    passed = all(each.passed for each in audits)
    model = replace(
        trained.model,
        manifest={
            **trained.model.manifest,
            "refused": refused,
            "audits": [each.to_dict() for each in audits],
        },
    )
    folder = models / name
    write(model, folder)
    _keep_estimators(folder, trained)
    _write_card(folder, model, trained, audits)
    if passed and promote:
        registry.promote(models, name, who="training", why="it passed its audits")
    _tidy(models)
    return Report(
        name,
        folder,
        len(found),
        int(found.failed.sum()),
        refused,
        trained.scores,
        audits,
        promoted=passed and promote,
        champion=registry.champion_name(models),
    )


def _new_name(models: Path) -> str:
    stem = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    name, number = stem, 1
    while (models / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _keep_estimators(folder: Path, trained: Trained) -> None:
    """For people and retraining. Never loaded in a worker: unpickling runs code."""
    import joblib

    joblib.dump(trained.estimators, folder / "estimators.joblib", compress=3)


def _write_card(folder: Path, model: Model, trained: Trained, audits: tuple[Audit, ...]) -> None:
    from airflow_autoremed.learning.model_card import write_card

    try:
        write_card(folder / "card.html", model, trained.newest, trained.scores, audits)
    except Exception as error:  # noqa: BLE001 - a model is worth having without its card
        log.warning("[autoremed] The model card could not be written: %r", error)


def _tidy(models: Path) -> None:
    import shutil

    kept = {registry.champion_name(models), *registry.before(models)}
    for entry in registry.entries(models)[_SUFFICIENT:]:
        if entry.name not in kept and (entry.folder / MANIFEST).is_file():
            shutil.rmtree(entry.folder, ignore_errors=True)


def as_json(report: Report) -> str:
    """*report*, for machines."""
    return json.dumps(
        {
            "name": report.name,
            "folder": str(report.folder),
            "attempts": report.attempts,
            "failures": report.failures,
            "refused": report.refused,
            "promoted": report.promoted,
            "champion": report.champion,
            "scores": [vars(score) for score in report.scores],
            "audits": [each.to_dict() for each in report.audits],
        },
        indent=2,
    )
