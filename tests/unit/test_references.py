"""What code, tests and documents refer to is there: files, modules, headings of pages, targets of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airflow_autoremed"
FOLDERS = ("airflow_autoremed", "benchmarks", "dags_examples", "docs", "requirements", "scripts", "tests")
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists())
NOT_OURS = re.compile(r"airflow/(providers/|policies\.py)")
"""Files of Airflow's own that begin with the name of a room of ours."""
MADE_BY_RUNNING = re.compile(r"benchmarks/(raw|data|results/proof-short)|docs/(catalogue|options)\.md")
"""Files that a script writes, and that need not be there yet."""
NOT_THERE_ON_PURPOSE = re.compile(r"airflow_autoremed\.(nowhere|no_such)|tests\.unit\.nowhere")

_A_PATH = re.compile(rf"(?<![\w./:*-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w(?![\w./-]*[{{*<])")
_IN_A_ROOM = re.compile(rf"(?<![\w./:*-])(?:{'|'.join(ROOMS)})/[\w/-]+\.(?:py|yaml)\b")
_A_DOCUMENT = re.compile(r"(?<![\w./-])[A-Z][A-Z_-]+\.md\b")
_A_MODULE = re.compile(r"(?<![\w./\"'@-])(?:airflow_autoremed|benchmarks|tests)(?:\.\w+)+")
_A_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_A_TARGET = re.compile(r"`make ([a-z][a-z-]*)")


def texts() -> Iterator[Path]:
    """Every text of the project that a person writes."""
    for folder in FOLDERS:
        for kind in ("py", "md", "yaml", "toml", "sh"):
            for file in (ROOT / folder).rglob(f"*.{kind}"):
                if not {"__pycache__", "raw", "data"} & {*file.relative_to(ROOT).parts}:
                    yield file
    yield from ROOT.glob("*.md")
    yield from (ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run", ".pre-commit-config.yaml"))


TEXTS = sorted({file for file in texts() if file.is_file() and file != Path(__file__)})
PAGES = [file for file in TEXTS if file.suffix == ".md"]


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def words_of(file: Path) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", file.read_text(encoding="utf-8")))


def exists(module: str) -> bool:
    """Whether *module* is one, or a name that stands in one (up to two deep: a method of a class)."""
    place, parts = ROOT, module.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and place.joinpath(f"{parts[0]}.py").is_file():
        place = place / f"{parts.pop(0)}.py"
    if not parts:
        return True
    source = place if place.is_file() else place / "__init__.py"
    return len(parts) <= 2 and source.is_file() and {*parts} <= words_of(source)


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of the headings of *page*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)


def missing_in(text: str) -> list[str]:
    """What *text* refers to and the project has not."""
    found = [each for each in _A_PATH.findall(text) if not MADE_BY_RUNNING.match(each)]
    gone = [each for each in found if not (ROOT / each).exists()]
    gone += [
        each
        for each in _IN_A_ROOM.findall(text)
        if not NOT_OURS.match(each) and not (PACKAGE / each).exists()
    ]
    gone += [each for each in _A_DOCUMENT.findall(text) if not (ROOT / each).exists()]
    gone += [
        each
        for each in _A_MODULE.findall(text)
        if not NOT_THERE_ON_PURPOSE.match(each) and not re.search(r"\.(py|md|toml)$", each)
        if not exists(each)
    ]
    return gone + re.findall(r"\.\./shared\b[\w/]*", text)


@pytest.mark.parametrize("file", TEXTS, ids=named)
def test_every_file_and_module_that_is_named_exists(file: Path) -> None:
    assert missing_in(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in ("".join(groups) for groups in _A_LINK.findall(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            link = re.sub(
                r"^https://github\.com/airflow-autoremed/airflow-autoremed/(blob|tree)/main/", "/", link
            )
            if not link.startswith("/"):
                continue
        path, _, anchor = link.partition("#")
        target = ROOT / path.lstrip("/") if path.startswith("/") else (page.parent / path if path else page)
        if MADE_BY_RUNNING.match(str(target.resolve().relative_to(ROOT.resolve()))):
            continue
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    assert dead == []


def test_every_target_of_make_that_a_page_names_is_one() -> None:
    targets = {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)}
    asked = {target for page in PAGES for target in _A_TARGET.findall(page.read_text(encoding="utf-8"))}
    assert asked <= targets


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page}" not in index} == set()


@pytest.mark.parametrize(
    "text",
    [
        "see docs/no-such-page.md.",
        "as history/no_such_module.py does",
        "(NOSUCHDOCUMENT.md, section 2)",
        ":func:`airflow_autoremed.spark.sizes.no_such_function`",
        "`python -m benchmarks.no_such_benchmark`",
        "../shared/data/sizey",
    ],
)
def test_a_reference_into_nothing_is_noticed(text: str) -> None:
    assert missing_in(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "docs/rules.md, section 2",
        "https://example.org/docs/other.html and /opt/scripts/run.py",
        "airflow/providers/common/ai/policies/retry.py",
        "``airflow_autoremed/spark/keys.py``; :class:`airflow_autoremed.failures.matching.log_tap.LogTap.write`",
        "from airflow_autoremed import remediate",
    ],
)
def test_what_exists_or_is_not_ours_is_let_through(text: str) -> None:
    assert missing_in(text) == []
