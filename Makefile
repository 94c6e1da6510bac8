# Each target works alone on a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo default-router test lint types wheel clean

demo: $(VENV)/demo.stamp
	mkdir -p demo
	$(BIN)/router-model datasets starter --out demo
	$(BIN)/router-model train demo/train.jsonl --ladder demo/ladder.json --out demo/router.onnx --report demo/report
	@echo; echo "On the held-out prompts:"
	$(BIN)/router-model evaluate demo/router.onnx demo/test.jsonl
	@echo; echo "On ten prompts that it has not seen:"
	$(BIN)/router-model route demo/router.onnx --input examples/prompts.txt --lines

# The router that ships, from the folder of routing datasets. One thread: a sum's order is part of the result.
DATASETS ?= ../shared/datasets
default-router: $(VENV)/demo.stamp
	OMP_NUM_THREADS=1 $(BIN)/router-model train $(DATASETS)/train/*.jsonl.gz \
		--ladder examples/ladders/default.yaml --out router_model/default.onnx --learned router_model/default.npz

test: $(VENV)/test.stamp lint types
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The folders map to packages only once installed, so the types of the wheel are checked, outside the checkout.
types: $(VENV)/test.stamp wheel
	rm -rf build/types && mkdir -p build/types
	$(BIN)/python -m zipfile -e dist/*.whl build/types
	cd build/types && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p router_model

wheel: $(VENV)/test.stamp
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info
