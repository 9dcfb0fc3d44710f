# One command per job. `make run` and `make test` are all that a newcomer needs; both make .venv by themselves.
# PYTHON chooses another interpreter: make env PYTHON=/path/to/python3.12

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON := $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env run test check-long fault-rounds lint fmt docs hooks lock image-test clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

env: $(INSTALLED)  ## make .venv with the locked packages, if it is not there or the lock has changed

# pip and setuptools come from the lock too, and build in the environment itself: nothing is resolved anew.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$(PYTHON) cannot make virtual environments: apt-get install python$$version-venv" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools
	@# setuptools warns that an editable install is one.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

run: env  ## play a build pipeline against the service: network and budget in, integer-only network out, in out/
	$(BIN)/python -m examples.pipeline --out out

# Two processes of one thread each: small tensors gain nothing by a second thread.
test check-long: export OMP_WAIT_POLICY ?= PASSIVE
test check-long: export OMP_NUM_THREADS ?= 1
test: lint  ## style, types, the import contract, and all tests that do not take minutes each
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not long"

check-long: env  ## the tests that take minutes each: whole trainings on real data, the image (CI runs them after `test`)
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m long

fault-rounds: export BITBUDGET_FAULT_ROUNDS ?= 50
fault-rounds: env  ## random faults of the service, 50 rounds of each kind (hours, for the night; BITBUDGET_FAULT_ROUNDS changes it)
	$(BIN)/pytest -m long -k fault_rounds

lint: env  ## style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: env  ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: env  ## write what is generated in docs/ and README.md: tables, outputs of commands and examples, the picture
	$(BIN)/python docs/option_tables.py
	$(BIN)/python docs/settings_table.py
	$(BIN)/python docs/device_table.py
	$(BIN)/python docs/openapi_document.py
	$(BIN)/python docs/command_outputs.py
	$(BIN)/python docs/example_outputs.py
	$(BIN)/python docs/fit_picture.py
	$(BIN)/python docs/pipeline_comment.py

hooks: env  ## run the linters before every commit
	$(BIN)/pre-commit install

image-test: env  ## build docker/Dockerfile and play the example against it (as root; needs buildah and debootstrap)
	$(BIN)/pytest tests/docker

lock:  ## remake constraints.txt with the newest releases that pyproject.toml allows
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade pip setuptools
	build/lock/bin/pip install --quiet --no-build-isolation --editable '.[dev]'
	{ sed -n '/^#/p' constraints.txt; \
		build/lock/bin/pip freeze --all --exclude-editable | sed 's/+cpu$$//'; } > build/lock/constraints.txt
	mv build/lock/constraints.txt constraints.txt
	build/lock/bin/pip install --quiet uv
	PATH="$$PWD/build/lock/bin:$$PATH" docker/lock.sh
	rm -rf build/lock

clean:  ## remove all that was made here
	rm -rf $(VENV) build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
