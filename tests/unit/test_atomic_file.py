"""A file appears all at once, whatever stood in its place."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from airflow_autoremed import atomic_file


def test_a_write_that_fails_halfway_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "champion.json"
    path.write_bytes(b"former")

    with pytest.raises(TypeError), atomic_file.replacing(path) as file:
        file.write("not bytes")  # type: ignore[arg-type]

    assert path.read_bytes() == b"former"
    assert list(folder.iterdir()) == [path]


def test_a_link_in_its_place_is_replaced_and_its_target_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "someone-elses"
    target.write_bytes(b"theirs")
    path = tmp_path / "attempts.parquet"
    path.symlink_to(target)

    atomic_file.write(path, b"ours")

    assert target.read_bytes() == b"theirs"
    assert not path.is_symlink()
    assert path.read_bytes() == b"ours"


def test_a_private_file_stays_private_whatever_mode_the_former_one_had(tmp_path: Path) -> None:
    path = tmp_path / "attempts.parquet"
    path.write_bytes(b"")
    path.chmod(0o644)

    atomic_file.write(path, b"history", mode=0o600)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
