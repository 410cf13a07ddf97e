# make run      the default study, from simulation to pictures
# make test     all tests, in two processes
# make quick    the fast tests: less than two minutes in all
# make docs     the manual, in build/docs, with the code of its tutorials run
# make lint     style and types, and the workflow of CI where actionlint is installed
# make bench    speed, side by side with the libraries compared against
# make lowest   the lowest versions that pyproject.toml declares, installed and tested
# make package  the wheel and the sdist, and what the wheel does in an empty environment
# make gpu      the tests that need an NVIDIA GPU, and its speed beside other libraries

PYTHON ?= python3
# HOOMD-blue is on conda-forge and not on the Python package index; a wheel in this folder is used
HOOMD_WHEELS ?= $(HOME)/.cache/hoomd-wheels

BIN = .venv/bin
STAMP = .venv/.complete

.PHONY: run test quick docs lint bench lowest package gpu .venv

run: $(STAMP)
	$(BIN)/python workflows/project.py run

test: $(STAMP)
	@# a module is run by one process, the first ones first
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

docs: $(STAMP)
	@# tutorials call hoomd-gala
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m sphinx -q -W --keep-going docs build/docs
	@echo "The manual: build/docs/index.html"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH"; if command -v actionlint >/dev/null; \
		then echo actionlint; actionlint; else echo "actionlint is not installed: CI checks its workflow."; fi

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/inference.py
	@$(BIN)/python -c 'import hoomd' 2>/dev/null \
		&& $(BIN)/python tests/benchmarks/attached.py --particles 1000 4000 \
		|| echo "HOOMD-blue is not installed: no benchmark of the attached run."

lowest:
	$(PYTHON) tests/lowest_versions.py

package:
	$(PYTHON) tests/installed.py

gpu: $(STAMP)
	PYTHON=$(BIN)/python tests/gpu

.venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip install -q --find-links "$(HOOMD_WHEELS)" hoomd 2>/dev/null \
		|| $(BIN)/python -m pip install -q hoomd 2>/dev/null \
		|| echo "HOOMD-blue was not found: simulations will run on OpenMM (see README)."
	touch $@
