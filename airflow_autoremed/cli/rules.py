"""``autoremed rules``: look into the catalogue, and check rules before they are installed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_autoremed.cli.rules_suggest import learn, suggest

if TYPE_CHECKING:
    from airflow_autoremed.failures.rules.catalogue import Catalogue
    from airflow_autoremed.failures.rules.rule import Rule, RuleProblem

T = TypeVar("T")

_WRONG = 1
_CANNOT = 2

rules_app = typer.Typer(
    name="rules",
    help="Look into the catalogue, and check rules before they are installed.",
    no_args_is_help=True,
)


class Format(str, Enum):
    """How to print."""

    TABLE = "table"
    JSON = "json"


RulesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules", help="Rule files or directories to try, before the configured ones.", metavar="PATH"
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]


@rules_app.callback()
def rules() -> None:
    """Look into the catalogue, and check rules before they are installed."""


@rules_app.command(name="list")
def list_(
    category: Annotated[str | None, typer.Option("--category", help="Only this category.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Only rules that may match there, such as driver_log.")
    ] = None,
    users: Annotated[bool, typer.Option("--users", help="Only rules of your own.")] = False,
    rules_paths: RulesOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the rules in the order in which they are tried: yours, then ours by file."""
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
        typer.echo(json.dumps([_as_json(rule) for rule in found], indent=2))
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
    console = Console()
    console.print(table)
    mine = sum(rule.users for rule in found)
    console.print(f"{len(found)} rules" + (f", {mine} of them your own" if mine else ""), highlight=False)


@rules_app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")],
    rules_paths: RulesOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show everything about one rule."""
    try:
        rule = _catalogue(rules_paths).get(identifier)
    except KeyError as error:
        _fail(str(error.args[0]), _WRONG)
    if output is Format.JSON:
        typer.echo(json.dumps(_as_json(rule), indent=2))
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
    console = Console()
    console.print(Text(f"{rule.id} ({whose}, {rule.path}:{rule.line})", "bold"), soft_wrap=True)
    for name, texts in parts:
        for number, text in enumerate(text for text in texts if text):
            label = name if number == 0 else ""
            console.print(Text(f"  {label:<15} {text}"), soft_wrap=True, highlight=False)


@rules_app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Rule files, or directories of them.")
    ],
) -> None:
    """Check rule files: form, patterns, examples, counter-examples, ids that are taken. One line per problem."""
    from airflow_autoremed.failures.rules.check import check_files
    from airflow_autoremed.failures.rules.loading import load_catalogue

    paths = _files(files)
    errors = check_files(paths)
    ours = {rule.id: rule for rule in load_catalogue().rules}
    _print_errors(errors)
    from airflow_autoremed.failures.rules.loading import read_rules

    found = [rule for path in paths for rule in read_rules(path)[0]]
    for rule in found:
        if rule.id in ours and not rule.silence:
            typer.echo(f"{rule.path}:{rule.line}: rule {rule.id!r} takes the place of ours of that id")
        if rule.silence and rule.id in ours:
            typer.echo(f"{rule.path}:{rule.line}: rule {rule.id!r} silences ours")
    typer.echo(f"{_counted(len(found), 'rule')}, {_counted(len(errors), 'problem')}")
    if errors:
        raise typer.Exit(_WRONG)


@rules_app.command(name="test")
def try_all(rules_paths: RulesOption = None) -> None:
    """Try every rule, yours and ours, on its own examples and counter-examples, and on the whole catalogue."""
    from airflow_autoremed.failures.rules.check import faults_of, lost_examples
    from airflow_autoremed.failures.rules.rule import RuleProblem

    catalogue = _catalogue(rules_paths)
    errors: list[RuleProblem] = []
    for rule in _with_progress(catalogue.rules, "trying rules"):
        errors.extend(RuleProblem(rule.path, rule.line, rule.id, fault) for fault in faults_of(rule))
        errors.extend(lost_examples(catalogue, [rule]))
    _print_errors(errors)
    examples = sum(len(rule.examples) + len(rule.counter_examples) for rule in catalogue.rules)
    typer.echo(
        f"{_counted(len(catalogue.rules), 'rule')}, {_counted(examples, 'example')}, "
        f"{_counted(len(errors), 'problem')}"
    )
    if errors:
        raise typer.Exit(_WRONG)


@rules_app.command()
def coverage(
    logs: Annotated[
        list[Path] | None, typer.Argument(metavar="[LOG]...", help="Logs of failed applications.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Count the decisions of the store.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many attempts of the store.")
    ] = 1000,
    rules_paths: RulesOption = None,
) -> None:
    """Say how many rules each category has and, over logs or the history, which of them fired and what none named."""
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
    console = Console()
    console.print(table)
    if total:
        named = total - hits[UNKNOWN]
        console.print(
            f"{named} of {total} failures have a named cause; {hits[UNKNOWN]} ({hits[UNKNOWN] / total:.1%}) "
            f"are unclassified (`autoremed rules suggest`). "
            f"{sum(rule is not None for rule in fired)} of {len(catalogue.rules)} rules fired.",
            highlight=False,
        )


def _fired_in(catalogue: Catalogue, logs: Sequence[Path]) -> Counter[str | None]:
    """How often each rule decided over the logs; ``None``: no rule did."""
    from airflow_autoremed.failures.matching.classify import classify_file

    fired: Counter[str | None] = Counter()
    for path in _with_progress(logs, "classifying"):
        try:
            fired[classify_file(catalogue, path).rule] += 1
        except OSError as error:  # noqa: PERF203 - one unreadable file takes no other down
            typer.echo(f"autoremed rules: {path} cannot be read: {error.strerror or error}", err=True)
    return fired


def _fired_in_store(limit: int) -> Counter[str | None]:
    from airflow_autoremed.cli.history import opened

    with opened(None) as store:
        return Counter(row.rule for row in store.recent(limit) if row.category is not None)


def _catalogue(rules_paths: Sequence[Path] | None) -> Catalogue:
    """The configured catalogue with *rules_paths* in front, its broken rules named on standard error."""
    from airflow_autoremed.errors import CatalogueError, SettingsError
    from airflow_autoremed.failures.rules.loading import load_catalogue
    from airflow_autoremed.settings import load

    try:
        catalogue = load_catalogue((*(rules_paths or ()), *load().rules_paths))
    except (SettingsError, CatalogueError) as error:
        _fail(str(error), _CANNOT)
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
            _fail(f"{path} does not exist; write a YAML file, or a directory of them.", _CANNOT)
    return found


def _check_known(category: str | None, source: str | None) -> None:
    from airflow_autoremed.taxonomy import CATEGORIES
    from airflow_autoremed.types import Source

    sources = [each.value for each in Source]
    for what, value, known in (("category", category, list(CATEGORIES)), ("source", source, sources)):
        if value is not None and value not in known:
            _fail(f"There is no {what} {value!r}; write one of: {', '.join(known)}.", _CANNOT)


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


def _with_progress(items: Sequence[T], what: str) -> Iterator[T]:
    """*items*, with a progress bar in a terminal where there are many."""
    console = Console(stderr=True)
    if not console.is_terminal or len(items) < 20:
        yield from items
        return
    from rich.progress import track

    yield from track(items, description=what, console=console, transient=True)


def _print_errors(errors: Iterable[RuleProblem], *, err: bool = False) -> None:
    for error in errors:
        typer.echo(str(error), err=err)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"autoremed rules: {message}", err=True)
    raise typer.Exit(code)


for command in (suggest, learn):
    rules_app.command()(command)
