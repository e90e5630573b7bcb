"""Spark's own arithmetic for its containers."""

from __future__ import annotations

import pytest

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.sizes import GIB


@pytest.mark.parametrize("factor", [0.1, 0.4])
@pytest.mark.parametrize("gib", [1, 2, 7, 64])
def test_the_largest_heap_fits_its_room_with_the_overhead_that_spark_adds(gib: int, factor: float) -> None:
    room = gib * GIB

    heap = allocation.largest_heap(room, factor)

    assert heap + allocation.default_overhead(heap, factor) == pytest.approx(room, abs=2)
