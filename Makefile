# `make` tells what there is. Needs only make and Python 3.11 or later; uses uv where it is installed.

VENV ?= .venv
BIN := $(VENV)/bin
# The Python that .venv is made with, such as PYTHON=python3.12. Empty: the first good one of these. 3.14 comes last
# because the MongoDB server of the tests has no wheels for it.
PYTHON ?=
PYTHONS := python3 python3.13 python3.12 python3.11 python python3.14
# Processes of the test suite: more than two cores, since many tests wait for something in real time. Each starts a
# MongoDB server of its own, and takes one test after the other from what is left.
TEST_WORKERS ?= 5
PYTEST_PARALLEL = -n $(TEST_WORKERS) --dist load --maxschedchunk 1
# Passed on to the program that the target runs, as in: make test ARGS="tests/handlers/test_abort.py -x"
ARGS ?=

RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev

# The benchmarks have an environment of their own: the package needs none of their peers.
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready-bench
BENCH_OVERLAYS := arq saq

# So has the site: it reads the package, and does not run it.
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready-docs

# Also where it is turned off: the tests start hundreds of processes, and each would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo setup test test-all test-again soak cover lint format types imports check api package package-test docs pictures lock bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUN_READY) ## see it work: two workers, a few hundred jobs, under a minute
	@$(BIN)/job-processor demo $(ARGS)

setup: $(DEV_READY) ## make .venv with all development tools

test: $(DEV_READY) ## run the test suite on both stores, in a few minutes
	@$(BIN)/pytest $(PYTEST_PARALLEL) $(ARGS)

test-all: $(DEV_READY) ## run the slow tests, too: what CI runs
	@$(BIN)/pytest $(PYTEST_PARALLEL) -m "not soak and not package" $(ARGS)

# One that passes here by itself depends on what ran beside it: the list of those is printed, for them to be mended.
test-again: $(DEV_READY) ## run once more, one after the other, what failed in the last run, if it was up to three
	@$(BIN)/python -m tests.again
	@$(BIN)/pytest -m "not soak and not package" --last-failed --last-failed-no-failures none $(ARGS)

soak: $(DEV_READY) ## run the long tests of load and faults
	@$(BIN)/pytest -m soak --timeout 1800 --hypothesis-profile=new $(ARGS) || { [ $$? -eq 5 ] && echo "There are no such tests."; }

cover: $(DEV_READY) ## run the test suite and show what it does not reach
	@$(BIN)/pytest $(PYTEST_PARALLEL) -m "not soak and not package" --cov $(ARGS)

lint: $(DEV_READY) ## check style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: $(DEV_READY) ## format the code and repair what can be repaired
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

types: $(DEV_READY) ## check the types
	@$(BIN)/mypy

imports: $(DEV_READY) ## check that imports point one way
	@$(BIN)/lint-imports --no-logo

check: lint types imports test-all ## all of the above that can fail: run it before a pull request

api: $(DEV_READY) ## write docs/public-api.txt and the tables of options again, after a wanted change
	@$(BIN)/python -m tests.docs.public_api
	@$(BIN)/python -m tests.docs.configuration

package: $(DEV_READY) ## build the wheel and the source archive in dist/, and check what an index will show
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation
	@$(BIN)/twine check --strict dist/*

package-test: package ## install what is in dist/ with each extra alone, in environments of its own, and run it
	@$(BIN)/pytest -m package --timeout 600 $(ARGS) tests/packaging

# Strict: a warning, a broken link or anything loaded from another host fails. Read build/site/index.html.
docs: $(DOCS_READY) ## build the documentation site in build/site/
	@$(DOCS_VENV)/bin/python -m website

pictures: $(DEV_READY) ## make the pictures of docs/dashboard/ again (needs Chromium)
	@JOB_PROCESSOR_SCREENSHOTS=docs/dashboard $(BIN)/pytest -q -m "" tests/web/test_pictures.py

# Keeps the pinned versions as far as pyproject.toml allows; ARGS=--upgrade takes the newest.
lock: ## pin again what pyproject.toml asks for (needs uv)
	@$(compile) --group dev --output-file constraints-dev.txt $(ARGS)
	@$(compile) --group build --constraint constraints-dev.txt --output-file constraints.txt $(ARGS)
	@$(call compile_group,docs) --output-file constraints-docs.txt $(ARGS)

# Scenarios and options go into ARGS, as in: make bench ARGS="drain --systems sqlite,bullmq --quick"
bench: $(BENCH_READY) ## measure us beside our peers: takes hours and wants a quiet machine
	@$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

clean: ## remove all that was made here, .venv too
	@rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV) benchmarks/node/node_modules tests/acceptance/node/node_modules \
		build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	@find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# --- how .venv comes about -------------------------------------------------------------------------------------------

compile_options = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"
compile = uv pip compile pyproject.toml $(compile_options)
# $(1): a group that is pinned alone, without what the package needs.
compile_group = uv pip compile --group pyproject.toml:$(1) $(compile_options)

# Sets $$python to the interpreter to use, or ends with an error that says what is missing.
define find_python
	is_good() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
	python=; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
		if is_good "$$candidate"; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make: needs Python 3.11 or later; tried: $(or $(PYTHON),$(PYTHONS))." >&2; \
		echo "make: install one, or say where it is: make $(MAKECMDGOALS) PYTHON=path/to/python3" >&2; \
		exit 1; \
	fi
endef

# $(call install,FILE,MORE): the pinned packages of FILE, which lists every dependency, then MORE, such as this package.
# --no-compile: Python compiles what is imported when it is imported, which is less than all.
define install
	if command -v uv >/dev/null 2>&1; then \
		set -e; \
		pip="uv pip install --quiet --python $(BIN)/python"; \
		$$pip --require-hashes --requirement $(1); \
	else \
		set -e; \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
		pip="$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile"; \
		$$pip --no-deps --require-hashes --requirement $(1); \
	fi; \
	$(if $(2),$$pip --no-deps --no-build-isolation $(2),:)
endef

$(BIN)/python:
	@$(find_python); \
	echo "Making $(VENV) with $$("$$python" --version) …"; \
	if command -v uv >/dev/null 2>&1; then \
		path=$$("$$python" -c 'import sys; print(sys.executable)'); \
		uv venv --quiet --python "$$path" $(VENV); \
	else \
		"$$python" -m venv $(VENV) || { \
			rm -rf $(VENV); \
			echo "make: $$python cannot make an environment; on Debian and Ubuntu install python3-venv." >&2; \
			exit 1; \
		}; \
	fi

$(RUN_READY): constraints.txt pyproject.toml | $(BIN)/python
	@echo "Installing job-processor in $(VENV) …"
	@$(call install,constraints.txt,--editable .)
	@touch $@

$(DEV_READY): constraints-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing job-processor and its development tools in $(VENV) …"
	@$(call install,constraints-dev.txt,--editable .)
	@touch $@ $(RUN_READY)

$(DOCS_READY): constraints-docs.txt
	@$(MAKE) --no-print-directory VENV=$(DOCS_VENV) $(DOCS_VENV)/bin/python
	@echo "Installing the generator of the site in $(DOCS_VENV) …"
	@$(MAKE) --no-print-directory VENV=$(DOCS_VENV) install-docs
	@touch $@

.PHONY: install-docs
install-docs:
	@$(call install,constraints-docs.txt)

# $(1): the options of the installer. The files list every dependency, but no hashes: a peer is measured, not shipped.
define install_peers
	if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --no-deps --python $(BENCH_VENV)/bin/python $(1); \
	else \
		$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps $(1); \
	fi
endef

# Without npm the Node peers are "not measured".
$(BENCH_READY): benchmarks/requirements.txt $(BENCH_OVERLAYS:%=benchmarks/overlays/%.txt) \
		benchmarks/node/package.json constraints.txt pyproject.toml
	@$(MAKE) --no-print-directory VENV=$(BENCH_VENV) $(BENCH_VENV)/.ready-run
	@echo "Installing the peers in $(BENCH_VENV) …"
	@$(call install_peers,--requirement benchmarks/requirements.txt)
	@for overlay in $(BENCH_OVERLAYS); do \
		rm -rf $(BENCH_VENV)/overlays/$$overlay; \
		$(call install_peers,--target $(BENCH_VENV)/overlays/$$overlay \
			--requirement benchmarks/overlays/$$overlay.txt) || exit 1; \
	done
	@if command -v npm >/dev/null 2>&1; then \
		npm install --prefix benchmarks/node --no-package-lock --no-audit --no-fund --legacy-peer-deps \
			--ignore-scripts --loglevel error; \
	fi
	@touch $@
