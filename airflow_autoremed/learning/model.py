"""A trained model in a failing task: read from an artifact of arrays and JSON, evaluated with numpy alone.

Beside the artifact (:mod:`airflow_autoremed.learning.artifact`) lie, for people and retraining and never read here,
the card and the estimators as joblib files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_autoremed.errors import UnusableModelError
from airflow_autoremed.learning import artifact
from airflow_autoremed.types import Prediction, Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from airflow_autoremed.learning.families import Along, Head

SCHEMA = 1
"""Of the artifact."""
MANIFEST = artifact.MANIFEST
ARRAYS = "model.npz"
_CURE = "train again (autoremed train)"


@dataclass(frozen=True)
class Model:
    """Two heads, calibrated, and what they learned from."""

    name: str
    fails: Head
    """Its output times *slope* plus *offset* is the logit of the probability."""
    duration: Head
    """Natural logarithm of seconds over the task's usual ones."""
    slope: float
    offset: float
    usual_duration_s: float
    """Of a task of which nothing is known."""
    similar: Mapping[str, int] = field(default_factory=dict)
    """``category=...``, ``template=...`` and ``task=...`` to how many attempts like that it learned from."""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of failing, for each row, calibrated."""
        from airflow_autoremed.learning.families import sigmoid

        return sigmoid(self.slope * self.fails.rows(rows) + self.offset)

    def predict(self, question: Question) -> Prediction:
        """All combinations in one pass.

        Along an axis of memory the probability never rises, whatever family the model is of: each candidate has
        at least the probability of every one that differs from it only in more memory.
        """
        import numpy as np

        from airflow_autoremed.learning.features import MEMORY_KEYS, TaskMemory

        memory = TaskMemory.of(question.past)
        row = memory.row(question.coming)
        along = memory.along(question.coming, question.axes)
        of_memory = [axis.key.replace("spark.yarn.", "spark.") in MEMORY_KEYS for axis in question.axes]
        fails = self.on_lattice(row, along, of_memory)
        usual = memory.usual_duration_s
        seconds = (usual if usual > 0 else self.usual_duration_s) * np.exp(
            np.clip(self.duration.lattice(row, along), -7, 7)
        )
        return Prediction(fails, seconds, self._similar(question), self.name)

    def on_lattice(
        self, row: NDArray[np.float32], along: Along, memory: Sequence[bool]
    ) -> NDArray[np.float64]:
        """Probabilities of failing for every combination, falling along the axes of *memory*."""
        import numpy as np

        from airflow_autoremed.learning.families import sigmoid

        fails = sigmoid(self.slope * self.fails.lattice(row, along) + self.offset)
        for number, falls in enumerate(memory):
            if falls:
                fails = np.flip(np.maximum.accumulate(np.flip(fails, number), axis=number), number)
        return fails

    def _similar(self, question: Question) -> int:
        """Attempts like this one: of its cause where it follows a failure, else of its task."""
        mine = question.coming.attempt
        before = [
            each
            for each in question.past
            if each.succeeded is False
            and (each.attempt.run_id, each.attempt.map_index) == (mine.run_id, mine.map_index)
        ]
        if not before:
            return self.similar.get(f"task={mine.task}", 0)
        last = before[-1]
        if last.template_id:
            return self.similar.get(f"template={last.template_id}", 0)
        return self.similar.get(f"category={last.category}", 0)


def load(directory: Path | str) -> Model | None:
    """The model in *directory*; ``None`` where there is none, and, with one warning that says why, where it cannot
    be used. Never raises. Without a model it costs one look at the file system."""
    if not os.path.isfile(os.path.join(directory, MANIFEST)):  # noqa: PTH113, PTH118 - the cheapest look
        return None
    return artifact.usable(read, directory, "model")


def read(directory: Path | str) -> Model:
    """The model in *directory*.

    :raises UnusableModelError: there is none, it is damaged, or it was made for another version of this package.
    """
    from airflow_autoremed.learning import families, features

    folder = Path(directory)
    found = artifact.find(folder, _CURE)
    found.require({"schema": SCHEMA, "features": features.VERSION})
    manifest, arrays = _checked(found.manifest, folder), found.arrays()
    try:
        similar = {str(key): int(count) for key, count in dict(manifest["similar"]).items()}
        slope, offset, usual = (float(manifest[name]) for name in ("slope", "offset", "usual_duration_s"))
        if not all(abs(number) < 1e9 for number in (slope, offset, usual)) or slope < 0 or usual <= 0:
            raise ValueError("its calibration is out of range")
        return Model(
            str(manifest["name"]),
            families.from_arrays(arrays, "fails"),
            families.from_arrays(arrays, "duration"),
            slope,
            offset,
            usual,
            similar=similar,
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableModelError(f"{folder} is damaged ({error}); {_CURE}") from None


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """What a model says about itself.

    :raises UnusableModelError: when there is nothing to read.
    """
    return _checked(artifact.find(folder, _CURE).manifest, folder)


def _checked(manifest: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """*manifest*, when what it says for people has the shape that they are shown it in.

    :raises UnusableModelError: otherwise.
    """
    audits, families = manifest.get("audits", []), manifest.get("families", {})
    fits = {
        "audits": isinstance(audits, list)
        and all(isinstance(each, dict) and {"name", "passed", "says"} <= set(each) for each in audits),
        "families": isinstance(families, dict),
        **{
            name: _is_number(manifest.get(name, 0), 1e12)
            for name in ("attempts", "failures", "from", "until")
        },
    }
    odd = [name for name, well in fits.items() if not well]
    if odd:
        raise UnusableModelError(f"{folder} is damaged (its {', '.join(odd)}); {_CURE}")
    return manifest


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def write(model: Model, folder: Path) -> None:
    """Write *model* to *folder*, which has to be new: a model is never changed."""
    from airflow_autoremed.learning import features
    from airflow_autoremed.learning.families import to_arrays

    folder.mkdir(parents=True)
    manifest = {
        **model.manifest,
        "schema": SCHEMA,
        "features": features.VERSION,
        "name": model.name,
        "slope": model.slope,
        "offset": model.offset,
        "usual_duration_s": model.usual_duration_s,
        "similar": dict(model.similar),
    }
    arrays = {**to_arrays(model.fails, "fails"), **to_arrays(model.duration, "duration")}
    artifact.write(folder, arrays, manifest, file=ARRAYS)
