# Every target sets up what it needs in .venv; nothing else has to be there but Python, make and, for the kernels, a
# C++ compiler.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := setup.py pyproject.toml constraints.txt $(shell find csrc -type f)
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
# Without a GPU the CUDA kernels would only take minutes to compile; a test compiles them where nvcc is found.
export FASTLADDER_CUDA ?= $(if $(shell command -v nvidia-smi),auto,0)

.PHONY: demo reproduce test bench lint format gpu-check clean

demo: .venv/installed
	$(BIN)/fastladder demo $(ARGS)

TABLE ?= rladder-table1
reproduce: .venv/installed
	$(BIN)/fastladder reproduce $(TABLE) $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest $(ARGS)

# The tables are also written to RESULTS as JSON, a file for each of the bench. Each is a process of its own, since memory
# adds up over many; one in which nothing is chosen (5) is no error.
RESULTS ?= bench/results
bench: .venv/installed
	for file in bench/bench_*.py; do \
		$(BIN)/python -m pytest $$file --quiet --benchmark-quiet --results $(RESULTS) $(ARGS) || [ $$? -eq 5 ] || exit 1; \
	done

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | xargs $(BIN)/clang-format --dry-run --Werror

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | xargs $(BIN)/clang-format -i

# Torch comes first and alone: what depends on it would otherwise bring a build of its own choice.
.venv/installed: $(SOURCES)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch
	$(BIN)/pip install --quiet setuptools wheel pybind11 ninja
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[train,test,lint]'
	touch $@

# On a machine with a GPU, in the Python that has torch already: the suite on CUDA on both fused backends, then the
# bench, whose JSON lands in RESULTS.
GPU_PYTHON ?= python3
gpu-check:
	FASTLADDER_CUDA=1 $(GPU_PYTHON) -m pip install --quiet --no-build-isolation --no-deps --editable .
	fastladder doctor
	$(GPU_PYTHON) -m pytest tests/ops --device cuda --backend native
	$(GPU_PYTHON) -m pytest tests/ops --device cuda --backend triton
	$(GPU_PYTHON) -m pytest tests/nn tests/models
	$(GPU_PYTHON) -m pytest bench --quiet --benchmark-quiet --device cuda --backend native --results $(RESULTS)
	$(GPU_PYTHON) -m pytest bench --quiet --benchmark-quiet --device cuda --backend triton --results $(RESULTS)

clean:
	rm -rf .venv build dist *.egg-info fastladder/*.so
