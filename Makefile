# make app · make test · make check · make demo · make bench … : README.md says what each does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.PHONY: app demo check test lint oracle bench bench-ui bench-exchange bench-labels bench-ceiling bench-find bench-scorers bench-judges bench-scale bench-steer bench-health parity chromium postgres install install-dev

app: demo  ## install, build the demo study once, serve the app
	$(BIN)/streamlit run app.py --server.port $(PORT)

demo: install  ## build the demo study (nothing to do where it exists)
	$(BIN)/python -m autointerp_core demo --if-missing

check: lint  ## the fast loop: lint, types, layers, and every test that takes no more than a moment
	$(BIN)/pytest tests/core tests/pages -m "not slow" -n 2 --dist worksteal -q

test: install-dev chromium postgres lint  ## everything that must hold
	$(BIN)/pytest tests/core tests/pages -n 2 --dist worksteal
	$(BIN)/pytest tests/browser

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

oracle: install-dev demo  ## brute-force check of the whole demo corpus
	$(BIN)/python -m benchmarks.oracle

bench: install-dev  ## extraction against its limit and against sae-dashboard
	$(BIN)/python -m benchmarks.bench

parity: install-dev demo  ## every architecture, layout, hook and family against its publisher's own class
	$(BIN)/python -m benchmarks.parity

bench-health: install-dev demo  ## which deliberate mistakes the health check tells; silence on right loads
	$(BIN)/python -m benchmarks.health

bench-exchange: install-dev  ## exports of 16,384 features: time, memory, the same bytes after a kill
	$(BIN)/python -m benchmarks.exchange

bench-ui: install-dev demo chromium  ## waits in the browser on large synthetic studies
	$(BIN)/python -m benchmarks.ui

bench-scale: install-dev demo  ## Ray, nodes that die, summaries of large studies
	$(BIN)/python -m benchmarks.scale

bench-labels: install-dev demo  ## how good labels are, on planted features and on the demo
	$(BIN)/python -m benchmarks.labels

bench-ceiling: install-dev demo  ## how much better lists of words could be, by the embedding scorer
	$(BIN)/python -m benchmarks.label_ceiling

bench-find: install-dev demo  ## planted features found from documents, nothing where nothing is; meaning search
	$(BIN)/python -m benchmarks.find; found=$$?; $(BIN)/python -m benchmarks.paraphrases && exit $$found

bench-judges: install-dev demo  ## intruders, generation, controls and judges, on planted features and on the demo
	$(BIN)/python -m benchmarks.judges

bench-steer: install-dev demo  ## what turning a feature up does to 50 texts, against nothing and a random direction
	$(BIN)/python -m benchmarks.steering

bench-scorers: install-dev demo  ## the embedding scorer on planted concepts it was not chosen by, by embedder
	$(BIN)/python -m benchmarks.planted.scorer_rows

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt requirements-nodeps.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -r requirements.txt
	$(BIN)/pip install --no-deps -r requirements-nodeps.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-dev-nodeps.txt
	$(BIN)/pip install -r requirements-dev.txt
	$(BIN)/pip install --no-deps -r requirements-dev-nodeps.txt
	touch $@

# Debian's chromium, where it is absent and we may install it; else the browser tests say so.
chromium:
	@if [ ! -x /usr/bin/chromium ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -qy --no-install-recommends chromium; \
	fi

# Debian's PostgreSQL, likewise; tests start a server of their own and need no running one.
postgres:
	@if [ -z "$$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -qy --no-install-recommends postgresql; \
	fi
