"""The proof: real misconfigured Spark jobs, really run, under every way of retrying.

python -m benchmarks.proof --short      # 16 jobs, minutes; what CI runs
python -m benchmarks.proof              # all jobs; within the hour on two cores
python -m benchmarks.proof --report     # the page and the README's figures again, from the stored results
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="16 jobs")
    parser.add_argument("--only", help="only jobs whose name matches this; nothing is stored")
    parser.add_argument(
        "--development", action="store_true", help="all sizes from the development seed; nothing is stored"
    )
    parser.add_argument("--report", action="store_true", help="only write the page from the stored results")
    parser.add_argument("--lanes", type=int, default=2, help="jobs at a time")
    parser.add_argument(
        "--home", type=Path, help="where to work; the same one goes on with what was broken off"
    )
    given = parser.parse_args()
    from benchmarks import raw_data, readme
    from benchmarks.proof import report

    name = "proof-short" if given.short else "proof"
    stored = RESULTS / f"{name}.json.gz"
    if not given.report:
        from benchmarks.proof import jobs, run

        chosen = jobs.short() if given.short else jobs.all_jobs(development=given.development)
        if given.only:
            chosen = [job for job in chosen if re.search(given.only, job.id)]
        home = given.home or Path(tempfile.mkdtemp(prefix="autoremed-proof-"))
        print(f"{len(chosen)} jobs, {given.lanes} at a time, in {home}", flush=True)
        command = "python -m benchmarks.proof" + (" --short" if given.short else "")
        model = not (given.short or given.only or given.development)
        results = run.run(chosen, home, lanes=given.lanes, command=command, short=given.short, model=model)
        if given.only or given.development:
            print(report.page(results))
            return 0
        run.save(results, stored.parent, name, home)
    results = raw_data.read(stored)
    text = report.page(results)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
    if not given.short:
        report.plots(results, RESULTS / f"{name}.png")
        readme.write()
    missed = report.missed_in_ci(results) if given.short else []
    for each in missed:
        print(f"MISSED: {each}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
