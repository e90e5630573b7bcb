"""``autoremed rules``: look into the catalogue, and check rules before they are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.console import (
    NO,
    Format,
    FormatOption,
    complain,
    console,
    counted,
    fail,
    print_json,
    say,
)
from airflow_autoremed.cli.progress import tracked
from airflow_autoremed.cli.rules_learn import learn
from airflow_autoremed.cli.rules_suggest import suggest

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue
    from airflow_autoremed.failures.rules.rule import Rule, RuleProblem

rules_app = typer.Typer(
    name="rules",
    help="List, check and draft rules.",
    no_args_is_help=True,
)


RulesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules",
        help="Rule files or directories, used before the configured ones; repeatable.",
        metavar="PATH",
    ),
]


@rules_app.callback()
def rules() -> None:
    """List, check and draft rules."""


@rules_app.command(name="list")
def list_(
    category: Annotated[str | None, typer.Option("--category", help="Only this category.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Only rules that apply to this source, for example driver_log."),
    ] = None,
    users: Annotated[bool, typer.Option("--users", help="Only your own rules.")] = False,
    rules_paths: RulesOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the rules in order, your own first."""
    catalogue = _catalogue(rules_paths)
    _check_known(category, source)
    found = [
        rule
        for rule in catalogue.rules
        if category in (None, rule.category)
        and (source is None or not rule.source or source in [each.value for each in rule.source])
        and (rule.users or not users)
    ]
    if output is Format.JSON:
        print_json([_as_json(rule) for rule in found])
        return
    table = Table()
    table.add_column("rule", overflow="fold", no_wrap=False)
    table.add_column("category", no_wrap=True)
    table.add_column("rank", justify="right")
    table.add_column("a retry", no_wrap=True)
    table.add_column("what it means", overflow="fold", ratio=1)
    for rule in found:
        name = Text(rule.id, "bold cyan" if rule.users else "")
        table.add_row(name, rule.category, str(rule.rank), _restartable(rule), Text(rule.summary))
    out = console()
    out.print(table)
    mine = sum(rule.users for rule in found)
    out.print(f"{len(found)} rules" + (f", {mine} of them your own" if mine else ""))


@rules_app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
    rules_paths: RulesOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show everything about one rule."""
    try:
        rule = _catalogue(rules_paths).get(identifier)
    except KeyError as error:
        fail(str(error.args[0]), NO)
    if output is Format.JSON:
        print_json(_as_json(rule))
        return
    whose = "yours" if rule.users else "of the package"
    parts: list[tuple[str, Iterable[str]]] = [
        ("category", [f"{rule.category}, rank {rule.rank}; a retry: {_restartable(rule)}"]),
        ("summary", [rule.summary]),
        ("hint", [rule.hint]),
        ("reference", [rule.reference]),
        ("pattern", [rule.pattern]),
        ("unless", [rule.unless]),
        ("preceded by", [rule.preceded_by]),
        ("not preceded by", [rule.not_preceded_by]),
        ("followed by", [rule.followed_by]),
        ("only if", ["the log also shows that the application failed"] if rule.only_if_failed else []),
        ("source", [", ".join(source.value for source in rule.source)]),
        ("sizes", [", ".join(f"{name} ({unit})" for name, unit in rule.sizes.items())]),
        ("literals", rule.literals),
        ("matches", rule.examples),
        ("does not match", rule.counter_examples),
    ]
    out = console()
    out.print(Text(f"{rule.id} ({whose}, {rule.path}:{rule.line})", "bold"), soft_wrap=True)
    for name, texts in parts:
        for number, text in enumerate(text for text in texts if text):
            label = name if number == 0 else ""
            out.print(Text(f"  {label:<15} {text}"), soft_wrap=True)


@rules_app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Rule files, or directories of them.")
    ],
) -> None:
    """Check rule files before you install them.

    Checks fields, patterns, examples, counter-examples, and ids that exist already. Prints one line per problem.
    """
    from airflow_autoremed.failures.authoring.check import check_files
    from airflow_autoremed.failures.rules.loading import load_catalogue

    paths = _files(files)
    errors = check_files(paths)
    ours = {rule.id: rule for rule in load_catalogue().rules}
    _print_errors(errors)
    from airflow_autoremed.failures.rules.loading import read_rules

    found = [rule for path in paths for rule in read_rules(path)[0]]
    for rule in found:
        if rule.id in ours and not rule.silence:
            say(f"{rule.path}:{rule.line}: rule {rule.id!r} replaces the rule of the package with that id")
        if rule.silence and rule.id in ours:
            say(f"{rule.path}:{rule.line}: rule {rule.id!r} silences the rule of the package with that id")
    say(f"{counted(len(found), 'rule')}, {counted(len(errors), 'problem')}")
    if errors:
        raise typer.Exit(NO)


@rules_app.command(name="test")
def try_all(rules_paths: RulesOption = None) -> None:
    """Test every rule on its examples.

    Tests your own rules and those of the package, also against the whole catalogue.
    """
    from airflow_autoremed.failures.authoring.check import faults_of, lost_examples
    from airflow_autoremed.failures.rules.rule import RuleProblem

    catalogue = _catalogue(rules_paths)
    errors: list[RuleProblem] = []
    for rule in tracked(catalogue.rules, "testing rules"):
        errors.extend(RuleProblem(rule.path, rule.line, rule.id, fault) for fault in faults_of(rule))
        errors.extend(lost_examples(catalogue, [rule]))
    _print_errors(errors)
    examples = sum(len(rule.examples) + len(rule.counter_examples) for rule in catalogue.rules)
    say(
        f"{counted(len(catalogue.rules), 'rule')}, {counted(examples, 'example')}, "
        f"{counted(len(errors), 'problem')}"
    )
    if errors:
        raise typer.Exit(NO)


@rules_app.command()
def coverage(
    logs: Annotated[
        list[Path] | None, typer.Argument(metavar="[LOG]...", help="Logs of failed applications.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Also count the failures in the history.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Number of attempts of the history to count.")
    ] = 1000,
    rules_paths: RulesOption = None,
) -> None:
    """Count the rules of each category, and which fired.

    With logs or --history it also counts what stayed unclassified.
    """
    from airflow_autoremed.taxonomy import CATEGORIES
    from airflow_autoremed.types import UNKNOWN

    catalogue = _catalogue(rules_paths)
    fired = _fired_in(catalogue, logs or [])
    if history:
        fired += _fired_in_store(limit)
    rules_of = Counter(rule.category for rule in catalogue.rules)
    category_of = {rule.id: rule.category for rule in catalogue.rules}
    hits: Counter[str] = Counter()
    for rule, number in fired.items():
        hits[category_of.get(rule or "", UNKNOWN)] += number
    table = Table()
    for column in ("category", "rules"):
        table.add_column(column, justify="left" if column == "category" else "right")
    total = sum(fired.values())
    if total:
        table.add_column("failures", justify="right")
        table.add_column("rules that fired", overflow="fold", ratio=1)
    for category in CATEGORIES:
        row = [category, str(rules_of[category])]
        if total:
            names = [
                f"{rule} ({number})"
                for rule, number in fired.most_common()
                if rule is not None and category_of.get(rule) == category
            ]
            row += [str(hits[category]), ", ".join(names)]
        table.add_row(*row)
    out = console()
    out.print(table)
    if total:
        named = total - hits[UNKNOWN]
        say(
            f"{named} of {total} failures are classified; {hits[UNKNOWN]} ({hits[UNKNOWN] / total:.1%}) "
            f"are unclassified (`autoremed rules suggest`). "
            f"{sum(rule is not None for rule in fired)} of {len(catalogue.rules)} rules fired."
        )


def _fired_in(catalogue: Catalogue, logs: Sequence[Path]) -> Counter[str | None]:
    """How often each rule decided over the logs; ``None``: no rule did."""
    from airflow_autoremed.failures.matching.classify import classify_file

    fired: Counter[str | None] = Counter()
    for path in tracked(logs, "classifying"):
        try:
            fired[classify_file(catalogue, path).rule] += 1
        except OSError as error:  # noqa: PERF203 - one unreadable file takes no other down
            complain(f"{path} cannot be read: {error.strerror or error}")
    return fired


def _fired_in_store(limit: int) -> Counter[str | None]:
    from airflow_autoremed.cli.store_access import read

    rows, _ = read(None, lambda store: store.recent(limit))
    return Counter(row.rule for row in rows if row.category is not None)


def _catalogue(rules_paths: Sequence[Path] | None) -> Catalogue:
    """The configured catalogue with *rules_paths* in front, its broken rules named on standard error."""
    from airflow_autoremed.errors import CatalogueError, SettingsError
    from airflow_autoremed.failures.rules.loading import load_catalogue

    try:
        catalogue = load_catalogue((*(rules_paths or ()), *configuration.load().rules_paths))
    except (SettingsError, CatalogueError) as error:
        fail(str(error))
    _print_errors(catalogue.warnings, err=True)
    return catalogue


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(sorted([*path.glob("*.yaml"), *path.glob("*.yml")]))
        elif path.exists():
            found.append(path)
        else:
            fail(f"{path} does not exist; write a YAML file, or a directory of them.")
    return found


def _check_known(category: str | None, source: str | None) -> None:
    from airflow_autoremed.taxonomy import CATEGORIES
    from airflow_autoremed.types import Source

    sources = [each.value for each in Source]
    for what, value, known in (("category", category, list(CATEGORIES)), ("source", source, sources)):
        if value is not None and value not in known:
            fail(f"There is no {what} {value!r}; write one of: {', '.join(known)}.")


def _restartable(rule: Rule) -> str:
    from airflow_autoremed.taxonomy import CATEGORIES

    return (rule.restartable or CATEGORIES[rule.category].usual_restartable).value


def _as_json(rule: Rule) -> dict[str, Any]:
    names = ("id", "category", "rank", "summary", "hint", "reference", "pattern", "path", "line", "users")
    plain: dict[str, Any] = {name: getattr(rule, name) for name in names}
    plain["source"] = [source.value for source in rule.source]
    plain["restartable"] = _restartable(rule)
    plain["examples"], plain["counter_examples"] = list(rule.examples), list(rule.counter_examples)
    return plain


def _print_errors(errors: Iterable[RuleProblem], *, err: bool = False) -> None:
    for error in errors:
        say(str(error), err=err)


for command in (suggest, learn):
    rules_app.command()(command)
