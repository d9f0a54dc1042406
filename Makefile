# The recipes people use. Everything happens inside .venv and the state directory (.trackly).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo up restart servers test bench storm kill fuzz format lint types audit lock clean
help: ## what there is to type
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/runtime.stamp ## the main job from nothing: start all, send the seeds' batch, show the summary, stop all
	@$(BIN)/python -m trackly.embedded demo

up: .venv/runtime.stamp ## the whole stack until Ctrl-C (PORT, TRACKLY_HOME, DATABASE_URL, REDIS_URL)
	@exec $(BIN)/python -m trackly.embedded up

restart: .venv/runtime.stamp ## the code as it is now, in the running `make up`: no request refused, no batch held up
	@$(BIN)/python -m trackly.embedded restart

servers: .venv/runtime.stamp ## PostgreSQL, Redis and the stub alone, for `manage.py runserver` and `celery -A trackly worker`
	@exec $(BIN)/python -m trackly.embedded servers

test: .venv/dev.stamp ## the whole test suite
	@$(BIN)/python -m pytest

storm: .venv/dev.stamp ## ten minutes of faults under load, then a reconciliation; STORM="--seed 7 --seconds 60 --no-sweep"
	@$(BIN)/python -m tests.faults.storm $(STORM)

kill: .venv/dev.stamp ## processes killed before every single line that they run
	@KILL_STRIDE=1 $(BIN)/python -m pytest tests/billing/test_killed.py tests/billing/test_invoices.py

fuzz: .venv/dev.stamp ## schemathesis, at length
	@SCHEMATHESIS_CASES=200 $(BIN)/python -m pytest tests/contract/test_description.py

bench: .venv/dev.stamp ## measure, 40 minutes; ONLY="latency fair" for some of it, SCALE=0.1 for a tenth (tests/benchmarks)
	@$(BIN)/python -m tests.benchmarks $(ONLY)

format: .venv/dev.stamp ## let ruff write
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: .venv/dev.stamp ## ruff, without writing
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: .venv/dev.stamp ## mypy --strict over code and tests
	@$(BIN)/python -m mypy .

audit: .venv/dev.stamp ## bandit over the code; known vulnerabilities of what production installs, where PyPI says them
	@# B608 is ruff's S608, which `make lint` looks at.
	@$(BIN)/bandit --quiet --recursive --severity-level medium --skip B608 trackly contacts journeys billing
	@$(BIN)/pip-audit --requirement requirements-production.lock --disable-pip --progress-spinner off

LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url pyproject.toml

lock: .venv/dev.stamp ## pin what pyproject.toml asks for, with hashes
	@$(LOCK) --upgrade --extra embedded --group dev -o requirements-dev.lock
	@$(LOCK) -c requirements-dev.lock --extra embedded -o requirements.lock
	@$(LOCK) -c requirements-dev.lock -o requirements-production.lock

clean: ## forget the environment and the state directory (stop `make up` first)
	rm -rf .venv .trackly .trackly-test

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv

.venv/runtime.stamp: requirements.lock | .venv/bin/python
	@echo "Installing what requirements.lock names …"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	@echo "Installing what requirements-dev.lock names …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@ .venv/runtime.stamp
