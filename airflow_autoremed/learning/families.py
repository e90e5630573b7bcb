"""The families of models, as what is left of them when training is done: arrays that numpy alone evaluates.

Each head (*fails*: a score whose sigmoid is a probability; *duration*: the natural logarithm of seconds over the
task's usual ones) is one object with two methods: :meth:`rows` for a matrix of rows, and :meth:`lattice` for all
combinations of the axes' values at once. Every column of a row depends on a single axis
(:mod:`airflow_autoremed.learning.features`), which is what the second is quick by:

- a linear model is a sum of one vector per axis;
- the first layer of a perceptron likewise; what follows is computed for every candidate;
- a leaf of a tree is a box in the lattice. All boxes are added up as differences at their corners, and one running
  sum along every axis gives all candidates.

Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from airflow_autoremed.learning.features import WIDTH

Array = NDArray[np.float64]
Along = Sequence[tuple[NDArray[np.intp], NDArray[np.float32]]]
"""For each axis the columns that it moves, and their values: see ``TaskMemory.along``."""


class Head(Protocol):
    """One output of a model."""

    def rows(self, rows: NDArray[np.float32]) -> Array:
        """The output for each row of a ``(rows, WIDTH)`` matrix."""
        ...

    def lattice(self, row: NDArray[np.float32], along: Along) -> Array:
        """The output for every combination: an array with one dimension for each axis."""
        ...


def shape_of(along: Along) -> tuple[int, ...]:
    """How many values each axis has."""
    return tuple(len(values) for _, values in along)


@dataclass(frozen=True)
class Scaling:
    """Rows for models that need numbers of one size and no gaps: normalised, 0 for what is missing, and a column
    that says so for each column that can be."""

    mean: Array
    scale: Array
    gaps: NDArray[np.intp]
    """Columns that were missing somewhere in training."""

    @classmethod
    def fit(cls, rows: NDArray[np.float32]) -> Scaling:
        """The scaling of *rows*."""
        with np.errstate(invalid="ignore"):
            known = np.isfinite(rows)
            count = np.maximum(known.sum(axis=0), 1)
            filled = np.where(known, rows, 0)
            mean = filled.sum(axis=0, dtype=np.float64) / count
            spread = np.where(known, rows - mean.astype(np.float32), 0)
            variance = np.einsum("ij,ij->j", spread, spread, dtype=np.float64) / count
        scale = np.sqrt(variance)
        return cls(mean, np.where(scale > 1e-6, scale, 1.0), np.flatnonzero(~known.all(axis=0)))

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.mean) + len(self.gaps)

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(rows, width)`` in single precision."""
        scaled = np.zeros((len(rows), self.width), dtype=np.float32)
        scaled[:, : len(self.mean)] = np.nan_to_num(
            (rows - self.mean.astype(np.float32)) / self.scale.astype(np.float32), nan=0.0
        ).clip(-20, 20)
        scaled[:, len(self.mean) :] = ~np.isfinite(rows[:, self.gaps])
        return scaled

    def apply_along(
        self, row: NDArray[np.float32], along: Along
    ) -> tuple[NDArray[np.float32], list[tuple[NDArray[np.intp], NDArray[np.float32]]]]:
        """The scaled row, and for each axis the columns it moves with what it *adds* to them."""
        base = self.apply(row[None, :])[0]
        moves = []
        for columns, values in along:
            rows = np.repeat(row[None, :], len(values), axis=0)
            rows[:, columns] = values
            added = self.apply(rows) - base
            moved = np.flatnonzero(np.abs(added).any(axis=0))
            moves.append((moved, added[:, moved]))
        return base, moves


@dataclass(frozen=True)
class Linear:
    """``rows @ weights + offset``."""

    scaling: Scaling
    weights: Array
    offset: float

    def rows(self, rows: NDArray[np.float32]) -> Array:
        """The answer for each of *rows*."""
        return self.scaling.apply(rows).astype(np.float64) @ self.weights + self.offset

    def lattice(self, row: NDArray[np.float32], along: Along) -> Array:
        """The answer for *row* with each combination of the values in *along*."""
        base, moves = self.scaling.apply_along(row, along)
        result = np.full(shape_of(along), float(base.astype(np.float64) @ self.weights) + self.offset)
        for axis, (columns, added) in enumerate(moves):
            result += _on_axis(added.astype(np.float64) @ self.weights[columns], axis, len(along))
        return result


@dataclass(frozen=True)
class Perceptron:
    """Layers of rectified linear units; *output* is the column of the last layer that is this head's."""

    scaling: Scaling
    weights: tuple[NDArray[np.float32], ...]
    offsets: tuple[NDArray[np.float32], ...]
    output: int
    logit: bool
    """Whether the output is a probability, to be given as its logit."""

    def rows(self, rows: NDArray[np.float32]) -> Array:
        """The answer for each of *rows*."""
        return self._after_first(self.scaling.apply(rows) @ self.weights[0] + self.offsets[0])

    def lattice(self, row: NDArray[np.float32], along: Along) -> Array:
        """The answer for *row* with each combination of the values in *along*."""
        base, moves = self.scaling.apply_along(row, along)
        first = np.ascontiguousarray(base @ self.weights[0] + self.offsets[0])
        total = first.reshape((1,) * len(along) + first.shape)
        for axis, (columns, added) in enumerate(moves):
            part = added @ self.weights[0][columns]
            total = total + part.reshape([-1 if i == axis else 1 for i in range(len(along))] + [first.size])
        shape = shape_of(along)
        return self._after_first(
            np.broadcast_to(total, (*shape, first.size)).reshape(-1, first.size)
        ).reshape(shape)

    def _after_first(self, hidden: NDArray[np.float32]) -> Array:
        last = len(self.weights) - 1
        for number in range(1, last + 1):
            hidden = np.maximum(hidden, 0)
            weights, offsets = self.weights[number], self.offsets[number]
            if number == last:
                weights, offsets = weights[:, [self.output]], offsets[[self.output]]
            hidden = hidden @ weights + offsets
        out = hidden[:, 0].astype(np.float64)
        return logit(out) if self.logit else out


@dataclass(frozen=True)
class Trees:
    """Gradient-boosted trees, all their nodes in flat arrays; children are positions in these."""

    roots: NDArray[np.int32]
    column: NDArray[np.int32]
    """-1: a leaf."""
    threshold: Array
    """A row goes left where its value is at most this."""
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Array
    offset: float

    def rows(self, rows: NDArray[np.float32]) -> Array:
        """The answer for each of *rows*."""
        result = np.full(len(rows), self.offset)
        everyone = np.arange(len(rows))
        for root in self.roots:
            at = np.full(len(rows), root, dtype=np.int32)
            active = everyone
            while len(active):
                active = active[self.column[at[active]] >= 0]
                nodes = at[active]
                values = rows[active, self.column[nodes]]
                goes_left = np.where(
                    np.isnan(values), self.missing_left[nodes], values <= self.threshold[nodes]
                )
                at[active] = np.where(goes_left, self.left[nodes], self.right[nodes])
            result += self.value[at]
        return result

    def lattice(self, row: NDArray[np.float32], along: Along) -> Array:
        """The answer for *row* with each combination of the values in *along*."""
        shape = shape_of(along)
        axis_of: dict[int, tuple[int, NDArray[np.float32]]] = {}
        for axis, (columns, values) in enumerate(along):
            for number, column in enumerate(columns):
                if len(values) and not np.isnan(values[:, number]).any():
                    axis_of[int(column)] = (axis, values[:, number])
        fixed = row.astype(np.float64)
        # Only what a tree asks of the axes is left of it: where it asks anything else, one way is taken.
        lower: list[tuple[int, ...]] = []
        upper: list[tuple[int, ...]] = []
        leaves: list[float] = []
        constant = self.offset
        column, threshold, value = self.column, self.threshold, self.value
        left, right, missing_left = self.left, self.right, self.missing_left
        whole_lower, whole_upper = (0,) * len(shape), shape
        for root in self.roots:
            stack = [(int(root), whole_lower, whole_upper)]
            while stack:
                node, low, high = stack.pop()
                while (asked := int(column[node])) >= 0 and asked not in axis_of:
                    number = fixed[asked]
                    goes_left = missing_left[node] if number != number else number <= threshold[node]
                    node = int(left[node] if goes_left else right[node])
                if asked < 0:
                    if low == whole_lower and high == whole_upper:
                        constant += float(value[node])
                    else:
                        lower.append(low)
                        upper.append(high)
                        leaves.append(float(value[node]))
                    continue
                axis, values = axis_of[asked]
                cut = int(np.searchsorted(values, threshold[node], side="right"))
                if cut > low[axis]:
                    stack.append((int(left[node]), low, _with(high, axis, min(cut, high[axis]))))
                if cut < high[axis]:
                    stack.append((int(right[node]), _with(low, axis, max(cut, low[axis])), high))
        return constant + _sum_of_boxes(shape, lower, upper, leaves)


def _with(position: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*position[:axis], value, *position[axis + 1 :])


def _sum_of_boxes(
    shape: tuple[int, ...], lower: list[tuple[int, ...]], upper: list[tuple[int, ...]], values: list[float]
) -> Array:
    """The sum of ``values[i]`` over every box ``lower[i] <= position < upper[i]``, for all positions."""
    total = np.zeros([length + 1 for length in shape])
    if values:
        low, high, amount = np.array(lower), np.array(upper), np.array(values)
        flat = total.reshape(-1)
        strides = np.array([stride // total.itemsize for stride in total.strides])
        for corner in range(1 << len(shape)):
            bits = np.array([corner >> axis & 1 for axis in range(len(shape))], dtype=bool)
            at = np.where(bits, high, low) @ strides
            np.add.at(flat, at, -amount if bits.sum() % 2 else amount)
        for axis in range(len(shape)):
            np.cumsum(total, axis=axis, out=total)
    return np.array(total[tuple(slice(0, length) for length in shape)])


@dataclass(frozen=True)
class Constant:
    """The same for every attempt: as usual (of a duration), or as often as in general (of a failure)."""

    value: float

    def rows(self, rows: NDArray[np.float32]) -> Array:
        """The answer for each of *rows*."""
        return np.full(len(rows), self.value)

    def lattice(self, row: NDArray[np.float32], along: Along) -> Array:
        """The answer for *row* with each combination of the values in *along*."""
        return np.full(shape_of(along), self.value)


def _on_axis(values: Array, axis: int, axes: int) -> Array:
    return values.reshape([-1 if number == axis else 1 for number in range(axes)])


def logit(probability: Array) -> Array:
    """The score whose sigmoid is *probability*, which is kept off 0 and 1."""
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def sigmoid(score: Array) -> Array:
    """1 / (1 + exp(-score)), without overflow."""
    return np.asarray(np.where(score >= 0, 1, np.exp(-np.abs(score))) / (1 + np.exp(-np.abs(score))))


# ------------------------------------------------------------------------------------------------- as plain arrays

_FORMS: dict[str, type[Any]] = {
    "linear": Linear,
    "perceptron": Perceptron,
    "trees": Trees,
    "constant": Constant,
}


def to_arrays(head: Head, prefix: str) -> dict[str, NDArray[Any]]:
    """*head* as named arrays, for an ``.npz`` file without pickle."""
    form = next(name for name, each in _FORMS.items() if isinstance(head, each))
    arrays: dict[str, Any] = {"form": np.array(form)}
    for name, value in vars(head).items():
        if isinstance(value, Scaling):
            arrays.update({f"scaling.{part}": array for part, array in vars(value).items()})
        elif isinstance(value, tuple):
            arrays.update({f"{name}.{number}": array for number, array in enumerate(value)})
        else:
            arrays[name] = np.asarray(value)
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Head:
    """The head that :func:`to_arrays` was given.

    :raises ValueError: when the arrays are not those of a head of ours, or could not be evaluated.
    """
    mine = {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
    form = str(mine.get("form", ""))
    if form not in _FORMS:
        raise ValueError(f"{form!r} is no form of a model")
    if any(array.dtype.kind == "f" and np.isnan(array).any() for array in mine.values()):
        raise ValueError("it holds numbers that are none")
    try:
        head: Head = _BUILDERS[form](mine)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"an array is missing or of the wrong shape: {error!r}") from None
    return head


def _scaling(mine: Mapping[str, NDArray[Any]]) -> Scaling:
    scaling = Scaling(mine["scaling.mean"], mine["scaling.scale"], mine["scaling.gaps"].astype(np.intp))
    if scaling.mean.shape != (WIDTH,) or scaling.scale.shape != (WIDTH,) or (scaling.scale <= 0).any():
        raise ValueError("its scaling is not that of our rows")
    if len(scaling.gaps) and not (0 <= scaling.gaps.min() <= scaling.gaps.max() < WIDTH):
        raise ValueError("its scaling names columns that rows do not have")
    return scaling


def _linear(mine: Mapping[str, NDArray[Any]]) -> Linear:
    scaling = _scaling(mine)
    if mine["weights"].shape != (scaling.width,):
        raise ValueError("its weights do not fit its scaling")
    return Linear(scaling, mine["weights"], float(mine["offset"]))


def _perceptron(mine: Mapping[str, NDArray[Any]]) -> Perceptron:
    scaling = _scaling(mine)
    layers = sum(name.startswith("weights.") for name in mine)
    weights = tuple(mine[f"weights.{number}"] for number in range(layers))
    offsets = tuple(mine[f"offsets.{number}"] for number in range(layers))
    width = scaling.width
    for matrix, offset in zip(weights, offsets, strict=True):
        if matrix.ndim != 2 or matrix.shape[0] != width or offset.shape != (matrix.shape[1],):
            raise ValueError("its layers do not fit each other")
        width = matrix.shape[1]
    if layers < 2 or not 0 <= int(mine["output"]) < width:
        raise ValueError("its layers do not fit its outputs")
    return Perceptron(scaling, weights, offsets, int(mine["output"]), bool(mine["logit"]))


def _trees(mine: Mapping[str, NDArray[Any]]) -> Trees:
    names = ("column", "threshold", "missing_left", "left", "right", "value")
    nodes = len(mine["column"])
    if any(mine[name].shape != (nodes,) for name in names) or (mine["column"] >= WIDTH).any():
        raise ValueError("its nodes do not fit each other")
    inner = np.flatnonzero(mine["column"] >= 0)
    for name in ("left", "right"):
        children = mine[name][inner]
        # Children stand behind their parents, so that no walk goes round in circles.
        if (children <= inner).any() or (children >= nodes).any():
            raise ValueError("its trees are not trees")
    roots = mine["roots"]
    if len(roots) and not (0 <= roots.min() <= roots.max() < nodes):
        raise ValueError("its trees have no roots")
    return Trees(roots=roots, offset=float(mine["offset"]), **{name: mine[name] for name in names})


_BUILDERS: dict[str, Any] = {
    "linear": _linear,
    "perceptron": _perceptron,
    "trees": _trees,
    "constant": lambda mine: Constant(float(mine["value"])),
}
