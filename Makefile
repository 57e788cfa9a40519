# make demo   set everything up and run the demo          make check   format, lint, types
# make test   set everything up and run all tests         make bench   the benchmarks of benchmarks/
# Needs git, make and Python 3.11+ with venv; everything else is installed into .tools and .venv.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo test check bench clean
.DEFAULT_GOAL := test

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet 'uv>=0.9,<1'

# Compiled once here: importing torch from sources costs several times as much.
.venv/.installed: pyproject.toml | $(UV)
	$(UV) sync --python $(PYTHON) --compile-bytecode
	touch $@

demo: .venv/.installed
	$(RUN)/segbench demo -o demo

test: .venv/.installed
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest

check: .venv/.installed
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy

bench: .venv/.installed
	$(RUN)/python benchmarks/train_loop.py
	$(RUN)/python benchmarks/train_step.py
	$(UV) run --python $(PYTHON) --group bench python benchmarks/trainer_or_fabric.py
	$(RUN)/python benchmarks/augment.py

clean:
	rm -rf .venv .tools demo .pytest_cache .mypy_cache .ruff_cache .hypothesis uv.lock
