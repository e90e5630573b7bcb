"""Training the text model. Needs scikit-learn (``pip install 'airflow-autoremed[learning]'``); not for workers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_autoremed import log_text
from airflow_autoremed.errors import TooLittleDataError
from airflow_autoremed.learning.text_model import WIDTH, TextModel, counts, features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGET = 0.9
"""Share of the opinions above the bar that must be right, on texts that the model has not seen."""
FEWEST_ABOVE = 20
"""Opinions above the bar that this share must have been seen on."""
FEWEST_EXAMPLES = 60
FEWEST_PER_CATEGORY = 3
"""Distinct groups of texts that a category needs; others are left out, and count as wrong when measured."""
FOLDS = 5
_STRENGTH = 100.0
"""Inverse of the regularisation. Of 1, 10 and 100, with classes balanced or not, and of a linear SVM, all were right
equally often on held-out rules; this one's confidence said best when (benchmarks/text_model.py)."""


@dataclass(frozen=True)
class Example:
    """One failure whose category is known."""

    text: str
    category: str
    group: str = ""
    """Texts of one group are never on both sides of a split; empty: those that mask alike. The rule that names the
    failure is a good one: what the model is asked about is what none of the known rules names."""


@dataclass(frozen=True)
class Training:
    """A trained model with the estimator that it was exported from."""

    model: TextModel
    estimator: Any
    """:class:`sklearn.linear_model.LogisticRegression`, fitted on all examples."""


def train_text_model(examples: Sequence[Example], seed: int = 0, target: float = TARGET) -> Training:
    """Fit on all examples; measure, and choose the bar, on examples that were held out in turn, by group.

    :raises TooLittleDataError: with how much is needed.
    :raises ModuleNotFoundError: without scikit-learn.
    """
    import numpy as np
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped,unused-ignore]

    if len(examples) < FEWEST_EXAMPLES:
        raise TooLittleDataError(
            f"{len(examples)} failures with a known category are too few to learn from; "
            f"{FEWEST_EXAMPLES} or more are needed"
        )
    found = [counts([example.text]) for example in examples]
    groups = np.array([example.group or _digest(example.text) for example in examples])
    labels = np.array([example.category for example in examples])
    known = _learnable(labels, groups)
    if len(known) < 2:
        raise TooLittleDataError(
            f"fewer than two categories have {FEWEST_PER_CATEGORY} or more different failures; "
            "record more, or give labelled ones with --from"
        )
    usable = np.isin(labels, known)
    guesses = np.full(len(labels), "", dtype=object)
    confidences = np.zeros(len(labels))
    folds = GroupKFold(min(FOLDS, len(set(groups))), shuffle=True, random_state=seed)
    for learn, judge in folds.split(labels, labels, groups):
        learn = learn[usable[learn]]
        if len(set(labels[learn])) < 2:
            continue
        model, _ = _fit([found[i] for i in learn], labels[learn], seed)
        for i in judge:
            opinion = model.predict(examples[i].text)
            guesses[i], confidences[i] = opinion.category, opinion.confidence
    right = guesses == labels
    bar = choose_bar(confidences, right, target)
    model, estimator = _fit([found[i] for i in np.flatnonzero(usable)], labels[usable], seed)
    metrics = _metrics(labels, groups, right, confidences, bar, target, known, seed)
    return Training(replace(model, bar=bar, metrics=metrics), estimator)


def choose_bar(confidences: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> float | None:
    """The lowest confidence from which on a share of ``target`` was right; ``None`` where there is none.

    At least :data:`FEWEST_ABOVE` opinions must stand above it.
    """
    import numpy as np

    order = np.argsort(-confidences, kind="stable")
    ranked = confidences[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last_of_its_confidence = np.append(ranked[1:] != ranked[:-1], True)
    enough = (share >= target) & last_of_its_confidence & (np.arange(1, len(order) + 1) >= FEWEST_ABOVE)
    places = np.flatnonzero(enough)
    return float(ranked[places[-1]]) if len(places) else None


def _digest(text: str) -> str:
    return hashlib.blake2b(
        log_text.telling_lines([text]).encode("utf-8", "replace"), digest_size=8
    ).hexdigest()


def _learnable(labels: NDArray[Any], groups: NDArray[Any]) -> list[str]:
    pairs = {(str(label), str(group)) for label, group in zip(labels, groups, strict=True)}
    sizes = Counter(label for label, _ in pairs)
    return sorted(label for label, size in sizes.items() if size >= FEWEST_PER_CATEGORY)


def _fit(found: Sequence[Counter[int]], labels: NDArray[Any], seed: int) -> tuple[TextModel, Any]:
    """A model with no bar yet, and the estimator."""
    import numpy as np
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped,unused-ignore]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped,unused-ignore]

    frequency = np.zeros(2 * WIDTH)
    for each in found:
        frequency[list(each)] += 1
    rarity = (np.log((1 + len(found)) / (1 + frequency)) + 1).astype(np.float32)
    rows = [features(each, rarity) for each in found]
    matrix = csr_matrix(
        (
            np.concatenate([values for _, values in rows]),
            np.concatenate([columns for columns, _ in rows]),
            np.cumsum([0, *(len(columns) for columns, _ in rows)]),
        ),
        shape=(len(rows), 2 * WIDTH),
    )
    estimator = LogisticRegression(C=_STRENGTH, max_iter=200, tol=1e-3, random_state=seed)
    estimator.fit(matrix, labels)
    weights, offsets = estimator.coef_, estimator.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps the second one's only
        weights, offsets = np.vstack([-weights / 2, weights / 2]), np.array([-offsets[0] / 2, offsets[0] / 2])
    model = TextModel(
        tuple(map(str, estimator.classes_)),
        rarity,
        weights.astype(np.float32),
        offsets.astype(np.float32),
        bar=None,
    )
    return model, estimator


def _metrics(
    labels: NDArray[Any],
    groups: NDArray[Any],
    right: NDArray[np.bool_],
    confidences: NDArray[np.float64],
    bar: float | None,
    target: float,
    known: list[str],
    seed: int,
) -> dict[str, Any]:
    """All on held-out examples."""
    import numpy as np
    import sklearn  # type: ignore[import-untyped,unused-ignore]

    order = np.argsort(-confidences, kind="stable")
    surest = order[: max(1, round(0.3 * len(order)))]
    above = confidences >= bar if bar is not None else np.zeros(len(right), dtype=bool)
    return {
        "examples": len(labels),
        "groups": len(set(groups)),
        "accuracy": round(float(right.mean()), 4),
        "accuracy_of_the_surest_30_percent": round(float(right[surest].mean()), 4),
        "most_frequent_category": round(Counter(labels).most_common(1)[0][1] / len(labels), 4),
        "target": target,
        "above_bar": round(float(above.mean()), 4),
        "right_above_bar": round(float(right[above].mean()), 4) if above.any() else None,
        "right_above_bar_elsewhere": _elsewhere(groups, right, confidences, target, seed),
        "left_out": sorted({str(label) for label in labels} - set(known)),
        "seed": seed,
        "scikit_learn": sklearn.__version__,
    }


def _elsewhere(
    groups: NDArray[Any], right: NDArray[np.bool_], confidences: NDArray[np.float64], target: float, seed: int
) -> float | None:
    """Share right above a bar that was chosen on the other half of the groups: what to expect of the bar."""
    import numpy as np

    names = np.array(sorted(set(groups)))
    half = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    first = np.array([group in half for group in groups])
    hits = total = 0
    for side in (first, ~first):
        bar = choose_bar(confidences[side], right[side], target)
        if bar is not None:
            above = ~side & (confidences >= bar)
            hits, total = hits + int(right[above].sum()), total + int(above.sum())
    return round(hits / total, 4) if total else None
