# exuvia: what a person types. `make` alone explains itself.
# Everything lives in .venv (Python packages from requirements-dev.lock) and in the user's cache (control plane binaries).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PYTEST := $(BIN)/pytest

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "exuvia needs Python 3.11 or newer, this is %s. Name another: make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "setting up $(VENV) (once; pinned and hashed packages)"
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: setup
setup: $(READY) ## Python packages into .venv

.PHONY: binaries
binaries: $(READY) ## the control plane's binaries (built once, some minutes)
	@$(BIN)/exuvia dev binaries

.PHONY: demo
demo: $(READY) ## the whole story on a control plane of its own (KEEP=1 keeps it running)
	@$(BIN)/exuvia demo $(if $(KEEP),--keep,)

.PHONY: test
test: binaries ## everyday tests, on a real API server (under 10 minutes): one worker has it, the other needs none
	@$(PYTEST) -n 2 --dist loadgroup -m "not slow and not proof"

.PHONY: test-unit
test-unit: $(READY) ## only what needs no control plane
	@$(PYTEST) -n 2 -m "not slow and not proof and not cluster"

.PHONY: proofs
proofs: binaries ## crashes, frozen leaders, the demo: the short form of the longer proofs
	@$(PYTEST) -m "proof and not slow"

.PHONY: test-long
test-long: binaries ## everything, the longest proofs too
	@$(PYTEST)

.PHONY: lint
lint: $(READY) ## ruff, formatting, types, architecture
	@$(BIN)/ruff check operator tests bench
	@$(BIN)/ruff format --check operator tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: fix
fix: $(READY) ## let ruff mend what it can
	@$(BIN)/ruff check --fix operator tests bench
	@$(BIN)/ruff format operator tests bench

.PHONY: manifests
manifests: $(READY) ## write crds/ and deploy/ anew from the code
	@$(BIN)/python -m exuvia.app.manifests

.PHONY: docs
docs: $(READY) ## write the tables of docs/ anew from the code
	@$(BIN)/python -m tests.docs.generated

.PHONY: tools
tools: $(READY) ## promtool, for the tests of the alerts
	@$(BIN)/python -m tests.deploy.promtool

.PHONY: check
check: lint test ## what must be green before a commit

.PHONY: bench
bench: binaries ## the benchmarks of docs/performance.md (minutes)
	@$(BIN)/python -m bench

.PHONY: kind
kind: ## a kind cluster with exuvia in it (needs kind and a container engine)
	@sh deploy/kind/up.sh

.PHONY: lock
lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -o requirements-dev.lock pyproject.toml

.PHONY: clean
clean: ## remove .venv and caches of this folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
