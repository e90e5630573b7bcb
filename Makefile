# Every target does its own set-up. Two to start with: `make demo`, `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz test-matrix bench bench-optimiser proof-short unit integration lint types layers package docs lock clean setup setup-java setup-servers

BIN := .venv/bin

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup:
	@scripts/setup.sh

setup-java:
	@scripts/setup.sh --with-java

setup-servers:
	@scripts/setup.sh --with-servers

demo: setup-java  ## real Airflow and real Spark: eight tasks fail and heal before your eyes
	@$(BIN)/autoremed demo $(ARGS)

test: unit integration  ## all tests: unit, then integration with real parts

unit: setup  ## the fast tests: no JVM, no scheduler
	$(BIN)/python -m pytest tests/unit -q -n 2

integration: setup-servers  ## the tests with real Airflow and real Spark
	$(BIN)/python -m pytest tests/integration -q -m integration

fuzz: setup  ## what others can write, changed at random, a minute for each reader (FUZZ_S=60, FUZZ_SEED=...)
	AUTOREMED_FUZZ_S=$(or $(FUZZ_S),60) AUTOREMED_FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) $(BIN)/python -m pytest tests/unit/test_fuzz.py -q

test-matrix: setup  ## the whole way on every supported version of Airflow, each installed by itself
	$(BIN)/python scripts/test_matrix.py $(ARGS)

bench: setup-java  ## every figure of README and docs again (two hours on two cores; results in benchmarks/results)
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python -m benchmarks.proof
	$(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.fleet --attempts 1000000 --spark
	$(MAKE) bench-optimiser
	$(BIN)/python benchmarks/sizing.py
	$(BIN)/python -m benchmarks.neighbours
	$(BIN)/python -m benchmarks.readme
	$(BIN)/python benchmarks/classify_throughput.py
	$(BIN)/python benchmarks/classify_cold_start.py
	$(BIN)/python benchmarks/classify_memory.py
	$(BIN)/python benchmarks/tap_throughput.py
	$(BIN)/python benchmarks/store_concurrency.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/ingest_event_logs.py

bench-optimiser: setup  ## our optimiser beside Optuna and Ax, in an environment of its own (.bench)
	test -x .bench/bin/python || $(BIN)/python -m venv .bench
	.bench/bin/python -m pip install -q -r benchmarks/optimiser-requirements.txt -e '.[learning]'
	.bench/bin/python benchmarks/optimiser.py

proof-short: setup-java  ## 16 real misconfigured jobs: what heals, what is stopped, what is left alone
	$(BIN)/python -m benchmarks.proof --short

lint: setup  ## ruff: style and format; generated pages are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/make_catalogue_page.py --check
	$(BIN)/python scripts/make_options.py --check

types: setup  ## mypy, strict
	$(BIN)/mypy

layers: setup  ## the dependency rule of the house
	$(BIN)/lint-imports

package: setup  ## build wheel and sdist, and check what is in the wheel
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python scripts/check_wheel.py dist

docs: setup  ## renew the generated pages of docs/
	$(BIN)/python scripts/make_catalogue_page.py
	$(BIN)/python scripts/make_options.py

lock: setup  ## renew requirements/dev.lock from pyproject.toml
	$(BIN)/python -m uv pip compile -q --universal --python-version 3.10 --group dev pyproject.toml --all-extras \
	  --override requirements/overrides.txt --no-header --no-emit-index-url --upgrade -o requirements/dev.lock

clean:  ## remove what was built and the virtual environment
	rm -rf .venv .bench .matrix dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
