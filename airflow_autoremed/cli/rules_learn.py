"""``autoremed rules learn``: the text model that gives a second opinion on failures that no rule names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import NO, fail, say
from airflow_autoremed.cli.rules_suggest import evidence, read_history
from airflow_autoremed.cli.store_access import StoreOption
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history.stored import StoredAttempt
from airflow_autoremed.types import UNKNOWN

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue
    from airflow_autoremed.learning.text_training import Example


def learn(
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help='File of further failures, one JSON object per line: {"text": ..., "category": ...}; repeatable.',
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Directory for the model. Default: the one in AIRFLOW_HOME."),
    ] = None,
    store_url: StoreOption = None,
) -> None:
    """Train the text model.

    It gives a second opinion on failures that no rule names. It learns from the failures in the history that a rule names, from the examples of all rules, and from the
    failures given with --from. What it says is recorded; it never overrides a rule.
    """
    from airflow_autoremed.errors import CatalogueError, TooLittleDataError
    from airflow_autoremed.failures.rules.loading import load_catalogue
    from airflow_autoremed.learning.text_model import model_directory, save
    from airflow_autoremed.learning.text_training import train_text_model

    try:
        catalogue = load_catalogue(configuration.load().rules_paths)
    except (SettingsError, CatalogueError) as error:
        fail(str(error))
    rows, where = read_history(store_url)
    history, rules = _classified(rows), _rule_examples(catalogue)
    given = [example for path in files or () for example in read_examples(path)]
    say(
        f"{len(history)} failures in {where}, {len(rules)} examples of rules, {len(given)} given failures",
        err=True,
    )
    try:
        training = train_text_model([*history, *rules, *given])
    except TooLittleDataError as error:
        fail(str(error), NO)
    except ModuleNotFoundError as error:
        fail(f"training needs {error.name}: pip install 'airflow-autoremed[learning]'")
    directory = output or model_directory()
    try:
        save(training.model, directory)
    except OSError as error:
        fail(f"{directory} cannot be written: {error.strerror or error}")
    _tell(training.model.metrics, training.model.bar, directory)


def _tell(metrics: Any, bar: float | None, directory: Path) -> None:
    say(
        f"On failures of rules that it had not seen, it is right in {metrics['accuracy']:.0%} "
        f"(always the commonest category: {metrics['most_frequent_category']:.0%}), and in "
        f"{metrics['accuracy_of_the_surest_30_percent']:.0%} of the 30% that it is surest of."
    )
    if bar is None:
        say(
            f"At no confidence is it right in {metrics['target']:.0%}: its opinions are recorded, all below the bar."
        )
    else:
        elsewhere = metrics["right_above_bar_elsewhere"]
        say(
            f"Above a confidence of {bar:.2f}, which {metrics['above_bar']:.0%} of them have, it is right in "
            f"{metrics['right_above_bar']:.0%}"
            + (
                "."
                if elsewhere is None
                else f" ({elsewhere:.0%} where the bar was chosen on other failures)."
            )
        )
    if metrics["left_out"]:
        say("Too few failures to learn: " + ", ".join(metrics["left_out"]))
    say(f"Written to {directory}")


def _classified(rows: Iterable[StoredAttempt]) -> list[Example]:
    """Failures that a rule named; the rule is the group, see :class:`Example`."""
    from airflow_autoremed.learning.text_training import Example

    return [
        Example("\n".join(evidence(row)), row.category, row.rule)
        for row in rows
        if row.category and row.category != UNKNOWN and row.rule and evidence(row)
    ]


def _rule_examples(catalogue: Catalogue) -> list[Example]:
    from airflow_autoremed.learning.text_training import Example

    return [
        Example(example, rule.category, rule.id)
        for rule in catalogue.rules
        if rule.category != UNKNOWN
        for example in rule.examples
    ]


def read_examples(path: Path) -> list[Example]:
    """Labelled failures from a file of JSON lines; a line that cannot be used ends the command with a message."""
    from airflow_autoremed.learning.text_training import Example
    from airflow_autoremed.taxonomy import CATEGORIES

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}")
    examples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            plain = json.loads(line)
        except ValueError:
            plain = None
        if not isinstance(plain, dict) or not isinstance(plain.get("text"), str):
            fail(f'{path}:{number} is no failure; write {{"text": "...", "category": "..."}}')
        if plain.get("category") not in CATEGORIES:
            fail(
                f"{path}:{number} has the category {plain.get('category')!r}; write one of {', '.join(CATEGORIES)}"
            )
        if plain["category"] != UNKNOWN:
            examples.append(Example(plain["text"], plain["category"], str(plain.get("group") or "")))
    return examples
