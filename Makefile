# crep: everything a checkout needs. `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for brokers most of their time; each process has a Kafka and an emulator of its own.
TEST_PROCESSES ?= 4

.DEFAULT_GOAL := help
.PHONY: help install demo browser compose test check format bench soak docs lock lock-kafka wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed ## make .venv and install crep with its pinned requirements

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "crep needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
	  echo "Debian 12, Ubuntu 24.04 and later: apt-get install python3 python3-venv"; \
	  echo "Another interpreter: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing python3-venv"; apt-get install -y -q python3-venv >/dev/null || { apt-get update -q && apt-get install -y -q python3-venv; }; \
	  else echo "this Python cannot make virtual environments. On Debian and Ubuntu, as root: apt-get install python3-venv"; exit 3; fi; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the pinned requirements into $(VENV) (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## run the demo scenario on Apache Kafka and the Solace emulator; leaves results/demo/report.pdf
	@$(BIN)/crep demo

check: install ## ruff, formatting, mypy --strict, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser: # a headless Chromium for the test of a page; where it cannot be had, that test is skipped (in CI it fails)
	@for name in chromium-headless-shell chromium chromium-browser google-chrome; do \
	  command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing chromium-headless-shell"; \
	  get="apt-get install -y -q --no-install-recommends chromium-headless-shell"; \
	  $$get >/dev/null 2>&1 || { apt-get update -q >/dev/null && $$get >/dev/null; } || echo "no Chromium could be installed"; \
	fi

compose: # Debian's docker-compose, which checks compose files without a daemon; without it those tests are skipped
	@docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing docker-compose"; \
	    get="apt-get install -y -q --no-install-recommends docker-compose"; \
	    $$get >/dev/null 2>&1 || { apt-get update -q >/dev/null && $$get >/dev/null; } || echo "no docker-compose could be installed"; \
	  fi; }

test: check browser compose ## all checks and tests
	@failed=0; \
	$(BIN)/python -m pytest -m alone || failed=1; \
	$(BIN)/python -m pytest -m "not alone" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder || failed=1; \
	exit $$failed

bench: install ## throughput of the engines as ratios to a bare client loop (under 20 minutes)
	$(BIN)/python -m bench

soak: install ## the full counts, resumable; writes docs/soak.md
	$(BIN)/python -m soak

docs: install ## generate what is generated under docs/
	$(BIN)/python -m crep.harness.scenario.reference docs/scenario.md

lock: install ## upgrade every pinned requirement (then: make install test)
	$(BIN)/uv pip compile --quiet --no-header --universal --generate-hashes --upgrade --no-emit-index-url -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --no-header --universal --generate-hashes --upgrade --no-emit-index-url --extra dev -o requirements-dev.txt pyproject.toml

lock-kafka: install ## renew the lock of Kafka's jars (needs mvn)
	$(BIN)/python -m crep.harness.deployment.kafka.renew

wheel: install ## build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

clean: ## remove what make and crep made here, results excepted
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
