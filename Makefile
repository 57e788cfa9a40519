# Needs git, make and Python 3.11+ with venv; everything else is installed into .tools and .venv.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin
# One worker a core, each with a torch of its own (about 1 GB); one that is done takes over what another has not begun.
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal
export UV_PYTHON_DOWNLOADS := never

.PHONY: help demo quick test check docs release-check bench clean
.DEFAULT_GOAL := help

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet 'uv>=0.9,<1'

# Compiled once here: importing torch from sources costs several times as much.
.venv/.installed: pyproject.toml | $(UV)
	$(UV) sync --python $(PYTHON) --compile-bytecode
	touch $@

demo: .venv/.installed ## train, predict and report on drawn pictures, into demo/
	$(RUN)/segbench demo -o demo

quick: .venv/.installed ## the tests that start no process, train nothing and need no data set: about a minute
	$(PYTEST) --quick

test: .venv/.installed ## all tests, as many at once as there are cores: WORKERS=2 says another number
	$(PYTEST)

check: .venv/.installed ## format, lint, types, imports against the layers, what the documents name
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python tools/check_imports.py
	$(RUN)/python tools/check_docs.py

docs: .venv/.installed ## the site with the course, its lessons run: docs/_build/index.html
	$(RUN)/python docs/build.py

release-check: $(UV) ## builds the packages, installs the wheel alone, and does what the README says with it
	$(PYTHON) tools/release_check.py

bench: .venv/.installed ## the benchmarks of benchmarks/
	$(RUN)/python benchmarks/train_loop.py
	$(RUN)/python benchmarks/train_step.py
	$(UV) run --python $(PYTHON) --group bench python benchmarks/trainer_or_fabric.py
	$(RUN)/python benchmarks/augment.py

clean: ## remove what these commands made
	rm -rf .venv .tools demo .pytest_cache .mypy_cache .ruff_cache .hypothesis uv.lock docs/_build docs/course docs/measured
