"""How long a fresh process takes to classify a log of 20 KB, with the package installed as a user would.

``python benchmarks/classify_cold_start.py [--rounds 21] [--shipped]``

A wheel is built from this checkout and installed by pip into a virtual environment of its own; what it depends on is
taken from the environment that runs this (a ``.pth`` file there; its own editable install of the package is not
followed from there). Every figure is the median and the 95th percentile of fresh processes, one at a time, after two
that write the bytecode and the cache. ``goal`` is what issue 3 names: load the catalogue, compile or load the
database, classify; with the imports that this takes, and without the start of the interpreter. ``--shipped`` puts the
compiled catalogue into the wheel (``scripts/compile_catalogue.py``) and takes the cache away.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from classify_throughput import _END, _HEALTHY, SEED

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("imports", "catalogue", "index", "classify", "goal")
STEPS = """
import time
began = time.perf_counter()
import json, sys
from airflow_autoremed.failures.matching import classify, matcher
from airflow_autoremed.failures.rules import loading
imported = time.perf_counter()
catalogue = loading.load_catalogue()
loaded = time.perf_counter()
catalogue.index(ENGINE)
indexed = time.perf_counter()
verdict = classify.classify_file(catalogue, LOG, engine=ENGINE)
done = time.perf_counter()
assert verdict.rule == "memory-executor-heap-oom-in-task", verdict.rule
assert "site-packages" in loading.__file__ and "VENV" in loading.__file__, loading.__file__
print(json.dumps({"imports": imported - began, "catalogue": loaded - imported, "index": indexed - loaded,
                  "classify": done - indexed, "goal": done - began, "rules": len(catalogue.rules)}))
"""


def small_log(path: Path) -> None:
    """20 KB of a healthy log with the failure at its end."""
    chance = random.Random(SEED)
    lines: list[str] = []
    while sum(map(len, lines)) < 20_000 - len(_END):
        values = {name: chance.randrange(1000) for name in "abcdefg"}
        lines.append("24/05/01 10:00:00 " + chance.choice(_HEALTHY).format(**values) + "\n")
    path.write_text("".join(lines) + _END)


def install(folder: Path, shipped: bool) -> Path:
    """A virtual environment with the wheel of this checkout; returns its ``bin``."""
    source, venv = folder / "source", folder / "venv"
    source.mkdir()
    shutil.copytree(
        ROOT / "airflow_autoremed", source / "airflow_autoremed", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    if shipped:
        (source / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "compile_catalogue.py", source / "scripts")
        quietly([sys.executable, "scripts/compile_catalogue.py"], cwd=source)
    quietly(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    )
    quietly([sys.executable, "-m", "venv", str(venv)])
    binaries = venv / "bin"
    (wheel,) = folder.glob("*.whl")
    quietly([str(binaries / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)])
    packages = next((venv / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def quietly(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def show(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    print(f"  {what:46} {statistics.median(ordered) * 1000:7.1f} ms  p95 {last * 1000:7.1f} ms")


def walls(command: list[str], environment: dict[str, str], rounds: int) -> list[float]:
    """Seconds of whole processes."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--shipped", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "small.log"
        small_log(log)
        binaries = install(folder, arguments.shipped)
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        }
        cache = folder / "cache"
        environment["AUTOREMED_CACHE_DIR"] = str(log / "nowhere" if arguments.shipped else cache)
        os.chdir(folder)  # `python -c` looks there first, and this checkout must not be found
        python, autoremed = str(binaries / "python"), str(binaries / "autoremed")
        print(f"{log.stat().st_size} bytes, {arguments.rounds} fresh processes each")
        show("an interpreter that does nothing", walls([python, "-c", "pass"], environment, arguments.rounds))
        for engine in (None, "hyperscan"):
            code = STEPS.replace("ENGINE", repr(engine)).replace("LOG", repr(str(log)))
            code = code.replace("VENV", str(binaries.parent))
            rows = []
            for number in range(arguments.rounds + 2):
                answer = subprocess.run(
                    [python, "-c", code], env=environment, capture_output=True, text=True, check=False
                )
                if answer.returncode:
                    raise SystemExit(answer.stderr)
                if number >= 2:
                    rows.append(json.loads(answer.stdout))
            print(f"engine {engine or 'that is ready soonest (the default)'}, {rows[0]['rules']} rules")
            for part in PARTS:
                show(part, [row[part] for row in rows])
        walls([autoremed, "classify", str(log)], environment, 2)
        print("whole processes")
        command = [autoremed, "classify", str(log)]
        show("autoremed classify LOG", walls(command, environment, arguments.rounds))
        if not arguments.shipped:
            first = []
            for _ in range(3):
                shutil.rmtree(cache)
                first += walls(command, environment, 1)
            show("autoremed classify LOG, without a cache", first)


if __name__ == "__main__":
    main()
