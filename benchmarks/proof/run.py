"""Runs every strategy on every job, then the oracle, then a model trained on other jobs; keeps all of it as JSON."""

from __future__ import annotations

import gzip
import json
import platform
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_autoremed.remediation import reasons
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.cost import usage_by_conf
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Conf, Decision, Objective, Predictor, RecordedAttempt
from benchmarks import raw_data
from benchmarks.proof import report, strategies
from benchmarks.proof.cluster import Cluster, Lab, Memo, Outcome
from benchmarks.proof.jobs import Job, Kind
from benchmarks.proof.strategies import MOST_TRIES, Ours, Strategy, Tried

WITH_MODEL, UNAUDITED = report.MODEL, report.UNAUDITED
"""The second: what the audits keep from deciding, decides, to see what they are for."""

SHORT = ("no retry", "blind retry x3", "ours")
"""Strategies of the short form, which has no oracle either."""


def run(
    jobs: Sequence[Job], home: Path, *, lanes: int, command: str, short: bool, model: bool
) -> dict[str, Any]:
    """All of it.

    :param home: where the cluster works and the attempts are kept; run again with the same one, and what was broken
        off goes on.
    """
    memo = Memo(home / "attempts.jsonl")
    with Cluster(home, "24g", lanes) as cluster, ThreadPoolExecutor(lanes) as pool:
        lab = Lab(cluster, memo)
        # The long ones first, so that no lane waits for the other at the end.
        ordered = sorted(jobs, key=lambda job: list(Kind).index(job.kind))
        found = list(pool.map(lambda job: _one(lab, job, short), ordered))
        models: dict[str, Any] = {}
        if model:
            models = _with_models(lab, found, ordered, pool)
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "command": command,
        "machine": machine(),
        "lanes": lanes,
        "attempts": memo.count,
        "minutes": round(memo.seconds / 60 / lanes),
        "models": models,
        "jobs": found,
    }


def _one(lab: Lab, job: Job, short: bool) -> dict[str, Any]:
    first = [lab.attempt(job, job.declared, 1, sample) for sample in (0, 1)]
    kept: dict[str, Any] = {
        "id": job.id,
        "family": job.family,
        "kind": job.kind.value,
        "memory": job.memory,
        "held_out": job.held_out,
        "parameters": dict(job.parameters),
        "declared": dict(job.declared),
        "labels": list(job.labels),
        "container": job.container,
        "first": [_outcome(each) for each in first],
    }
    if not first[0].succeeded:
        cause = strategies.classify(first[0])
        kept["classified"] = {
            "category": cause.category,
            "rule": cause.rule,
            "line": cause.lines[0].text[:300] if cause.lines else "",
        }
    kept["strategies"] = {
        name: follow(lab, job, strategy, steady=first[0].succeeded == first[1].succeeded)
        for name, strategy in strategies.SIMPLE.items()
        if name in SHORT or not short
    }
    if job.kind is Kind.CURABLE and not short:
        kept["oracle"] = _oracle(lab, job)
    healed = {
        name: "".join("." if t["succeeded"] else "x" for t in tries)
        for name, tries in kept["strategies"].items()
    }
    print(
        f"{time.strftime('%H:%M:%S')} {job.id}: {healed['ours']:5} {kept.get('classified', {}).get('category', '')}",
        flush=True,
    )
    return kept


def follow(lab: Lab, job: Job, strategy: Strategy, *, steady: bool) -> list[dict[str, Any]]:
    """The tries of *strategy* on *job*, until it succeeds, gives up, or has no try left.

    :param steady: whether two runs of the first attempt ended alike: then they stand for further repetitions too.
    """
    tries: list[Tried] = []
    conf: Conf | None = job.declared
    while conf is not None and len(tries) < MOST_TRIES:
        before = sum(1 for each in tries if dict(each.conf) == dict(conf))
        sample = before % 2 if steady else before
        if dict(conf) != dict(job.declared) and "fails" not in job.parameters:
            sample = min(sample, 1)
        if job.kind is Kind.INCURABLE and dict(conf) != dict(job.declared):
            outcome = _as_before(tries[-1].outcome, conf)
        else:
            outcome = lab.attempt(job, conf, len(tries) + 1, sample)
        tries.append(Tried(conf, outcome))
        if outcome.succeeded:
            break
        following, decision = strategy.next(job, tries)
        tries[-1] = replace(tries[-1], decision=decision)
        conf = following
    return [_tried(each) for each in tries]


def _as_before(last: Outcome, conf: Conf) -> Outcome:
    """A further try of what no configuration cures, charged and not run: it takes as long as the one before."""
    used = usage_by_conf(conf, last.duration_s)
    return replace(
        last,
        gib_seconds=round(used.gib_seconds, 2),
        core_seconds=round(used.core_seconds, 2),
        killed="not run, charged as the try before",
    )


def _oracle(lab: Lab, job: Job) -> dict[str, Any] | None:
    """The cheapest of the job's possible cures that passes, found by bisection: passing is monotone along them, so
    what the strategies ran tells of what lies above and below."""
    cures: list[Conf] = [{**job.declared, **change} for change in job.oracle]

    def passes(number: int) -> bool:
        ends = {_implied(cures[number], conf, passed) for conf, passed in lab.ends(job)} - {None}
        return bool(ends.pop()) if len(ends) == 1 else lab.attempt(job, cures[number], 1).succeeded

    if dict(cures[0]) != dict(job.declared) and passes(0):
        low, high = -1, 0
    else:
        low, high = 0, len(cures)  # low fails; high passes, or is beyond the end
        step = 1  # doubling from the bottom, then halving: large configurations are rarely run
        while low + step < len(cures) and not passes(low + step):
            low, step = low + step, step * 2
        high = min(low + step, len(cures))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    # Near the limit an end may differ from what larger and smaller ones imply: the one that counts is run.
    while high < len(cures):
        outcome = lab.attempt(job, cures[high], 1)
        if outcome.succeeded:
            return _tried(Tried(cures[high], outcome))
        high += 1
    return None


def _implied(cure: Conf, conf: Conf, passed: bool) -> bool | None:
    """What the end of *conf* says of *cure*, where they differ in the size of one setting of memory at most."""
    differ = [key for key in {*cure, *conf} if cure.get(key) != conf.get(key)]
    if not differ:
        return passed
    if len(differ) > 1 or not PATCHABLE[differ[0]].footprint:
        return None
    ours, theirs = allocation.value(cure, differ[0]), allocation.value(conf, differ[0])
    if ours is None or theirs is None:
        return None
    return passed if (ours > theirs) is passed else None


def _with_models(
    lab: Lab, found: Sequence[dict[str, Any]], jobs: Sequence[Job], pool: ThreadPoolExecutor
) -> dict[str, Any]:
    """A model for each half of the jobs, trained on all that was run of the other half."""
    told: dict[str, Any] = {}
    trained: dict[bool, Predictor | None] = {}
    passed: dict[bool, bool] = {}
    for half in (False, True):
        records = _history([each for each in found if each["held_out"] is not half])
        name = "held-out" if half else "development"
        trained[half], told[name] = _train(records)
        passed[half] = bool(told[name].get("promoted"))
    ways = [Ours(WITH_MODEL, predictor=lambda job: trained[job.held_out] if passed[job.held_out] else None)]
    if not all(passed.values()):
        ways.append(Ours(UNAUDITED, predictor=lambda job: trained[job.held_out]))
    by_id = {each["id"]: each for each in found}

    def one(job: Job) -> None:
        kept = by_id[job.id]
        steady = kept["first"][0]["succeeded"] == kept["first"][1]["succeeded"]
        for strategy in ways:
            kept["strategies"][strategy.name] = follow(lab, job, strategy, steady=steady)

    list(pool.map(one, jobs))
    return told


def _history(found: Iterable[dict[str, Any]]) -> list[RecordedAttempt]:
    """What every strategy ran, as if each had been a run of the task, one after the other in no order of jobs."""
    runs = [(each, run, tries) for each in found for run, tries in each["strategies"].items()]
    random.Random(0).shuffle(runs)
    moment, history = 0.0, []
    for each, run, tries in runs:
        for number, tried in enumerate(tries, start=1):
            moment += 600.0
            category = tried.get("category") or each.get("classified", {}).get("category", "unknown")
            history.append(
                RecordedAttempt(
                    _attempt_id(each["id"], run, number),
                    moment,
                    each["declared"],
                    tried["conf"],
                    tried["succeeded"],
                    tried["duration_s"],
                    category=None if tried["succeeded"] else category,
                    operator="SparkSubmitOperator",
                    fingerprint=each["id"],
                )
            )
    return history


def _attempt_id(task: str, run: str, number: int) -> Any:
    from airflow_autoremed.types import AttemptId

    return AttemptId("proof", run, task, -1, number)


def _train(records: Sequence[RecordedAttempt]) -> tuple[Predictor | None, dict[str, Any]]:
    """A model as ``autoremed train`` makes it, whether or not it passed its audits, and what came of it."""
    from airflow_autoremed.errors import TooLittleDataError
    from airflow_autoremed.learning import training_run as training
    from airflow_autoremed.learning.model import read

    folder = Path(tempfile.mkdtemp()) / "models"
    told: dict[str, Any] = {"attempts": len(records), "failures": sum(not each.succeeded for each in records)}
    try:
        report = training.run(records, folder, objective=Objective())
    except TooLittleDataError as error:
        return None, {**told, "refused": str(error)}
    told["audits"] = [each.to_dict() for each in report.audits]
    told["promoted"] = report.promoted
    return read(report.folder), told


def _outcome(outcome: Outcome) -> dict[str, Any]:
    kept = outcome.to_dict()
    del kept["log"]
    kept["exception_chars"] = len(kept["exception"])
    kept["exception"] = kept["exception"][-600:]
    return kept


def _tried(tried: Tried) -> dict[str, Any]:
    kept = {"conf": dict(tried.conf), **_outcome(tried.outcome)}
    del kept["exception"], kept["exception_chars"]
    if tried.decision is not None:
        kept |= _decision(tried.decision)
    return kept


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action.value,
        "category": decision.classification.category,
        "reason": reasons.text(decision),
        "decided_by": decision.decided_by,
    }


def machine() -> str:
    """The machine in one line."""
    import psutil
    import pyspark

    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    java = subprocess.run(
        ["java", "-version"], capture_output=True, text=True, check=False
    ).stderr.splitlines()
    memory = psutil.virtual_memory().total >> 30
    return (
        f"{psutil.cpu_count()} cores ({model}), {memory} GiB, Python {platform.python_version()}, "
        f"Spark {pyspark.__version__}, {java[0] if java else 'no Java'}, {sys.platform}"
    )


def save(results: dict[str, Any], folder: Path, name: str, home: Path) -> None:
    """Keep *results* under *name* in *folder*; beside them every attempt that was run, the oracle's too, and the
    driver's whole log of each job's first one, so that others can read them with rules of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    raw_data.write(folder / f"{name}.json.gz", results)
    memo = Memo(home / "attempts.jsonl")
    with gzip.open(folder / f"{name}-attempts.jsonl.gz", "wt", encoding="utf-8") as attempts:
        for job_id, conf, outcome in memo.all():
            attempts.write(json.dumps({"job": job_id, "conf": dict(conf), **_outcome(outcome)}) + "\n")
    first: dict[str, str] = {}
    for job_id, _, outcome in memo.all():
        first.setdefault(job_id, outcome.log)
    with tarfile.open(folder / f"{name}-logs.tar.xz", "w:xz") as logs:
        for job_id, log in first.items():
            logs.add(log, f"{job_id.replace(' ', '-')}.log", filter=_nobodys)


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without whose file it was, and when."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
