# Every target sets up what it needs: a virtual environment, and the dependencies in it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OLDEST := $(VENV)-oldest

.PHONY: serve test test-oldest lint format bench bench-quick profile readme clean

serve: $(READY)
	$(BIN)/contact-adapter serve $(ARGS)

test: $(READY)
	$(BIN)/pytest --numprocesses auto $(ARGS)

test-oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/pytest --numprocesses auto -W default --ignore tests/web/test_fuzz.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench
	PYTHONPATH=tests $(BIN)/python -m bench.run --json build/bench.json $(ARGS)

bench-quick: $(VENV)/.bench
	PYTHONPATH=tests $(BIN)/python -m bench.run --quick --json build/bench-quick.json $(ARGS)

profile: $(READY)
	PYTHONPATH=tests $(BIN)/python -m bench.profile_request $(ARGS)

readme: $(READY)
	PYTHONPATH=tests $(BIN)/python -m tools.render_readme
	PYTHONPATH=tests $(BIN)/python -m tools.render_faults
	PYTHONPATH=tests $(BIN)/python -m tools.render_providers

clean:
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(OLDEST)/.ready: setup.cfg pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet --requirement tests/oldest.txt --editable '.[test]'
	touch $@

$(VENV)/.bench: $(READY) tests/bench/requirements.txt
	$(BIN)/python -m pip install --quiet --requirement tests/bench/requirements.txt
	touch $@
