"""A training set that a Spark job made (:mod:`airflow_autoremed.distributed`), on one machine again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from airflow_autoremed.learning.examples import Example, TrainingSet
from airflow_autoremed.learning.features import WIDTH


def read_examples(directory: str) -> TrainingSet:
    """The examples in the Parquet files of *directory*, which may be whatever pyarrow can read.

    :raises ValueError: when they were made for other features than this version's.
    """
    from pyarrow import dataset

    files = dataset.dataset(directory, format="parquet")

    def found() -> Iterator[Example]:
        for batch in files.to_batches():
            rows = np.asarray(batch.column("features").flatten(), dtype=np.float32)
            if len(rows) != batch.num_rows * WIDTH:
                raise ValueError(
                    f"{directory} holds rows of {len(rows) / max(1, batch.num_rows):g} features, and this version "
                    f"has {WIDTH}; make the examples again"
                )
            matrix = rows.reshape(-1, WIDTH)
            others = [batch.column(name).to_pylist() for name in batch.schema.names if name != "features"]
            for number, values in enumerate(zip(*others, strict=True)):
                yield Example(matrix[number], *values)

    # By task and time, so that the same history gives the same model wherever its examples were made.
    return TrainingSet.of(sorted(found(), key=lambda each: (each.task, each.started_at)))
