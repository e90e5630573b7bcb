"""How it compares with what else decides about retries, searches configurations or sizes memory, on the same failures.

python -m benchmarks.neighbours     # the page again, from the stored results of proof, optimiser and sizing

Nothing is run here. What cannot be run on this machine (a policy that asks a large language model) is compared on paper:
by what its published code sends and may answer, applied to the failures of the proof.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import optimiser, raw_data, sizing
from benchmarks.proof import report as proof

RESULTS = Path(__file__).parent / "results"
BY_TYPE = "ExceptionRetryPolicy"

# apache-airflow-providers-common-ai 1.0.0, airflow/providers/common/ai/policies/retry.py.
INSTRUCTIONS_CHARS = 845
"""Length of ``DEFAULT_INSTRUCTIONS`` of ``LLMRetryPolicy``."""
PROMPT_CHARS = 75
"""Of what stands around the exception's text in its prompt."""
MOST_CHARS = 4096
"""Of the exception's text that it sends: ``max_exception_length``."""
SCHEMA_CHARS = 700
"""Of the JSON schema of its answer, about: four fields with their descriptions."""
ANSWER_TOKENS = 100
"""Assumed: a category, a flag, a number and a sentence."""
CHARS_PER_TOKEN = 4
"""A rule of thumb for English text; logs have fewer."""
USD_PER_MILLION_IN, USD_PER_MILLION_OUT = 1.0, 5.0
"""List price of Claude Haiku 4.5, the model that the provider's documentation names."""


@dataclass(frozen=True)
class Reader:
    """One way of knowing what failed."""

    what: str
    named: str
    measures: proof.Measures


def readers(results: Mapping[str, Any]) -> list[Reader]:
    """Type, text and log: what each names rightly of the first failures, and what came of it."""
    jobs = proof.counted(results)

    def named(strategy: str) -> str:
        right = sum(job["strategies"][strategy][0].get("category") in job["labels"] for job in jobs)
        return proof.share_of(right, len(jobs))

    return [
        Reader("the exception's type (`ExceptionRetryPolicy`)", "cannot", proof.measure(jobs, BY_TYPE)),
        Reader(
            "the exception's text, our rules", named(proof.TEXT_ALONE), proof.measure(jobs, proof.TEXT_ALONE)
        ),
        Reader("the log, our rules", named(proof.OURS), proof.measure(jobs, proof.OURS)),
        Reader("whatever it likes, always right, but can only retry or stop", "all", all_knowing(jobs)),
    ]


def all_knowing(jobs: Sequence[Mapping[str, Any]]) -> proof.Measures:
    """The best that a policy can do that leaves the configuration as it is: a plain retry of what passes, none of what
    a plain retry does not cure."""
    as_if = []
    for job in jobs:
        blind = job["strategies"][proof.BLIND]
        as_if.append({**job, "strategies": {"ideal": blind if job["kind"] == "transient" else blind[:1]}})
    return proof.measure(as_if, "ideal")


def page() -> str:
    """The page, from the stored results."""
    results = {name: raw_data.read(RESULTS / f"{name}.json.gz") for name in ("proof", "optimiser", "sizing")}
    lines = [
        "# How it compares",
        "",
        "`python -m benchmarks.neighbours`, from the stored results of [the proof](proof.md), [the optimiser](optimiser.md) "
        "and [sizing](sizing.md).",
        "",
        *_reading(results["proof"]),
        *_language_models(results["proof"]),
        *_searches(results["optimiser"]),
        *_sizing(results["sizing"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _reading(results: Mapping[str, Any]) -> list[str]:
    jobs = proof.counted(results)
    blind = proof.measure(jobs, proof.BLIND)
    lines = [
        "## What reading the log gains",
        "",
        f"The same {len(jobs)} failures of the proof ({results['date'][:10]}), by how much of each failure a policy reads.",
        "",
        "| what is read | right cause named | curable healed | incurable stopped at once | transient failures stopped "
        "| GiB-hours vs. plain retry |",
        "|---|---|---|---|---|---|",
    ]
    for reader in readers(results):
        m = reader.measures
        lines.append(
            f"| {reader.what} | {reader.named} | {proof.share_of(m.healed_last, m.curable)} "
            f"| {proof.share_of(m.stopped_at_once, m.incurable)} | {m.transient_lost} of {m.transient} "
            f"| {m.gib_seconds / blind.gib_seconds:.2f} |"
        )
    return [
        *lines,
        "",
        "`SparkSubmitOperator` raises `AirflowException` whatever happened in Spark, so rules by type never match and only "
        "plain retry remains. The exception's text ends with the last lines of the log. These are often about the shutdown, "
        "not the cause, and they differ from run to run. The last line of the table is not a product: it is the best that "
        "any policy can reach that decides about a retry and leaves its configuration as it is.",
        "",
    ]


def _language_models(results: Mapping[str, Any]) -> list[str]:
    jobs = proof.counted(results)
    sizes = [job["first"][0]["exception_chars"] for job in jobs]
    sent = [min(size, MOST_CHARS) for size in sizes]
    tokens = [(INSTRUCTIONS_CHARS + SCHEMA_CHARS + PROMPT_CHARS + size) / CHARS_PER_TOKEN for size in sent]
    price = statistics.median(
        (each * USD_PER_MILLION_IN + ANSWER_TOKENS * USD_PER_MILLION_OUT) / 1e6 for each in tokens
    )
    cut = sum(size > MOST_CHARS for size in sizes)
    right = sum(job["strategies"][proof.TEXT_ALONE][0].get("category") in job["labels"] for job in jobs)
    ideal = all_knowing(jobs)
    return [
        "## Policies that ask a language model, on paper",
        "",
        "They were not run, because this machine can reach no model. The table comes from the code of `LLMRetryPolicy` and "
        "`ClassifierRetryPolicy` in `apache-airflow-providers-common-ai` 1.0.0 and their "
        "[documentation](https://airflow.apache.org/docs/apache-airflow-providers-common-ai/1.1.0/retry_policies.html):",
        "",
        "| | asks a language model | airflow-autoremed |",
        "|---|---|---|",
        f"| sees | type and text of the exception, {MOST_CHARS:,} characters of it; number of the try | the whole log as it "
        "streams, the exception, what the platform says, earlier tries and their configurations |",
        f"| of these {len(jobs)} failures | median {statistics.median(sizes):,.0f} characters of exception, "
        f"{cut} longer than what is sent; our rules find the cause in the text of {proof.share_of(right, len(jobs))} "
        f"| in the log of {proof.share_of(*proof.accuracy(jobs))} |",
        "| may answer | retry, after how long, or fail | retry with another configuration, retry, or fail |",
        f"| of {ideal.curable} failures that a configuration cures | heals none; its default instructions say not to retry "
        "what needs a configuration change | heals "
        f"{proof.measure(jobs, proof.OURS).healed_last} |",
        f"| a decision costs | about {statistics.median(tokens):,.0f} tokens in and {ANSWER_TOKENS} out: {price * 1000:.1f} USD "
        "for 1,000 failures at the list price of the model that its documentation names | no fee; milliseconds "
        "of the worker ([overhead](overhead.md)) |",
        "| waits | for a network call, 30 s at most by default; a classifier model a few hundred milliseconds, "
        "says the documentation | for nothing outside the worker |",
        "| leaves the deployment | the text of the exception, with registered secrets masked | nothing |",
        "| the same failure again | may get another answer | gets the same answer |",
        "| a text that no rule knows | may well be understood: a language model reads better here | is left alone, "
        "and kept for `autoremed rules suggest` |",
        "| when it fails | its fallback rules, else Airflow's own retries | Airflow's own retries |",
        "",
        f"Tokens are estimated at {CHARS_PER_TOKEN} characters each, the answer at {ANSWER_TOKENS}; prices of "
        f"{USD_PER_MILLION_IN:g} and {USD_PER_MILLION_OUT:g} USD per million tokens in and out. "
        "`airflow-provider-smart-retry` 0.1.0 reads the error log with a local model, by its description; it also decides "
        "only whether to retry and how long to wait. You can use both kinds: with Airflow's "
        "`ChainRetryPolicy` you can ask a language model where `AutoRemediationPolicy` leaves the task alone.",
        "",
    ]


def _searches(results: dict[str, Any]) -> list[str]:
    return [
        "## Optimisers: Ax, which Netflix uses, and Optuna",
        "",
        f"The same surrogate, objective and {results['candidates']:,} candidates ({results['date']}, "
        f"{', '.join(f'{name} {number}' for name, number in results['versions'].items())}).",
        "",
        *optimiser.table(results),
        "",
        'A lattice of this size needs no search: all candidates are evaluated. So "no configuration inside the limits is '
        'worth a retry" is a fact about the model and not about the search. Ax and Optuna are made for spaces that are '
        "too large for that, or for problems without a model.",
        "",
    ]


def _sizing(results: dict[str, Any]) -> list[str]:
    table = [line for line in sizing.report(results) if line.startswith("|")]
    short = ["| method | GB h wasted / failures, all six workflows |", "|---|---|"]
    for line in table[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        short.append(f"| {cells[0]} | {cells[-1]} |")
    return [
        "## Sizing memory: the baselines of sizey",
        "",
        "Public data of scientific workflows, medians over the seeds ([by workflow](sizing.md), "
        "[where we win and where we do not](../../docs/sizing.md)).",
        "",
        *short,
        "",
    ]


def main() -> None:
    (RESULTS / "neighbours.md").write_text(page(), encoding="utf-8")
    print(page())


if __name__ == "__main__":
    main()
