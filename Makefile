# app, test, test-slow, lint, docs, screenshots, bench, stress: each sets up .venv by itself. PYTHON names another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
MODULES := $(patsubst ganlib/%.py,ganlib.%,$(filter-out ganlib/_%.py,$(wildcard ganlib/*.py)))

.PHONY: app test test-slow lint docs screenshots bench stress clean

app: .venv/app
	$(BIN)/python app.py --open

test: .venv/dev
	$(PYTEST) -m "not slow"

# what few need: fresh environments, whole trainings from the command line
test-slow: .venv/dev
	$(PYTEST) -m slow

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/dev
	$(BIN)/pdoc --docformat google --output-directory docs/api ganlib $(MODULES)

# the pictures of README, and those of all tabs in OUT
OUT ?= build/screenshots
screenshots: .venv/dev
	$(BIN)/python -m tests.browser.screenshots $(OUT)

bench: .venv/dev
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.page
	$(BIN)/python -m tests.benchmarks.course
	$(BIN)/python -m tests.benchmarks.lab

# PART="kills folders" runs these alone, OPTIONS="--seed 7" repeats
stress: .venv/dev
	$(BIN)/python -m tests.stress $(PART) $(OPTIONS)

clean:
	rm -rf .venv build docs/api *.egg-info

# The stamps say which requirements .venv was last set up with.
.venv/app: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: pyproject.toml .venv/app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@
