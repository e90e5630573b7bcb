"""What the taxonomy says of a category."""

from __future__ import annotations

import pytest

from airflow_autoremed.taxonomy import is_memory_failure


@pytest.mark.parametrize(
    "category", ["executor_oom_heap", "driver_result_size", "serializer_buffer", "stack_overflow"]
)
def test_what_memory_cures_is_a_memory_failure_whatever_its_name(category: str) -> None:
    assert is_memory_failure(category)


@pytest.mark.parametrize("category", ["missing_data", "unknown", None, "a_teams_own_memory_category"])
def test_what_the_taxonomy_does_not_cure_with_memory_is_no_memory_failure(category: str | None) -> None:
    assert not is_memory_failure(category)
