# Every target sets up what it needs: a virtual environment in .venv with the pinned versions of constraints.txt.
# Recipes only use relative paths, so the checkout may lie in a folder with spaces in its name.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: help demo test test-newest lint docs bench compiled clean

help:
	@echo "make demo   train VLAE and the scale-aware ladder side by side, compare them, draw runs/quickstart/report/index.html"
	@echo "make test   run the tests"
	@echo "make test-newest  run the tests on the newest Python, with the newest version of each package"
	@echo "make lint   check style, format and types"
	@echo "make docs   build the site in docs/_build"
	@echo "make bench  time a training step against PyTorch"
	@echo "make compiled  compile training steps for GPUs and TPUs that are not here; takes hours and 6 GB"
	@echo "make clean  remove the virtual environments"

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: .venv/installed
	$(BIN)/scaledis demo

test: .venv/installed
	$(BIN)/python -m pytest

# Python 3.11 stays at an older JAX, so that only a newer Python shows what the newest packages change.
NEWEST = $(shell for minor in 14 13 12; do PYENV_VERSION=3.$$minor python3.$$minor -c "" 2> /dev/null && echo 3.$$minor && break; done)

test-newest:
	@test -n "$(NEWEST)" || { echo "make test-newest needs Python 3.12 or later on the PATH."; exit 1; }
	PYENV_VERSION=$(NEWEST) python$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable '.[test]'
	.venv-newest/bin/python -m pytest

lint: .venv/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# Sphinx lies in an environment of its own and reads the package with the libraries of .venv.
.venv-docs/installed: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --requirement docs/requirements.txt
	touch $@

docs: .venv/installed .venv-docs/installed
	PYTHONPATH="$$(echo .venv/lib/python*/site-packages)" JAX_PLATFORMS=cpu \
		.venv-docs/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "The site is docs/_build/index.html."

bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m experiments.benchmarks.pytorch
	$(BIN)/python -m experiments.benchmarks.cpu

# XLA's compilers lie beside .venv, whose JAX would look for their devices. A folder is there once it is complete.
compiler = "$$($(BIN)/python -c "from importlib.metadata import requires; \
	print(next(each.partition(';')[0] for each in requires('jax') if each.startswith('$(1)')))")"

.compilers/gpu: .venv/installed
	rm -rf $@.part && $(BIN)/python -m pip install --quiet --target $@.part $(call compiler,jax-cuda12-plugin[with)
	mv $@.part $@

.compilers/tpu: .venv/installed
	rm -rf $@.part && $(BIN)/python -m pip install --quiet --target $@.part $(call compiler,libtpu)
	mv $@.part $@

compiled: .compilers/gpu .compilers/tpu
	PYTHONPATH=.compilers/gpu $(BIN)/python -m experiments.benchmarks.compiled h100 h200 a100
	PYTHONPATH=.compilers/gpu $(BIN)/python -m experiments.benchmarks.compiled h100 --every
	PYTHONPATH=.compilers/tpu $(BIN)/python -m experiments.benchmarks.compiled v5e
	PYTHONPATH=.compilers/tpu $(BIN)/python -m experiments.benchmarks.compiled v5e --every
	$(BIN)/python -m experiments.benchmarks.plans

clean:
	rm -rf .compilers .venv .venv-docs .venv-newest docs/_build docs/generated
