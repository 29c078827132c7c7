# make demo: everything from nothing to a trained agent.   make test: the same, to passed tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := .venvs

.PHONY: setup demo demo-memory test test-slow test-docker test-peers test-ray token lint docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       train a small agent on TextWorld games over HTTP, from nothing (about ten minutes)"
	@echo "make demo-memory  SLEA-RL against its baselines where only a memory can know, three seeds"
	@echo "make test       lint, types, layers and the default tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make test-docker  docker compose up on a real engine, which is brought up where there is none (root, Debian)"
	@echo "make test-peers  other projects' own clients against our server, each in a virtual environment of its own"
	@echo "make test-ray   worlds on a Ray cluster of two nodes, one of which is killed"
	@echo "make token      print the token of a compose stack that is up"
	@echo "make setup | lint | docs | bench | clean"

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/python -m trainers demo

demo-memory: setup
	$(BIN)/python -m trainers demo-memory

test: setup lint
	$(BIN)/python -m pytest -n 2

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-docker: setup
	tests/docker/engine.sh all
	$(BIN)/python -m pytest -m docker tests/docker

# Their packages conflict with each other; the versions are those whose wires are spoken.
$(PEERS)/%/.installed: tests/peers/requirements/%.txt
	$(PYTHON) -m venv $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

test-peers: setup $(patsubst tests/peers/requirements/%.txt,$(PEERS)/%/.installed,$(wildcard tests/peers/requirements/*.txt))
	$(BIN)/python -m pytest -m peers tests/peers

# In a network of its own, where the nodes of the cluster have the loopback address alone.
test-ray: setup
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev,ray]'
	unshare --net --map-root-user sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -m ray tests/envserver/test_ray.py'

token:
	@docker compose exec -T envserver cat /keys/token && echo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python docs/generate.py

bench: setup
	$(BIN)/envserver bench
	$(BIN)/trainer bench

clean:
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache
