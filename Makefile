# Needs only Python >= 3.11, pip and make. `make demo` and `make test` are the two commands to know.
# Elsewhere than on the project's machines plain pip may fetch a CUDA build of torch (gigabytes);
# `make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"` takes the CPU build.

PYTHON ?= python3
PORT ?= 8000
PIP_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
# Processes that share the tests; 0 runs them in this one, to debug.
WORKERS ?= 2
# uv does not read pip's settings.
UV_ARGS ?= $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS))
VENV := .venv
BIN := $(VENV)/bin
# A file stays in one worker, with the models that its tests share, and is begun in the order of
# tests/conftest.py. One thread in each worker: more would fight over the cores.
PYTEST := pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup fmt check test coverage lowest docs docs-site notebooks demo demo-model bench-results fuzz clean

help:
	@echo "make demo    draw letters, train on them, write the report, serve the web page (PORT=8000)"
	@echo "make test    everything: format, types, import contracts, tests"
	@echo "make coverage  the tests, with the branches counted that they reach"
	@echo "make lowest  the tests of what predicts and serves, with the oldest packages allowed"
	@echo "make setup   only the environment ($(VENV))"
	@echo "make fmt     format the code"
	@echo "make check   format, types and import contracts without the tests"
	@echo "make docs    run the code of README.md and docs/, and build the site"
	@echo "make docs-site   build the documentation as HTML (build/site)"
	@echo "make notebooks  run the example notebooks and store their outputs"
	@echo "make fuzz    look for inputs that break the readers (SECONDS=60 for each harness)"
	@echo "make bench-serving  the server beside five others, a soak, swaps, slow and hostile clients (two hours)"
	@echo "make bench-results  the table of results anew (hours; needs the pictures that benchmarks/README.md names)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: foveal needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)"; \
	    echo "hint: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The runtime of exported web apps, of the version in src/foveal/export/web/runtime.py.
WEB_RUNTIME := if command -v npm >/dev/null; then \
    npm install --silent --ignore-scripts --no-audit --no-fund --prefix $(VENV)/npm onnxruntime-web@1.30.0; \
  else echo "npm is not installed: the tests of the web app will be skipped"; fi

# A stamp for each set of packages, so that they are installed once and again when they change.
$(VENV)/.train: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[train,heic,mlflow,notebook,tensorflow,docs,dev]'
	@$(WEB_RUNTIME)
	@touch $@ $(VENV)/.train

setup: $(VENV)/.dev

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m $(PYTEST) $(PYTEST_ARGS)

coverage: check
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m $(PYTEST) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# torch and torchvision stay what they are: older CPU builds are on few indexes.
LOWEST := $(VENV)-lowest
LOWEST_TESTS := tests/bundle tests/evaluate tests/predict tests/server tests/test_recipe.py \
  tests/test_pipeline.py tests/test_resample.py tests/test_sklearn.py $(wildcard tests/test_metrics_*.py)
$(LOWEST)/.done: pyproject.toml constraints.txt | $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/python -m pip freeze | grep -E '^(torch|torchvision)==' > $(LOWEST)/torch.txt
	grep -E '^(pytest|httpx|hypothesis|jsonschema|openapi-spec-validator|psutil)==' \
	  constraints.txt > $(LOWEST)/tests.txt
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --extra train --extra pandas \
	  --extra sklearn --extra grpc pyproject.toml --override $(LOWEST)/torch.txt $(UV_ARGS) --output-file $(LOWEST)/lowest.txt
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python $(UV_ARGS) \
	  -r $(LOWEST)/lowest.txt -r $(LOWEST)/tests.txt
	@touch $@

# Old packages are used with a newer torch and Python than they knew: what those call deprecated
# is no error here.
lowest: $(LOWEST)/.done
	PYTHONPATH=src $(LOWEST)/bin/python -m pytest -o filterwarnings=default -m "not slow" \
	  $(LOWEST_TESTS)

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

docs-site: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -n -q -E docs build/site
	@echo "The documentation: build/site/index.html"

demo-model: $(VENV)/.train
	rm -rf demo
	$(BIN)/foveal synth letters --out demo/letters --count 1300 --seed 0
	$(BIN)/foveal train demo/letters --out demo/runs --name letters --budget 75s
	@echo "The report: demo/runs/classify/letters/report.html"

demo: demo-model
	$(BIN)/foveal serve demo/runs/classify/letters --port $(PORT)

notebooks: $(VENV)/.dev
	$(BIN)/python examples/refresh.py

bench-results: $(VENV)/.dev
	$(BIN)/python benchmarks/run_all.py $(RESULTS_ARGS)

# Seconds for each harness; HARNESS names those to run, all if empty.
SECONDS ?= 60
HARNESS ?=
fuzz: $(VENV)/.dev
	$(BIN)/python fuzz/run_fuzz.py $(HARNESS) --seconds $(SECONDS)

# Installs the other servers from the package index into environments of their own.
SERVED := build/bench-serving
bench-serving: $(VENV)/.train
	$(BIN)/python benchmarks/serving/compare.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/serving/soak.py $(SOAK_ARGS)
	$(BIN)/python benchmarks/serving/swaps.py $(SWAPS_ARGS)
	rm -rf $(SERVED) && mkdir -p $(SERVED)
	$(BIN)/python benchmarks/serving/untrained_classifiers.py $(SERVED)
	$(BIN)/python benchmarks/serving/wire.py $(SERVED)/lite0
	$(BIN)/python benchmarks/serving/hostile.py $(HOSTILE_ARGS)
	$(BIN)/python benchmarks/serving/hostile_http.py $(SERVED)/lite0 $(HOSTILE_HTTP_ARGS)

clean:
	rm -rf $(VENV) $(LOWEST) .coverage build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
