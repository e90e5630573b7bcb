"""Durations and sizes as people write them, in the configuration, on the command line and in Dag files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_autoremed import settings
from airflow_autoremed.errors import SettingsError

_GIB = 1024**3


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90d", 90 * 86400.0),
        (" 6H ", 6 * 3600.0),
        ("1.5h", 5400.0),
        ("15 m", 900.0),
        ("30s", 30.0),
        (timedelta(minutes=15), 900.0),
        (900, 900.0),
        (0.5, 0.5),
        (None, None),
        ("none", None),
        ("", None),
    ],
)
def test_a_duration_is_read_as_it_was_meant(written: Any, seconds: float | None) -> None:
    assert settings.parse_duration(written, where="x") == seconds


@pytest.mark.parametrize(
    "option", ["stall_timeout", "retention", "patch_max_age", "patch_max_idle", "brake_pause"]
)
def test_a_duration_without_a_unit_is_refused_with_what_to_write(option: str) -> None:
    with pytest.raises(
        SettingsError,
        match=rf"\[autoremed\] {option} is '90', which has no unit; write '90d', '90h', '90m' or '90s'",
    ):
        settings.from_options({option: "90"})


@pytest.mark.parametrize(
    "written", ["soon", "-1d", "0s", "1w", "5 minutes", "d", "1e3s", "nan", "infs", True, -1, []]
)
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(SettingsError, match="write a duration, for example '90d'"):
        settings.parse_duration(written, where="x")


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("16g", 16 * _GIB),
        ("16Gi", 16 * _GIB),
        ("16GiB", 16 * _GIB),
        ("16 GB", 16 * _GIB),
        ("1.5g", 3 * _GIB // 2),
        ("512m", _GIB // 2),
        ("1t", 1024 * _GIB),
        (str(_GIB), _GIB),
        (_GIB, _GIB),
        ("unlimited", None),
        (None, None),
    ],
)
def test_a_size_is_read_as_it_was_meant(written: Any, size: int | None) -> None:
    caps = settings.parse_group({"max_total_memory": written}, base=settings.Settings().limits, where="x")
    assert caps.max_total_memory == size


@pytest.mark.parametrize("written", ["big", "16x", "16i", "g", "-1g", "1.5.5g", 1.5, True, []])
def test_what_is_no_size_is_refused(written: Any) -> None:
    with pytest.raises(SettingsError, match=r"x max_total_memory is .*write a size, for example '16g'"):
        settings.parse_group({"max_total_memory": written}, base=settings.Settings().limits, where="x")


def test_a_size_whose_unit_was_forgotten_is_refused_with_what_was_meant() -> None:
    with pytest.raises(SettingsError, match=r"which is 16 bytes because it has no unit.* for example '16g'"):
        settings.from_options({"max_container_memory": "16"})
