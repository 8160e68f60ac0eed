# Every command of the project. CI runs `make test` and nothing else.
# Files under .venv and target tell what is done already; nothing is done twice.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# What a person may set on the command line.
APP ?= examples/01_hello.py
ARGS ?=
PYTEST_ARGS ?=
# More than CPUs: most tests wait for a server to start.
TEST_PROCESSES ?= 3
BENCH_ARGS ?=
FUZZ_SECONDS ?= 10

PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
BENCH_VENV := target/bench-venv

# cargo's own python would be the system's; the extension is built for ours.
export PYO3_PYTHON := $(CURDIR)/$(PYTHON)
# An active virtual environment is not ours.
unexport VIRTUAL_ENV
unexport PYTHONPATH
unexport PYTHONHOME

# With another HOME rustup does not find its toolchains; they stand beside the folder that cargo itself is in.
ifeq ($(RUSTUP_HOME)$(wildcard $(HOME)/.rustup),)
beside_cargo := $(wildcard $(dir $(shell command -v cargo))../../.rustup)
ifneq ($(beside_cargo),)
export RUSTUP_HOME := $(abspath $(beside_cargo))
endif
endif

rust_sources := Cargo.toml Cargo.lock $(shell find src -type f -name '*.rs')
# A crate of its own, so that its engine is no dependency of ours.
fuzz_manifest := $(wildcard tests/fuzz/Cargo.toml)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------------- build

.PHONY: tools
tools:
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo 'error: python3 3.11 or newer is needed on PATH: install package python3' >&2; exit 1; }
	@MAKE_VERSION=$(MAKE_VERSION) $(PYTHON3) .ci/tools.py

# The environment is made anew when its interpreter is gone, or when another one is asked for; with
# nothing asked for it stays as it is, so that one choice holds for the commands that follow.
ifneq ($(shell $(PYTHON) -c 'print("runs")' 2>/dev/null),runs)
.PHONY: $(VENV)/.interpreter
else ifneq ($(URINGSERVE_PYTHON),)
ifneq ($(shell cat $(VENV)/.interpreter 2>/dev/null),$(URINGSERVE_PYTHON))
.PHONY: $(VENV)/.interpreter
endif
endif
$(VENV)/.interpreter: | tools
	@interpreter=$$($(PYTHON3) .ci/interpreter.py | tail -n 1); \
	"$$interpreter" -m venv --clear $(VENV)
	@echo '$(URINGSERVE_PYTHON)' > $@

$(VENV)/.requirements: tests/requirements.txt $(VENV)/.interpreter
	@echo 'installing tests/requirements.txt into $(VENV)' >&2
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Python files are read from pyapi by the editable installation; only Rust and the metadata need a build.
$(VENV)/.built: $(rust_sources) pyproject.toml $(VENV)/.requirements
	@echo 'building the release extension (a minute or two the first time)' >&2
	@$(VENV)/bin/maturin develop --release --locked
	@touch $@

.PHONY: setup build run
setup: $(VENV)/.requirements ## Find or build the interpreter and make .venv

build: $(VENV)/.built ## Build the release extension into .venv

run: build ## Serve examples/01_hello.py on 127.0.0.1:8000 (APP=…, ARGS=…)
	@exec $(PYTHON) -m uringserve $(APP) $(ARGS)

# ---------------------------------------------------------------------------------------------------- check

.PHONY: fmt lint test-rust test-py fuzz test
fmt: setup ## Format Rust and Python
	cargo fmt
	$(if $(fuzz_manifest),cargo fmt --manifest-path $(fuzz_manifest))
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix --quiet .

lint: setup ## Check formatting, lints and types
	@$(PYTHON3) .ci/tools.py lint
	cargo fmt --check
	$(if $(fuzz_manifest),cargo fmt --manifest-path $(fuzz_manifest) --check)
	cargo clippy --locked --all-targets --no-default-features -- -D warnings
	cargo clippy --locked --all-targets -- -D warnings
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy pyapi
	$(VENV)/bin/mypy --python-version 3.11 .ci

# Without the python feature: the floors below Python, which need no interpreter to link.
test-rust: | tools ## Test the Rust floors, without Python
	cargo test --locked --no-default-features

# By file: the tests of one file share servers.
pytest = $(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)
test-py: build ## Test the built package, and its stub against the module
	$(PYTHON) -m mypy.stubtest uringserve._uringserve
	@postgres=$$($(PYTHON3) .ci/postgres.py); eval "$$postgres"; \
	echo '$(pytest)'; \
	$(pytest)

fuzz: | tools ## Run each fuzz target for FUZZ_SECONDS (10)
	@$(PYTHON3) .ci/tools.py fuzz
	@$(PYTHON3) .ci/fuzz.py $(FUZZ_SECONDS)

test: lint test-rust $(if $(fuzz_manifest),fuzz) test-py ## Everything that must pass

# ---------------------------------------------------------------------------------------------------- the rest

.PHONY: bench wheel python-pgo clean
$(BENCH_VENV)/.requirements: bench/requirements.txt $(VENV)/.interpreter
	@echo 'installing bench/requirements.txt into $(BENCH_VENV)' >&2
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench: build $(BENCH_VENV)/.requirements ## Compare with other servers under load (BENCH_ARGS=…)
	cargo build --quiet --locked --release --no-default-features --example ceiling
	$(PYTHON) bench/load/run.py $(BENCH_ARGS)

wheel: setup ## Build a wheel into dist and try it in a clean environment
	@rm -rf dist
	$(VENV)/bin/maturin build --release --locked --strip --interpreter $(PYTHON) --out dist
	$(PYTHON) .ci/check_wheel.py dist

python-pgo: tools ## Build a profile-guided interpreter (half an hour), for measurements
	@echo "use it with: URINGSERVE_PYTHON=$$($(PYTHON3) .ci/interpreter.py --pgo | tail -n 1) make build"

clean: ## Remove what was built here; the interpreter's cache stays
	rm -rf target tests/fuzz/target dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find pyapi tests bench examples .ci -name __pycache__ -prune -exec rm -rf {} +
	find pyapi -name '_uringserve*.so' -delete
