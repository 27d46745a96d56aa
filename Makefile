# Every target sets up what it needs: a virtual environment, and the dependencies in it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OLDEST := $(VENV)-oldest
NEXT   := $(VENV)-next
PYTEST := pytest --numprocesses auto --dist worksteal

.PHONY: serve test coverage test-fast test-oldest test-next lint format bench bench-quick bench-batches profile readme clean

serve: $(READY)
	$(BIN)/contact-adapter serve $(ARGS)

test: $(READY)
	$(BIN)/$(PYTEST) $(ARGS)

# The floor in setup.cfg is for all tests.
coverage: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-fast: $(READY)
	$(BIN)/pytest --numprocesses logical --dist worksteal -m "not slow" $(ARGS)

test-oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/$(PYTEST) -W default --ignore tests/web/test_fuzz.py $(ARGS)

# The tests of what is not documented in our dependencies, with their pre-releases.
test-next:
	$(PYTHON) -m venv --clear $(NEXT)
	$(NEXT)/bin/python -m pip install --quiet --upgrade pip
	$(NEXT)/bin/python -m pip install --quiet --constraint tests/dev.txt --editable '.[dev]'
	$(NEXT)/bin/python -m pip install --quiet --constraint tests/dev.txt --pre --upgrade \
		--upgrade-strategy eager --editable '.[server,socks]'
	$(NEXT)/bin/$(PYTEST) -W default -k "private_api or canar" $(ARGS)

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

bench-batches: $(READY)
	PYTHONPATH=tests $(BIN)/python -m bench.batches

profile: $(READY)
	PYTHONPATH=tests $(BIN)/python -m bench.profile_request $(ARGS)

readme: $(READY)
	PYTHONPATH=tests $(BIN)/python -m tools.render_readme
	PYTHONPATH=tests $(BIN)/python -m tools.render_faults
	PYTHONPATH=tests $(BIN)/python -m tools.render_providers

clean:
	rm -rf $(VENV) $(OLDEST) $(NEXT) $(VENV)-3.* build dist *.egg-info .coverage*

$(READY): setup.cfg pyproject.toml tests/dev.txt
	@echo "Installing the package with all development tools into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint tests/dev.txt --editable '.[dev]'
	touch $@

$(OLDEST)/.ready: setup.cfg pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet --requirement tests/oldest.txt --editable '.[test]'
	touch $@

$(VENV)/.bench: $(READY) tests/bench/requirements.txt
	$(BIN)/python -m pip install --quiet --requirement tests/bench/requirements.txt
	touch $@
