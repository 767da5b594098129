# Everything a newcomer types. Needs GNU make and Python 3.11 or later, and writes nothing outside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# Caches stay here, whatever HOME is. TMPDIR is left alone.
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export XDG_CACHE_HOME := $(CURDIR)/.cache/xdg
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip asks rustc for its version, and a rustup wrapper answers by opening a folder in HOME.
export RUSTUP_HOME ?= $(CURDIR)/.cache/rustup

PIP := $(BIN)/python -m pip install --quiet --no-input --constraint constraints.txt
# What is installed is known by the content of these two, not by their times: a checkout changes the times.
INPUTS := $(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
PROGRAM := $(VENV)/.program-$(INPUTS)
TOOLS := $(VENV)/.tools-$(INPUTS)
LOAD := $(VENV)/.load-$(INPUTS)

.DEFAULT_GOAL := help
.PHONY: help venv demo test torture check check-deploy loadtest bench bench-peers soak clean
.DELETE_ON_ERROR:

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(TOOLS) ## Install the program with every extra and the tools of its developers into .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "driftgate needs Python 3.11 or later, but '$(PYTHON)' is:" \
	    "$$( ($(PYTHON) --version 2>&1 || echo missing) | tail -n 1)." \
	    "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Creating $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(PROGRAM): | $(BIN)/python
	@echo "Installing driftgate and its extras (minutes the first time, seconds after that) …"
	@$(PIP) --upgrade pip
	@$(PIP) --editable '.[all]'
	@rm -f $(VENV)/.program* $(VENV)/.tools* $(VENV)/.load*
	@touch $@

$(TOOLS): $(PROGRAM)
	@echo "Installing the developers' tools …"
	@$(PIP) --group dev
	@touch $@

demo: $(PROGRAM) ## Watch the whole ring close once, on this machine (ARGS="--seed 7 --keep" and so on)
	@$(BIN)/driftgate demo $(ARGS)

test: $(TOOLS) ## Run the tests (ARGS="tests/rollouts -k judge" and so on)
	@$(BIN)/pytest $(ARGS)

torture: $(TOOLS) ## Run the same tests at full counts
	@TORTURE=1 $(BIN)/pytest $(ARGS)

check: $(TOOLS) ## Lint, format, types, imports, architecture and documents
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_architecture.py tests/test_docs.py tests/deploy

check-deploy: $(TOOLS) ## Validate image, manifests and alert rules (kubectl and promtool wanted)
	@$(BIN)/pytest -q tests/deploy $(ARGS)

$(LOAD): $(TOOLS)
	@echo "Installing locust …"
	@$(PIP) --group load
	@touch $@

loadtest: $(LOAD) ## Put `driftgate up` under load for a minute, with a canary on the way; report in loadtests/report
	@$(BIN)/python -m loadtests $(ARGS)

bench: $(TOOLS) ## Compare the cost of a request with a hand-written server's, in turns (ARGS="--work one-row --rounds 5")
	@$(BIN)/python -m loadtests.bench $(ARGS)

bench-peers: $(TOOLS) ## Compare with MLServer, KServe, LitServe and BentoML, each in its own environment below .cache/peers
	@$(BIN)/python -m loadtests.bench.peers $(ARGS)

MINUTES ?= 20
soak: $(TOOLS) ## Load for MINUTES=20 with canaries coming and going; memory, files and p99 must stay flat
	@$(BIN)/python -m loadtests.soak --minutes $(MINUTES) $(ARGS)

clean: ## Remove what was installed, cached and made here
	rm -rf $(VENV) .cache loadtests/report .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build demo-run dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
