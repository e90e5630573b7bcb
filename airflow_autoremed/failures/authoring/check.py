"""``python -m airflow_autoremed.failures.authoring.check FILE...``: check rule files, alone and against the catalogue."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from airflow_autoremed.failures.kinds.meaning import is_kind
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.failures.matching.precedence import unknown
from airflow_autoremed.failures.rules.catalogue import Catalogue
from airflow_autoremed.failures.rules.loading import CATALOGUE_DIR, load_catalogue, read_rules
from airflow_autoremed.failures.rules.rule import Rule, RuleProblem
from airflow_autoremed.types import UNKNOWN, Classification


def check_files(paths: Sequence[Path]) -> list[RuleProblem]:
    """What is wrong with rule files: form, examples, counter-examples, ids that occur twice."""
    errors: list[RuleProblem] = []
    seen: dict[str, str] = {}
    for path in paths:
        rules, faults = read_rules(path)
        errors.extend(faults)
        for rule in rules:
            if rule.id in seen:
                reason = f"has an id that is taken by {seen[rule.id]}; rename one"
                errors.append(RuleProblem(rule.path, rule.line, rule.id, reason))
            seen.setdefault(rule.id, f"{path}:{rule.line}")
            errors.extend(RuleProblem(rule.path, rule.line, rule.id, fault) for fault in faults_of(rule))
    return errors


def faults_of(rule: Rule) -> list[str]:
    """What a rule says of itself that does not hold: examples that it misses, counter-examples that it matches."""
    if rule.silence:
        return []
    faults = []
    if not rule.examples and not rule.users:
        faults.append("has no example; add a line that it must match")
    alone = Catalogue((rule,))
    for example in rule.examples:
        verdict = judge(alone, rule, example, assume_failed=True)
        if verdict.category != rule.category or is_kind(verdict.rule):
            why = (
                ""
                if any(literal in example for literal in rule.literals)
                else (f" (none of its literals {list(rule.literals)} is in it)")
            )
            faults.append(f"does not match its example {_short(example)}{why}")
    for example in rule.counter_examples:
        verdict = judge(alone, rule, example, assume_failed=False)
        if verdict.category != UNKNOWN and not is_kind(verdict.rule):
            faults.append(f"matches its counter-example {_short(example)}")
    return faults


def lost_examples(catalogue: Catalogue, rules: Sequence[Rule]) -> list[RuleProblem]:
    """Examples to which the whole catalogue gives another category than their rule's."""
    errors = []
    for rule in rules:
        for example in rule.examples:
            verdict = judge(catalogue, rule, example, assume_failed=True)
            if verdict.category != rule.category:
                reason = (
                    f"(rank {rule.rank}, {rule.category}) loses its example {_short(example)} to {verdict.rule} "
                    f"({verdict.category})"
                )
                errors.append(RuleProblem(rule.path, rule.line, rule.id, reason))
    return errors


def judge(catalogue: Catalogue, rule: Rule, example: str, assume_failed: bool) -> Classification:
    """The catalogue's verdict on an example of ``rule``, in the first place where the rule may be found."""
    if not example:
        return unknown()
    matcher = LogMatcher(catalogue, assume_failed=assume_failed)
    matcher.feed(example, rule.source[0] if rule.source else None)
    return matcher.classification()


def _short(text: str) -> str:
    line = text if len(text) <= 160 else text[:157] + "..."
    return repr(line)


def main(arguments: Sequence[str]) -> int:
    """Print what is wrong, one line each; 1 when there is anything."""
    paths = [Path(argument) for argument in arguments] or sorted(CATALOGUE_DIR.glob("*.yaml"))
    errors = check_files(paths)
    for error in errors:
        print(error)  # noqa: T201 - a command
    wanted = {str(path.resolve()) for path in paths}
    whole = load_catalogue()
    mine = [rule for rule in whole.rules if str(Path(rule.path).resolve()) in wanted]
    lost = lost_examples(whole, mine)
    for error in lost:
        print(f"{error} [against the whole catalogue]")  # noqa: T201 - a command
    count = sum(len(read_rules(path)[0]) for path in paths)
    print(f"{count} rules, {len(errors)} errors, {len(lost)} examples lost to others")  # noqa: T201 - a command
    return 1 if errors or lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
