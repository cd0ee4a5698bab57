# Every target sets up what it needs: a virtual environment in .venv with the pinned versions of constraints.txt.
# Recipes only use relative paths, so the checkout may lie in a folder with spaces in its name.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: help demo test lint bench clean

help:
	@echo "make demo   train VLAE and the scale-aware ladder side by side and draw runs/quickstart/report/index.html"
	@echo "make test   run the tests"
	@echo "make lint   check style, format and types"
	@echo "make bench  time a training step against PyTorch"
	@echo "make clean  remove the virtual environment"

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: .venv/installed
	$(BIN)/python -m scaledis.main --config=configs/quickstart.py --sweep=demo

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m experiments.benchmarks.pytorch

clean:
	rm -rf .venv
