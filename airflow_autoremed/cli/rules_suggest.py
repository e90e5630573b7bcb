"""``autoremed rules suggest``: rules drafted for the failures that no rule names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import fail, say
from airflow_autoremed.cli.progress import tracked
from airflow_autoremed.cli.store_access import StoreOption, read
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.types import UNKNOWN, AttemptId, Classification, Source

if TYPE_CHECKING:
    from airflow_autoremed.failures.authoring.drafting import Draft, HealthyText, Hint, Judge, RuleExamples
    from airflow_autoremed.failures.error_templates import FailedTry, TemplateCount
    from airflow_autoremed.failures.rules.catalogue import Catalogue

_ATTEMPTS = 5000
"""Latest attempts that are looked at. Their excerpts are of 16 KB at most."""
_LONGEST_LINE = 64 * 1024
"""Characters that a line of a log file is read in at most."""
_EVIDENCE = 300
"""Last lines of a log file that are shown to the text model."""

FromOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        help="Read these logs of failed applications (plain or .gz) instead of the history; repeatable.",
    ),
]
HealthyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--healthy", help="Logs of applications that succeeded, which no rule may match; repeatable."
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="Directory of the text model. Default: the one in AIRFLOW_HOME."),
]


# -------------------------------------------------------------------------------------------------------- suggest


@dataclass(frozen=True)
class _Failure:
    """One unclassified failure, with how to look at it again."""

    tried: FailedTry
    texts: tuple[str, ...]
    path: Path | None = None

    def judge(self, catalogue: Catalogue) -> Classification:
        from airflow_autoremed.failures.matching.classify import classify_file, classify_texts

        if self.path is not None:
            return classify_file(catalogue, self.path)
        return classify_texts(catalogue, [(None, text) for text in self.texts])


@dataclass(frozen=True)
class _Found:
    """What was looked through."""

    failures: list[_Failure]
    healthy: list[HealthyText]
    where: str
    named: int
    """Failures that a rule names by now."""
    speechless: int
    """Unclassified ones in which no line looks like a failure."""


def suggest(
    files: FromOption = None,
    healthy: HealthyOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100, help="Number of rules to draft.")
    ] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write the rules to, instead of printing them."),
    ] = None,
    model: ModelOption = None,
    store_url: StoreOption = None,
) -> None:
    """Draft rules for failures that no rule names.

    The most expensive failures come first. Each is checked against the failures that it must match and the healthy logs that it must not. Look through them,
    choose the categories, and put the file into [autoremed] rules_paths.
    """
    from airflow_autoremed.errors import CatalogueError
    from airflow_autoremed.failures.authoring.drafting import RuleExamples
    from airflow_autoremed.failures.error_templates import costliest
    from airflow_autoremed.failures.rules.loading import load_catalogue

    if output is not None and output.exists():
        fail(f"{output} exists already; name another file, or remove it first")
    try:
        catalogue = load_catalogue(configuration.load().rules_paths)
    except (SettingsError, CatalogueError) as error:
        fail(str(error))
    checks = [*_shipped(), *_logs(healthy or ())]
    found = _of_files(files, catalogue) if files else _of_history(store_url, catalogue)
    counts = costliest(failure.tried for failure in found.failures)
    examples = RuleExamples(catalogue.rules) if counts else None
    blocks = []
    ready = 0
    for number, count in enumerate(tracked(counts[:limit], "drafting"), start=1):
        mine = [failure for failure in found.failures if failure.tried.template.id == count.template.id]
        block, is_ready = _block(number, count, mine, catalogue, [*checks, *found.healthy], model, examples)
        blocks.append(block)
        ready += is_ready
    _report(found, len(counts), len(blocks), ready)
    if not blocks:
        return
    text = _HEADER + "\n" + "\n".join(blocks)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}")
    say(f"Written to {output}. Check it with: autoremed rules check {output}", err=True)


_HEADER = """\
# Rules for failures that no rule names yet, drafted by `autoremed rules suggest`; the costliest first.
# Before they are used: choose each category, and give the summary your own words. `restartable: as_is` leaves
# retries as they are; write `no` to end them, or `with_changes` to let the configuration be changed. The examples are
# the masked lines: they give nothing away. They are last resorts (rank below 30): the rules in force come first.
"""


def _block(
    number: int,
    count: TemplateCount,
    failures: Sequence[_Failure],
    catalogue: Catalogue,
    healthy: Sequence[HealthyText],
    model: Path | None,
    examples: RuleExamples | None,
) -> tuple[str, bool]:
    """One rule with what there is to say about it, as YAML; a rule that is not ready is commented out."""
    from airflow_autoremed.failures.authoring.drafting import draft

    made = draft(count.template, catalogue, healthy, _hint(model, failures))
    not_ready = made.not_ready
    said = [f"{number}. {_cost(count)}", f"tasks: {_tasks(count)}", f"line: {_one_line(count.template.text)}"]
    said.append(f"category: {made.category.category}, {made.category.why}; yours to choose")
    nearest = examples.nearest(count.template) if examples is not None else None
    if nearest is not None:
        said.append(f"a rule that reads like it: {nearest.id} ({nearest.category})")
    if made.rule is not None:
        matched, missed = _tried(made, failures)
        said.append(
            f"matches {matched} of {len(failures)} of its failures; {len(healthy)} healthy texts checked"
        )
        if missed:
            said.append(f"missed: {', '.join(missed)}")
        if not matched:
            not_ready = not_ready or "it matches none of its failures"
    said.extend(made.notes)
    if not_ready:
        said.append(f"NOT READY: {not_ready}")
    comment = "".join(f"# {line}\n" for line in said)
    entry = made.yaml
    if not_ready:
        entry = "".join(f"# {line}\n" for line in entry.splitlines())
    return comment + entry, not not_ready


def _tried(made: Draft, failures: Sequence[_Failure]) -> tuple[int, list[str]]:
    """How many failures the rule names, and the tasks of up to three that it does not."""
    from airflow_autoremed.failures.rules.catalogue import Catalogue

    if made.rule is None:
        return 0, []
    alone = Catalogue((made.rule,))
    missed = [failure.tried.task for failure in failures if failure.judge(alone).rule is None]
    return len(failures) - len(missed), [_one_line(task) for task in missed[:3]]


def _hint(model: Path | None, failures: Sequence[_Failure]) -> Hint | None:
    from airflow_autoremed.failures.authoring.drafting import Hint
    from airflow_autoremed.learning.text_model import model_directory, second_opinion
    from airflow_autoremed.taxonomy import CATEGORIES

    opinion = second_opinion(model or model_directory(), failures[0].texts)
    if opinion is None or not opinion.above_bar or opinion.category not in CATEGORIES:
        return None
    return Hint(opinion.category, f"the text model's opinion ({opinion.confidence:.2f}, above its bar)")


def _cost(count: TemplateCount) -> str:
    parts = [f"{count.count} failure{'s' if count.count > 1 else ''}"]
    if count.gib_seconds:
        parts.append(f"{count.gib_seconds:,.0f} GiB-seconds lost")
    if count.retries:
        parts.append(f"{count.retries_succeeded} of {count.retries} retries with nothing changed succeeded")
    return "; ".join(parts)


def _tasks(count: TemplateCount) -> str:
    shown = ", ".join(f"{_one_line(task)} ({times})" for task, times in count.tasks[:3])
    return shown + (f" and {len(count.tasks) - 3} more" if len(count.tasks) > 3 else "")


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _report(found: _Found, templates: int, shown: int, ready: int) -> None:
    """On stderr: the rules alone go to stdout."""
    unclassified = len(found.failures) + found.speechless
    parts = [f"{unclassified} unclassified failure{'' if unclassified == 1 else 's'} in {found.where}"]
    if found.failures:
        parts.append(
            f"of {templates} kind{'' if templates == 1 else 's'}, {shown} shown, {ready} ready to use"
        )
    if found.speechless:
        parts.append(f"{found.speechless} in which no line says what failed")
    if found.named:
        parts.append(f"{found.named} that a rule names by now")
    say("; ".join(parts) + ".", err=True)


# ------------------------------------------------------------------------------------------------------- evidence


def _of_history(store_url: str | None, catalogue: Catalogue) -> _Found:
    from airflow_autoremed.failures.authoring.drafting import HealthyText
    from airflow_autoremed.failures.error_templates import FailedTry, error_template
    from airflow_autoremed.failures.matching.classify import classify_texts

    rows, where = read_history(store_url)
    retries = plain_retries(rows)
    failures, healthy = [], []
    named = speechless = 0
    for row in tracked(rows, "reading"):
        if row.succeeded and row.excerpt:
            healthy.append(HealthyText(str(row.attempt), _judge_of_text(row.excerpt)))
        if row.category != UNKNOWN:
            continue
        texts = evidence(row)
        if classify_texts(catalogue, [(None, text) for text in texts]).category != UNKNOWN:
            named += 1
            continue
        template = error_template(texts)
        if template is None:
            speechless += 1
            continue
        tried = FailedTry(template, row.attempt.task, row.gib_seconds, retries.get(row.attempt))
        failures.append(_Failure(tried, texts))
    return _Found(failures, healthy, where, named, speechless)


def read_history(store_url: str | None) -> tuple[list[StoredAttempt], str]:
    """The latest attempts, latest first, and how their store is called. A store that is not there yet has none."""
    return read(store_url, lambda store: store.recent(_ATTEMPTS))


def evidence(row: StoredAttempt) -> tuple[str, ...]:
    """The texts of a failure that the history keeps: the deciding lines where there are any, and the excerpt."""
    lines = "\n".join(line.text for line in row.lines)
    return tuple(text for text in (lines, row.excerpt) if text)


def plain_retries(rows: Iterable[StoredAttempt]) -> dict[AttemptId, bool]:
    """Of each attempt that a retry with the same configuration followed, whether that succeeded."""
    known = {row.attempt: row for row in rows}
    ends: dict[AttemptId, bool] = {}
    for attempt, row in known.items():
        following = known.get(attempt.next())
        if following is None or following.succeeded is None or row.succeeded:
            continue
        if row.operator is None or following.operator is None:  # it is not known what they ran with
            continue
        if dict(following.effective) == dict(row.effective):
            ends[attempt] = following.succeeded
    return ends


def _of_files(paths: Sequence[Path], catalogue: Catalogue) -> _Found:
    from airflow_autoremed.failures.error_templates import FailedTry, error_template
    from airflow_autoremed.failures.matching.classify import classify_file

    failures = []
    named = speechless = 0
    for path in tracked(paths, "reading"):
        try:
            if classify_file(catalogue, path).category != UNKNOWN:
                named += 1
                continue
            template = error_template([_lines(path)])
            tail = _tail(path)
        except OSError as error:
            fail(f"{path} cannot be read: {error.strerror or error}")
        if template is None:
            speechless += 1
            continue
        failures.append(_Failure(FailedTry(template, path.name), (tail,), path))
    return _Found(failures, [], f"{len(paths)} log{'' if len(paths) == 1 else 's'}", named, speechless)


def _lines(path: Path) -> Iterator[str]:
    """The lines of a log, plain or gzip, the longest of them in pieces; what is damaged of an archive is left out."""
    import gzip
    import zlib

    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    opened: Any = gzip.open if packed else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        try:
            while line := file.readline(_LONGEST_LINE):
                yield line.rstrip("\r\n")
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return


def _tail(path: Path) -> str:
    from collections import deque

    return "\n".join(deque((line[:2000] for line in _lines(path)), maxlen=_EVIDENCE))


def _shipped() -> list[HealthyText]:
    from airflow_autoremed.failures.authoring.drafting import HEALTHY_LINES, HealthyText

    try:
        text = HEALTHY_LINES.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{HEALTHY_LINES} cannot be read ({error}); reinstall airflow-autoremed")
    return [HealthyText("the healthy lines of this package", _judge_of_text(text))]


def _logs(paths: Iterable[Path]) -> list[HealthyText]:
    """A directory stands for the files in it."""
    from airflow_autoremed.failures.authoring.drafting import HealthyText

    files: list[Path] = []
    for path in paths:
        files.extend(sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path])
    return [HealthyText(str(file), _judge_of_file(file)) for file in files]


def _judge_of_file(path: Path) -> Judge:
    from airflow_autoremed.failures.matching.classify import classify_file

    try:
        path.open("rb").close()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror or error}")
    return lambda catalogue: classify_file(catalogue, path)


def _judge_of_text(text: str) -> Judge:
    from airflow_autoremed.failures.matching.classify import classify_texts

    return lambda catalogue: classify_texts(catalogue, [(Source.DRIVER_LOG, text)])
