"""What others can write, changed at random: every reader answers with its documented error, or with what it promises.

A second each with a fixed seed; ``make fuzz`` runs them longer with others (AUTOREMED_FUZZ_S, AUTOREMED_FUZZ_SEED).
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.airflow.attempt import handover as handovers
from airflow_autoremed.errors import PatchRejectedError
from airflow_autoremed.failures.rules.loading import read_rules
from airflow_autoremed.ingestion.event_logs import measured
from airflow_autoremed.patching import apply, from_json
from airflow_autoremed.redaction import mask_secrets
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.event_log import EventLog
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import ANY, AttemptId, Limits

SECONDS = float(os.environ.get("AUTOREMED_FUZZ_S", "1"))
SEED = int(os.environ.get("AUTOREMED_FUZZ_SEED", "1"))
ATTEMPT = AttemptId("d", "r", "t", -1, 2)
ODD: list[Any] = [
    *(None, True, 0, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", " ", "\x00", "\ud800"),
    *(
        "a" * 300,
        "4g",
        "-1",
        "1e30",
        "\n",
        "é",
        "spark.executor.memory",
        [],
        {},
        [[]],
        {"a": 1},
        "*",
        "9" * 5000,
    ),
    "4g --conf x=y",
]
VALUES = [
    "4g",
    "8g",
    "1t",
    "-1",
    "0",
    "450m",
    "true",
    "false",
    "0.5",
    "1",
    "100000",
    "-Xss4m",
    "-Dx=1 -Xss4m",
    "1e3",
    "4 g",
    "10min",
    "999999999999g",
    "86400s",
    "4096g",
]


@pytest.fixture
def dice() -> random.Random:
    return random.Random(SEED)


def rounds() -> Iterator[int]:
    until, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        yield number
        number += 1
    assert number > 10


def changed(value: Any, dice: random.Random) -> Any:
    """*value* with some of its parts replaced, doubled, cut or left out."""
    if dice.random() < 0.1:
        return dice.choice(ODD)
    if isinstance(value, dict):
        value = {key: changed(each, dice) if dice.random() < 0.4 else each for key, each in value.items()}
        if value and dice.random() < 0.1:
            value.pop(dice.choice(list(value)))
        return value
    if isinstance(value, list):
        value = [changed(each, dice) if dice.random() < 0.5 else each for each in value]
        return [*value, copy.deepcopy(dice.choice(value))] if value and dice.random() < 0.1 else value
    if isinstance(value, str) and value and dice.random() < 0.3:
        at = dice.randrange(len(value))
        return (
            value[:at]
            + dice.choice(["\x00", "é", " ", "\n", "9", "\ud800", "/", "~", '"', "["])
            + value[at + 1 :]
        )
    return value


def test_a_patch_is_refused_or_stays_within_the_limits(dice: random.Random) -> None:
    for _ in rounds():
        declared = {key: dice.choice(VALUES) for key in dice.sample(list(PATCHABLE), dice.randrange(6))}
        operations: list[dict[str, str]] = []
        for key in dice.sample(list(PATCHABLE), dice.randrange(1, 6)):
            if key in declared:
                operations.append({"op": "test", "path": f"/{key}", "value": declared[key]})
            op = "replace" if key in declared else "add"
            operations.append({"op": op, "path": f"/{key}", "value": dice.choice(VALUES)})
        patch: Any = {
            "scope": {
                "kind": "run",
                "dag_id": "d",
                "run_id": "r",
                "task_id": "t",
                "map_index": -1,
                "fingerprint": ANY,
            },
            "from_try": 1,
            "operations": operations,
        }
        patch = changed(patch, dice) if dice.random() < 0.6 else patch
        with suppress(PatchRejectedError):
            result = apply(from_json(patch), declared, attempt=ATTEMPT, limits=Limits())
            assert set(result) <= {*declared, *PATCHABLE}
            for role in ("driver", "executor"):
                most = max(64 * 1024**3, allocation.container(declared, role))
                assert allocation.container(result, role) <= most


def test_a_handover_is_read_or_refused(dice: random.Random) -> None:
    attempt = {
        "try_number": 1,
        "conf": {"spark.executor.memory": "1g"},
        "category": "executor_oom_heap",
        "duration_s": 3.0,
        "remediated": True,
    }
    good = {
        "schema": 1,
        "from_try": 1,
        "mode": "act",
        "category": "executor_oom_heap",
        "patch": None,
        "max_tries": 3,
        "made_at": 1.0,
        "attempts": [attempt, attempt],
    }

    class StateStore:
        def get(self, _: str) -> Any:
            return changed(good, dice)

    for _ in rounds():
        with suppress(ValueError, OverflowError):
            found = handovers.read(StateStore())
            assert found is None or all(set(past.conf) <= set(PATCHABLE) for past in found.attempts)


def test_an_event_log_is_summed_up_or_refused(dice: random.Random, tmp_path: Path) -> None:
    from airflow_autoremed.errors import EventLogError

    folder = Path(__file__).parents[1] / "data" / "event_logs" / "killed"
    (real,) = (each for each in folder.rglob("*") if each.is_file())
    (source,) = [EventLog(str(real), (str(real),))]
    from airflow_autoremed.spark.event_log_files import Lines

    events = [json.loads(line) for line in list(Lines(source))[:200] if line.endswith(b"}")]
    log = tmp_path / "app-1"
    for _ in rounds():
        some = dice.sample(events, min(20, len(events)))
        log.write_text("\n".join(json.dumps(changed(event, dice)) for event in some), errors="surrogatepass")
        with suppress(EventLogError):
            json.dumps(measured(EventLog("log", (str(log),))).failure, allow_nan=False)


def test_a_rule_file_gives_rules_and_problems(dice: random.Random, tmp_path: Path) -> None:
    text = (
        "- id: a-b\n  category: executor_oom_heap\n  rank: 50\n  pattern: 'Zebra (?P<n>[0-9]+) fail'\n"
        "  summary: x\n  sizes: {n: bytes}\n  examples: ['Zebra 1 fail']\n  source: [driver_log]\n"
    )
    file = tmp_path / "rules.yaml"
    for _ in rounds():
        mixed = text
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(mixed))
            piece = dice.choice(
                ["\n", "- ", "[", "{", "&a ", "*a", "!!int ", "'", '"', ": ", "9" * 50, "#", "\t", "<<: "]
            )
            mixed = mixed[:at] + piece + mixed[at + dice.randrange(4) :]
        file.write_text(mixed)
        rules, problems = read_rules(file)
        assert rules or problems or not mixed.strip("- \n") or mixed.lstrip().startswith("#")


def test_masking_keeps_what_it_masked_masked(dice: random.Random) -> None:
    pieces = [
        "password",
        "=",
        ": ",
        "'",
        '"',
        "\\",
        " ",
        "\n",
        "://",
        "@",
        "hunter2",
        "{",
        "}",
        ",",
        "->",
        "token",
        "key",
        "<",
        ">",
    ]
    for _ in rounds():
        once = mask_secrets("".join(dice.choice(pieces) for _ in range(dice.randrange(40))))
        assert mask_secrets(f"password=geheim987 {once}").startswith("password=***")
