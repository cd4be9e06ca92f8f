# Two commands do everything on a machine with Python 3.11 and make:
#   make demo   installs what it needs and shows the detector at work
#   make test   installs the rest and runs every test
#   make quick  runs the tests that take little time and no broker
PYTHON ?= python3.11
BIN := .venv/bin
RUN := .venv/run.stamp
DEV := .venv/dev.stamp

.PHONY: demo test quick chaos extras airflow lint types docs check lock clean

demo: $(RUN)
	$(BIN)/stream-app demo

# In several processes; which tests stay together is said in tests/conftest.py.
SIDE_BY_SIDE = $(BIN)/pytest --no-loadscope-reorder --durations=15

# For two cores: one process has the tests with a broker, which mostly wait, and two have the others.
test: $(DEV)
	$(SIDE_BY_SIDE) -n 3

quick: $(DEV)
	$(SIDE_BY_SIDE) -n 2 -m "not broker and not slow"

# Faults at length, on real brokers: some twenty minutes.
chaos: $(DEV)
	$(BIN)/pytest tests/broker/chaos.py tests/broker/chaos_security.py tests/broker/chaos_three_brokers.py tests/broker/chaos_alerts.py tests/kafka/state/chaos.py -s

# Every extra, installed into an environment of its own: some minutes.
extras: $(DEV)
	$(BIN)/pytest tests/packaging/extras.py -s

# The action hook of Airflow on a real Airflow, in an environment of its own: some five minutes.
airflow: $(DEV)
	$(BIN)/python scripts/try_airflow_hook.py

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check stream_app tests benchmarks

types: $(DEV)
	$(BIN)/mypy

# The tables of docs/metrics.md are made from the catalogue of metrics, and the document of the API from its routes.
docs: $(RUN)
	$(BIN)/python -m stream_app.metrics.page docs/metrics.md
	$(BIN)/python -m stream_app.web.openapi schemas/openapi.json

check: lint types test

# The lock files pin every package by hash; change pyproject.toml, then `make lock`.
LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml
lock: $(DEV)
	$(LOCK) --extra build --extra worker --extra serve -o requirements.lock
	$(LOCK) --extra build --extra worker --extra serve --extra dev -c requirements.lock -o requirements-dev.lock

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUN): $(BIN)/python requirements.lock pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(DEV): $(RUN) requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

clean:
	rm -rf .venv build dist out .hypothesis .mypy_cache .pytest_cache .ruff_cache
