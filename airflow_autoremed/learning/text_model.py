"""A second opinion on failures that no rule names: a linear model over hashed words and characters.

It never overrides a rule. Nothing heavy is imported before there is a model to ask: numpy in :func:`read`, and
scikit-learn only where a model is trained (:mod:`airflow_autoremed.learning.text_training`).

On disk it is an artifact (:mod:`airflow_autoremed.learning.artifact`); 34 categories take 4.5 MB.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_autoremed import log_text
from airflow_autoremed.errors import UnusableModelError
from airflow_autoremed.learning import artifact
from airflow_autoremed.settings import airflow_home

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger("airflow_autoremed")

SCHEMA = 1
"""Of the artifact."""
FEATURES = 1
"""Of :func:`counts`. A model of other features, or of another :data:`airflow_autoremed.log_text.VERSION`, is refused."""
MANIFEST = artifact.MANIFEST
_CURE = "train it again (autoremed rules learn)"

WIDTH = 2**14
"""Columns for words, and as many for characters."""
_LONGEST_TEXT = 12_000
"""Characters of a condensed text that features are made of; the last ones."""

_WORD = re.compile(r"<[a-z]+>|[A-Za-z][A-Za-z0-9]+|[0-9]{1,4}")
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_GRAMS = (3, 4, 5)


@dataclass(frozen=True)
class Opinion:
    """What the text model says about a failure."""

    category: str
    confidence: float
    """Its own probability of that category, 0 to 1."""
    above_bar: bool
    """Whether it is sure enough, by what it got right on texts that it had not seen."""
    model: str = ""
    """The first digits of the model's SHA-256, for the audit."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, for the record."""
        return {
            "category": self.category,
            "confidence": round(self.confidence, 4),
            "above_bar": self.above_bar,
            "model": self.model,
        }


@dataclass(frozen=True)
class TextModel:
    """A trained model. Arrays are float32."""

    classes: tuple[str, ...]
    rarity: NDArray[np.float32]
    """Inverse document frequency of each of the ``2 * WIDTH`` columns."""
    weights: NDArray[np.float32]
    """``(classes, columns)``."""
    offsets: NDArray[np.float32]
    bar: float | None
    """Confidence from which on it is right often enough; ``None``: at no confidence."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def probabilities(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Per class, of one failure with these texts."""
        import numpy as np

        columns, values = features(counts(texts), self.rarity)
        scores = self.offsets.astype(np.float64)
        if len(columns):
            scores = scores + self.weights[:, columns].astype(np.float64) @ values
        grown = np.exp(scores - scores.max())
        return np.asarray(grown / grown.sum())

    def predict(self, *texts: str) -> Opinion:
        """The most likely category of one failure."""
        probabilities = self.probabilities(texts)
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        above = self.bar is not None and confidence >= self.bar
        return Opinion(self.classes[best], confidence, above, self.name)


def model_directory() -> Path:
    """Where ``autoremed rules learn`` puts the text model, and where it is looked for."""
    return airflow_home() / "autoremed" / "text_model"


def second_opinion(directory: Path | str, texts: Iterable[str]) -> Opinion | None:
    """What the model in ``directory`` says about a failure with these texts; ``None`` where there is no model.

    Never raises. Without a model it costs one look at the file system.
    """
    if not os.path.isfile(os.path.join(directory, MANIFEST)):  # noqa: PTH113, PTH118 - the cheapest look
        return None
    try:
        model = load(directory)
        return None if model is None else model.predict(*texts)
    except Exception as error:  # noqa: BLE001 - an opinion is never worth a task
        log.warning("[autoremed] The text model in %s has no opinion: %r", directory, error)
        return None


def load(directory: Path | str) -> TextModel | None:
    """The model in ``directory``; ``None``, with a warning that says why, where it cannot be used. Never raises."""
    return artifact.usable(read, directory, "text model")


def read(directory: Path | str) -> TextModel:
    """The model in ``directory``.

    :raises UnusableModelError: there is none, it is damaged, or it was made for another version of this package.
    """
    found = artifact.find(Path(directory), _CURE)
    found.require({"schema": SCHEMA, "features": FEATURES, "wording": log_text.VERSION, "width": WIDTH})
    return _checked(found.manifest, found.arrays())


def _checked(manifest: Mapping[str, Any], arrays: dict[str, Any]) -> TextModel:
    import numpy as np

    classes, bar = manifest.get("classes"), manifest.get("bar")
    if (
        not isinstance(classes, list)
        or len(classes) < 2
        or not all(isinstance(each, str) for each in classes)
    ):
        raise UnusableModelError(f"its manifest names no classes; {_CURE}")
    if bar is not None and (isinstance(bar, bool) or not isinstance(bar, (int, float)) or not 0 <= bar <= 1):
        raise UnusableModelError(f"its bar is {bar!r}, no number from 0 to 1; {_CURE}")
    shapes = {"rarity": (2 * WIDTH,), "weights": (len(classes), 2 * WIDTH), "offsets": (len(classes),)}
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise UnusableModelError(f"its {name} are not {shape} finite numbers; {_CURE}")
    return TextModel(
        tuple(classes),
        bar=None if bar is None else float(bar),
        metrics=manifest.get("metrics") or {},
        name=str(manifest.get("sha256"))[:12],
        **{name: arrays[name] for name in shapes},
    )


def save(model: TextModel, directory: Path | str) -> Path:
    """Write ``model``; a former one stays in use until the new one is complete. Returns the manifest's path."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "schema": SCHEMA,
        "features": FEATURES,
        "wording": log_text.VERSION,
        "width": WIDTH,
        "classes": list(model.classes),
        "bar": model.bar,
        "metrics": dict(model.metrics),
    }
    arrays = {"rarity": model.rarity, "weights": model.weights, "offsets": model.offsets}
    name = artifact.write(folder, arrays, manifest, file="text-model-{}.npz", packed=False)
    for former in folder.glob("text-model-*.npz"):
        if former.name != name:
            former.unlink(missing_ok=True)
    return folder / MANIFEST


# ------------------------------------------------------------------------------------------------------- features


def counts(texts: Iterable[str]) -> Counter[int]:
    """Column to how often its word, pair of words, or run of characters stands in the telling lines, masked.

    Hashed with CRC-32, which is the same in every process and version, as Python's own hash is not.
    """
    found: Counter[int] = Counter()
    for line in log_text.telling_lines(texts)[-_LONGEST_TEXT:].split("\n"):
        words = [part for word in _WORD.findall(line) for part in _parts(word)]
        for word in words:
            found[_column(word)] += 1
            padded = f" {word} "
            for size in _GRAMS:
                for start in range(len(padded) - size + 1):
                    found[WIDTH + _column(padded[start : start + size])] += 1
        for pair in itertools.pairwise(words):
            found[_column(" ".join(pair))] += 1
    return found


def _parts(word: str) -> list[str]:
    """A word in small letters; where it is of several (``OutOfMemoryError``), its parts too."""
    if word.startswith("<"):
        return [word]
    parts = _CAMEL.findall(word)
    return [word.lower()] if len(parts) < 2 else [word.lower(), *(part.lower() for part in parts)]


def _column(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace")) % WIDTH


def features(
    found: Mapping[int, int], rarity: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Columns in order and their values: damped counts times rarity, words and characters each of length 1."""
    import numpy as np

    columns = np.fromiter(sorted(found), dtype=np.int64, count=len(found))
    values = np.array([1.0 + math.log(found[int(column)]) for column in columns], dtype=np.float64)
    values *= rarity[columns].astype(np.float64) if len(columns) else 1.0
    for part in (columns < WIDTH, columns >= WIDTH):
        length = float(np.sqrt((values[part] ** 2).sum()))
        if length > 0:
            values[part] /= length
    return columns, values
