# make demo: set up, train the quick start, fit the law, write the report.   make test: set up, check, test.
PYTHON ?= python3
BIN := .venv/bin
QUICKSTART := experiments/quickstart

.PHONY: demo demo-short test test-slow bases check clean

demo: .venv/installed
	$(BIN)/cptlab sweep $(QUICKSTART)
	$(BIN)/python fit_law.py source=runs source.path=runs/quickstart law.min_irreducible=-10 question=tradeoff question.max_general_rise=0.03 out=fits/quickstart

# The same path in a few minutes: a tenth of the tokens, no claim about its figures.
demo-short: .venv/installed
	$(BIN)/cptlab sweep $(QUICKSTART) tokens=65536 lr_schedule.warmup_tokens=8192 evaluation.rows=32 runs=runs/short
	$(BIN)/python fit_law.py source=runs source.path=runs/short law.min_irreducible=-10 question=tradeoff question.max_general_rise=0.03 out=fits/short

test: .venv/dev check
	$(BIN)/python -m pytest -n 2 -m "not slow"

# The few tests of 15 seconds or more: several processes, SLURM, sweeps that are killed.
test-slow: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# Trains the quick start's bases anew (about half an hour on two cores).
bases: .venv/installed
	$(BIN)/python $(QUICKSTART)/make_bases.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt .venv/installed
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev,corpora]'
	touch $@

# Records, answers and tokenised text are yours: they stay.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
