# Two commands to begin with: `make run` tries everything on a synthetic corpus, `make test` runs the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := sample
RUN := runs/sample

.PHONY: run test test-browser lint format bench docs lock licences audit clean

# every command below may count on the locked packages and this package being there
$(BIN)/.users: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(BIN)/.developers: $(BIN)/.users requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

run: $(BIN)/.users
	$(BIN)/emobraid sample-corpus $(SAMPLE)
	$(BIN)/emobraid train --config sample --data_root $(SAMPLE) --output_dir $(RUN) --overwrite
	$(BIN)/emobraid evaluate --model_path $(RUN)/best_model --data_root $(SAMPLE) --output_dir $(RUN)/results
	$(BIN)/python examples/one_clip.py $(RUN)/best_model $(SAMPLE)

test: $(BIN)/.developers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# the page in a real browser. Debian's Chromium is installed where that is possible; without one the tests are skipped.
# New pictures for the documents: EMOBRAID_SHOTS=docs/images EMOBRAID_MODEL=runs/sample/best_model make test-browser
CHROMIUM := $(shell command -v chromium || command -v google-chrome)

test-browser: $(BIN)/.developers
ifeq ($(CHROMIUM),)
	-test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y chromium
endif
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser

lint: $(BIN)/.developers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/.developers
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BIN)/.users
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fusion_step.py

# the docs are Markdown, read as they are; this checks that what they name exists
docs: $(BIN)/.developers
	$(BIN)/python -m pytest tests/test_docs.py

# the exact versions of one fresh install; local build tags and GPU add-ons of the machine are left to pip. The same
# with the hash of every file that the index has for them is requirements-hashed.txt, which is for the image: pip takes
# hashes for all that it installs or for nothing, and neither a torch of another index nor its GPU add-ons are in it.
LOCK := build/lock
FREEZE := $(LOCK)/bin/python -m pip freeze --exclude emobraid | sed 's/+cpu$$//' | grep -viE '^(nvidia|cuda|triton)'

lock:
	rm -rf $(LOCK) && $(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet ".[all]"
	$(FREEZE) > requirements.txt
	$(LOCK)/bin/python -m pip install --quiet ".[all,dev]"
	$(FREEZE) | grep -vxFf requirements.txt > requirements-dev.txt
	$(LOCK)/bin/python -m pip install --quiet uv
	$(LOCK)/bin/uv pip compile --quiet --generate-hashes --no-deps --no-header --no-annotate --python-version 3.11 \
		requirements.txt --output-file requirements-hashed.txt
	rm -rf $(LOCK)

# what the packages of requirements.txt say of their licences
licences: $(BIN)/.users
	$(BIN)/python docs/licences.py

# known faults of the locked packages; says so and passes where the database cannot be reached
audit:
	$(PYTHON) .ci/audit

clean:
	rm -rf $(SAMPLE) $(RUN)
