# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export NO_MKDOCS_2_WARNING = 1
# Small products beside busy neighbours: two threads are faster than many.
export OMP_NUM_THREADS ?= 2

.PHONY: help setup demo test lint types docs wheel unit soak mutation clean
help:            ## show this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/: .*##/\t/'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: $(STAMP)  ## make .venv and install certkit with its developer tools

demo: setup      ## train a K=4 model, prove it twice, audit both certificates
	$(BIN)/python -m proofs.demo --out demo

lint: setup      ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup     ## mypy --strict, of the packages and of the example that uses them
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/my_strategy/my_strategy.py

docs: setup      ## strict documentation build
	$(BIN)/mkdocs build --strict --quiet

# What a user has: the wheel, in environments of its own that never see this tree.
PIP := -m pip --quiet --disable-pip-version-check
build/wheel/.built: pyproject.toml README.md $(shell find certkit proofs examples -type f ! -name '*.pyc') | $(STAMP)
	rm -rf build/wheel build/source
	mkdir -p build/wheel build/source
	cp -r certkit proofs pyproject.toml README.md examples build/source
	$(BIN)/python $(PIP) wheel --no-deps --wheel-dir build/wheel build/source
	touch $@

build/user/.created: pyproject.toml constraints.txt | build/wheel/.built
	$(PYTHON) -m venv --clear build/user
	build/user/bin/python $(PIP) install --no-compile -c constraints.txt "$$(ls build/wheel/*.whl)[prove,report,test]"
	touch $@

build/user/.installed: build/user/.created build/wheel/.built
	build/user/bin/python $(PIP) install --no-compile --no-deps --force-reinstall build/wheel/*.whl build/source/examples/my_strategy
	touch $@

build/auditor/.installed: build/wheel/.built
	$(PYTHON) -m venv --clear build/auditor
	build/auditor/bin/python $(PIP) install "$$(ls build/wheel/*.whl)[audit]"
	touch $@

wheel: build/user/.installed build/auditor/.installed  ## build the wheel and install it as users do

unit: setup wheel ## the tests alone
	CERTKIT_WHEEL=build HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal --doctest-modules certkit proofs tests

test: lint types docs unit  ## everything CI runs; pytest last

soak: setup      ## the extended soundness runs
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -n auto -m extended tests

mutation: setup  ## mutants of the auditor against its tests (a quarter of an hour on three cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,mutation]'
	rm -rf mutants
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children 3
	$(BIN)/mutmut results

clean:           ## remove what the commands above made
	rm -rf $(VENV) site demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache
