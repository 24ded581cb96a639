# make up    set up everything and run the appliance here
# make test  set up what the tests need and run them
# make check lint, types, import contracts, documentation tests
# make bench figures against peers, one JSON line each (ONLY=P1,P3 runs some)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
ATHERIS_RUNS ?= 200000

.PHONY: up demo test check fix bench fault fuzz fuzz-atheris clean

up: $(STAMP)
	deploy/install_system.sh
	$(BIN)/phayan up

demo: $(STAMP)
	$(BIN)/phayan up --demo

# Two processes share what owns no clock and no port; what starts the appliance or real peers has the machine to itself.
SHARED := --ignore tests/deploy --ignore tests/e2e --ignore tests/fault --ignore tests/interop

test: $(DEV_STAMP)
	deploy/install_peers.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SHARED)
	$(BIN)/python -m pytest tests/deploy tests/e2e tests/fault tests/interop

check: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

fix: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)
	deploy/install_peers.sh
	$(BIN)/python -m tests.bench --only "$(ONLY)"

fault: $(DEV_STAMP)
	$(BIN)/python -m pytest -q tests/fault --full

fuzz: $(DEV_STAMP)
	$(BIN)/python -m coverage run --branch --include='collector/wire/*' --data-file=.coverage.fuzz \
		-m pytest -q -s -m fuzz --full
	$(BIN)/python -m coverage report --data-file=.coverage.fuzz

# The same decoders under libFuzzer's coverage feedback; atheris has wheels for Linux only and is not in the lock.
fuzz-atheris: $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .atheris 'atheris==3.0.0'
	PYTHONPATH=.atheris:. $(BIN)/python tests/collector/wire/atheris_flow.py \
		-runs=$(ATHERIS_RUNS) -max_len=4096 -seed=1 -artifact_prefix=.atheris/

$(VENV)/bin/python:
	deploy/make_venv.sh $(PYTHON) $(VENV)

$(STAMP): $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

$(DEV_STAMP): $(STAMP) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $(DEV_STAMP)

clean:
	rm -rf $(VENV) .atheris .coverage.fuzz .pytest_cache .ruff_cache .hypothesis
