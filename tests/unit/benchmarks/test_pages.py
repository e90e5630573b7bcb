"""The README, the results and the pages of the benchmarks say what the stored results say."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import neighbours, overhead, raw_data, readme
from benchmarks.fleet import report as fleet
from benchmarks.proof import report as proof

AGAIN = "python -m benchmarks.readme renews README and docs/results.md, a benchmark's own command its page"


def stored(name: str) -> dict[str, Any]:
    return raw_data.read(readme.RESULTS / f"{name}.json.gz")


def page(name: str) -> str:
    return (readme.RESULTS / f"{name}.md").read_text()


@pytest.mark.parametrize("name", sorted(readme.SECTIONS))
def test_readme_and_results_say_what_the_stored_results_say(name: str) -> None:
    text = (readme.ROOT / name).read_text()
    assert readme.renewed(name, text) == text, AGAIN


@pytest.mark.parametrize("name", sorted(readme.SECTIONS))
def test_a_figure_that_somebody_changed_is_noticed(name: str) -> None:
    text = (readme.ROOT / name).read_text()
    ours = next(line for line in text.splitlines() if line.startswith("| **airflow-autoremed**"))
    assert readme.renewed(name, text.replace(ours, ours.replace("%", "0%"))) == text


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="figures: summary"):
        readme.renewed("README.md", "# nothing")


def test_the_pages_say_what_the_stored_results_say() -> None:
    assert page("proof") == proof.page(stored("proof")), AGAIN
    assert page("overhead") == overhead.page(stored("overhead")), AGAIN
    assert page("fleet") == fleet.render(stored("fleet")), AGAIN
    assert page("neighbours") == neighbours.page(), AGAIN
