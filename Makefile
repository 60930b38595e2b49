# app, test, lint, bench: each sets up .venv by itself. PYTHON names another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: app test lint bench clean

app: .venv/app
	$(BIN)/python app.py --open

test: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/dev
	$(BIN)/ruff check .

bench: .venv/dev
	$(BIN)/python -m tests.benchmarks.training
	$(BIN)/python -m tests.benchmarks.page

clean:
	rm -rf .venv build *.egg-info

# The stamps say which requirements .venv was last set up with.
.venv/app: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/dev: pyproject.toml .venv/app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@
