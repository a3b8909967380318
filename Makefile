# Everything a person or CI does with this project. Needs make and CPython 3.11 to 3.13, nothing else: `make help`.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The Python that makes .venv: the first supported one, unless told: make PYTHON=/path/to/python3.13 ...
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name requirements/check_platform.py --quiet 2>/dev/null && echo $$name && exit; done; echo python3)

# A package without a wheel for a machine is built there from its pinned source. requirements/pin.py has the same list.
SOURCE_ONLY_aarch64 := faust-streaming
SOURCE_ONLY := $(SOURCE_ONLY_$(shell uname -m))

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input --no-compile
WHEELS := --require-hashes --only-binary :all:

.PHONY: help demo test check bench bench-incidents chaos fuzz kafka pins clean .venv

help: ## say what can be made
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z.-]+):.*## /  make \1\t/' | expand -t 24

demo: .venv ## watch Calmstream find trouble in a small real system; needs no Kafka
	@.venv/bin/calmstream demo

test: .venv ## run the tests, JOBS=3 at a time; those on Apache Kafka too where Java and Maven are at hand
	@.venv/bin/python -m pytest --numprocesses $(or $(JOBS),3) --dist loadfile

check: .venv ## lint, format, types, the tests that docs/guarantees.md names, known holes in what is installed
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/python -m tests.docs.guarantees
	@.venv/bin/python requirements/audit.py

bench: .venv ## measure: all, or one with ONLY=name
	@.venv/bin/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

bench-incidents: .venv ## judge incidents and their causes by twenty faults of a simulated shop, drawn from SEED=1
	@.venv/bin/python -m tests.benchmarks.shop_faults --seed $(or $(SEED),1)

chaos: .venv ## disturb workers and broker by schedules 0 to 199 and soak, or SCHEDULES=a..b, or SHORT=1; goes on where it was
	@.venv/bin/python -m tests.chaos $(if $(SHORT),--short) $(if $(SCHEDULES),--schedules $(SCHEDULES))

fuzz: .venv ## fuzz every codec with atheris (pip install atheris), SECONDS=30 each, or one with ONLY=format
	@.venv/bin/python -m tests.fuzz --seconds $(or $(SECONDS),30) $(if $(ONLY),--only $(ONLY))

kafka: .venv ## fetch Apache Kafka for the tests (Java 17 and Maven)
	@.venv/bin/python -m tests.kafka.fetch

.venv: .venv/complete ## install everything, pinned and hash-checked, into .venv

.venv/pinned: requirements/dev.txt requirements/build.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install CPython 3.11 to 3.13, or name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) requirements/check_platform.py
	@echo "Installing the pinned packages into .venv (about a minute) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) $(WHEELS) -r requirements/build.txt
	@.venv/bin/python $(PIP_INSTALL) $(WHEELS) $(if $(SOURCE_ONLY),--no-build-isolation --no-binary $(SOURCE_ONLY)) -r requirements/dev.txt
	@.venv/bin/python -m compileall -qq -j 0 .venv/lib || true # on all cores; pip compiles on one
	@touch $@

.venv/complete: .venv/pinned pyproject.toml
	@.venv/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@.venv/bin/python -m pip check --disable-pip-version-check >/dev/null || { .venv/bin/python -m pip check; \
		echo "The pins do not fit pyproject.toml: run make pins." >&2; exit 1; }
	@.venv/bin/python -m pipeline.flow.warm_up # compile the kernels, so that nobody waits for it later
	@touch $@

pins: ## pin the requirements anew after a change in pyproject.toml; the newest versions with UPGRADE=1
	@$(PYTHON) requirements/check_platform.py
	@rm -rf build/pins
	@$(PYTHON) -m venv build/pins
	@build/pins/bin/python $(PIP_INSTALL) $(WHEELS) -r requirements/pins.txt
	@build/pins/bin/python requirements/pin.py $(if $(UPGRADE),--upgrade)

clean: ## remove what was made: .venv, caches, build folders
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find detectors pipeline tests requirements -name __pycache__ -type d -prune -exec rm -rf {} +
