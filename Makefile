# Everything runs in .venv, which is made on demand: Python 3.11 or newer, make and git are enough.
# It is made anew where the checkout was moved (an editable install knows its place by name), and
# installed again only where pyproject.toml or constraints.txt changed.

# python3 where it is new enough, else the newest of the others. Probed by running it.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$python" && break; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := PIP_ROOT_USER_ACTION=ignore $(PIP) install -qq --constraint constraints.txt --editable
# The order of the files is that of tests/conftest.py: the longest first.
RUN_TESTS := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo.stamp ## measure this CPU, fit, search and verify; results in runs/demo
	$(BIN)/lutier demo

lint: .venv/dev.stamp ## format, lint, types and the layers between the packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint ## lint, then the tests (PYTEST="-k name" hands arguments on)
	$(RUN_TESTS) $(PYTEST)

bench: .venv/dev.stamp ## run every script in benchmarks/ (results in runs/bench/*.json) and the slow tests
	@mkdir -p runs/bench; failed=; \
	for script in benchmarks/[a-z]*.py; do \
		test -e "$$script" || { echo "benchmarks/ holds no script"; break; }; \
		name=$$(basename "$$script" .py); echo "== $$name"; \
		$(BIN)/python "$$script" --json "runs/bench/$$name.json" || failed="$$failed $$name"; \
	done; \
	$(RUN_TESTS) -m slow || failed="$$failed slow-tests"; \
	if test -n "$$failed"; then echo "error: failed:$$failed" >&2; exit 1; fi

docs: .venv/dev.stamp ## build the documentation into site/, without the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

clean: ## remove .venv, caches and builds; runs/ and its results stay
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Where .venv was made; empty where its Python is gone.
PLACE := $(shell $(BIN)/python -c '' 2>/dev/null && cat .venv/place.stamp 2>/dev/null)
ifneq ($(PLACE),$(CURDIR))
.PHONY: .venv/place.stamp
endif

.venv/place.stamp:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found. Try: make PYTHON=/path/to/python3" >&2; exit 1; }
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment. Try: apt-get install python3-venv" >&2; exit 1; }
	@printf '%s\n' "$(CURDIR)" > $@

.venv/demo.stamp: .venv/place.stamp pyproject.toml constraints.txt
	@echo "Installing into .venv (minutes the first time: torch is large)"
	@$(INSTALL) .
	@touch $@

.venv/dev.stamp: .venv/place.stamp pyproject.toml constraints.txt
	@echo "Installing into .venv, with the tools for tests (minutes the first time: torch is large)"
	@$(INSTALL) '.[dev]'
	@touch .venv/demo.stamp $@
