# `make demo` and `make test` set up everything they need in .venv; nothing is installed outside it,
# except a browser for the browser tests where none is found.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt
CPU_WHEELS := https://download.pytorch.org/whl/cpu
SOURCES := actsearch api workers migrations tests docs scripts $(wildcard benchmarks examples)

.DEFAULT_GOAL := help
.PHONY: help demo up test lint format bench mutants fuzz gpu clean browser

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(RUN):
	@test -n "$(PYTHON)" || { echo "actsearch needs Python >= 3.11; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Says every 8 s that it is still at it. Without an NVIDIA driver PyTorch's own index is asked first, for a build without
# gigabytes of CUDA: one attempt of 5 s, then the ordinary index.
define install
	@echo "installing $(1) into $(VENV) ..."; \
	( while sleep 8 >/dev/null 2>&1; do echo "  still installing"; done ) & ticking=$$!; trap "kill $$ticking 2>/dev/null" EXIT INT TERM; \
	[ "$$(uname)" != Linux ] || command -v nvidia-smi >/dev/null || [ -e /dev/nvidia0 ] || $(RUN) -c 'import torch' 2>/dev/null || \
		$(PIP) --index-url $(CPU_WHEELS) --retries 0 --timeout 5 --no-deps torch 2>/dev/null || echo "  PyTorch's CPU builds are out of reach; using the ordinary index"; \
	$(PIP) -e '.[$(1)]'
endef

$(VENV)/.all: pyproject.toml constraints.txt | $(RUN)
	$(call install,all)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(RUN)
	$(call install,dev)
	@touch $@ $(VENV)/.all

demo: $(VENV)/.all  ## run a real search through the whole system and show the ranking
	$(BIN)/actsearch demo

up: $(VENV)/.all  ## API, worker, dashboard and database on this machine until Ctrl-C
	$(BIN)/actsearch up

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { command -v apt-get >/dev/null && test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| { echo "the browser tests need chromium: install it (Debian: sudo apt-get install chromium)"; exit 1; }

test: $(VENV)/.dev browser  ## every test, in parallel
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) -m pytest -n $${TEST_PROCESSES:-auto} --dist worksteal

lint: $(VENV)/.dev  ## ruff (lint and format), mypy --strict, import-linter
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## let ruff format and fix what it can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.dev  ## every benchmark, each against what a user would pick instead
	@for script in benchmarks/*.py; do echo "== $$script"; $(RUN) $$script || exit 1; done

gpu: $(VENV)/.dev  ## on a machine with a CUDA GPU: the engine's tests and the cohort benchmark there (10 minutes)
	$(RUN) scripts/gpu.py

fuzz: $(VENV)/.dev  ## generated requests with keys of every scope and none, every answer judged (10 minutes)
	OMP_NUM_THREADS=1 $(RUN) scripts/fuzz.py $(FUZZ_MINUTES)

mutants: $(VENV)/.dev  ## put small faults into the code and see whether its tests notice (20 minutes)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) scripts/mutants.py

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
