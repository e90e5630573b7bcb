"""The rules that docs/rules.md shows work as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_autoremed.failures.authoring.check import main as check

PAGE = Path(__file__).parents[4] / "docs" / "rules.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)


@pytest.mark.parametrize("block", BLOCKS, ids=[re.findall(r"id: (\S+)", each)[0] for each in BLOCKS])
def test_an_example_of_the_page_passes_the_check_that_it_recommends(
    block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yaml"
    # The first block explains every field; 'regex' there stands for a pattern.
    rules.write_text(re.sub(r"^  \w+: 'regex'.*\n", "", block, flags=re.M), encoding="utf-8")
    assert check([str(rules)]) == 0, capsys.readouterr().out
