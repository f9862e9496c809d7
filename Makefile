# Needs Python 3.11 or newer and make. Everything is installed into $(VENV), in the versions that
# constraints.txt names; `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

DEMO_STORE := demo/ising32.zarr
DEMO_REPORT := demo/report

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Stamps are made through a pattern rule; make must not clear them away as intermediate files.
.SECONDARY:

.PHONY: help
help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# --- environment ----------------------------------------------------------------------------------

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "statmech-ml needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	         "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first, alone: nothing that depends on it can then draw in a newer one.
$(VENV)/.torch: constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing torch (a large download the first time) ..."
	$(PIP) torch
	@touch $@

# .with-NAME: the package in place, with the extra NAME of pyproject.toml (base: no extra).
$(VENV)/.with-%: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "installing statmech-ml, $* ..."
	$(PIP) -e "$(if $(filter base,$*),.,.[$*])"
	@touch $@

# --- what people ask for --------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.with-base  ## a dataset of Ising configurations, its checks against exact results, a report
	$(BIN)/ising-data generate --lattice square --size 32 --temperatures 1.6:3.2:0.1 \
	    --samples 1000 --seed 1 --out $(DEMO_STORE)
	$(BIN)/ising-data verify $(DEMO_STORE)
	$(BIN)/python -m validation --tier fast --report $(DEMO_REPORT) --dataset $(DEMO_STORE) \
	    --study validation/study-default.json
	@echo
	@echo "dataset  $(DEMO_STORE)          ($(BIN)/ising-data info $(DEMO_STORE))"
	@echo "report   $(DEMO_REPORT)/index.html   (open it in a browser)"

# Two pytest workers fill two cores; BLAS and OpenMP threads on top would only make them wait. The
# CUDA simulator is chosen once per process, when numba is imported, so it has a process of its own.
.PHONY: test
test: $(VENV)/.with-test  ## every test that is neither slow nor for a GPU
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_ENABLE_CUDASIM=1 \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m cudasim tests/cuda

.PHONY: test-ptx
test-ptx: $(VENV)/.with-test $(VENV)/.with-cuda-compile  ## CUDA kernels compile for sm_80 and sm_90; no card needed
	$(BIN)/python -m pytest -m ptx

.PHONY: test-slow
test-slow: $(VENV)/.with-test $(VENV)/.with-peers  ## the tests that take minutes, and those against other packages
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "slow or peers"

.PHONY: test-gpu
test-gpu: $(VENV)/.with-test $(VENV)/.with-gpu  ## the tests that need a CUDA card
	$(BIN)/python -m pytest -m gpu

.PHONY: lint
lint: $(VENV)/.with-dev  ## style, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/.with-peers  ## speed, beside other packages in the same run
	$(BIN)/python -m benchmarks

.PHONY: docs
docs: $(VENV)/.with-docs  ## API reference in site/
	$(BIN)/python -m pdoc --docformat numpy --math -o site statmech_ml ising_data validation

.PHONY: clean
clean:  ## remove what the targets above wrote; the environment stays
	rm -rf demo report site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -path './.venv*' -prune -o -type d -name __pycache__ -exec rm -rf {} +

.PHONY: distclean
distclean: clean  ## clean, and remove the environment
	rm -rf $(VENV)
