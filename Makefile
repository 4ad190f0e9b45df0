# Two commands matter: `make report` and `make test`. Each makes .venv first where it is missing; nothing is done twice.
# Works with GNU Make 3.81 and later; all paths are relative, so that the checkout may lie anywhere.

PROFILE ?= standard
JOBS ?= 2
ONLY ?=
FORCE ?=
PYTHON ?=
ARGS ?=
VENV := .venv/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup report smoke test lint lab student publish bundle serve audit clean clean-all

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "report: PROFILE=smoke|standard|full  ONLY='31*'  JOBS=2  FORCE=1 (run what is unchanged too)"
	@echo "set-up: PYTHON=python3.11 (3.11 to 3.13; else the first that works)   test, lab, student: ARGS='...'"
	@echo "optional packages: make extra-scale (Spark, needs Java 17)  make extra-onnx  make extra-load (locust)"

setup:  ## Make .venv from the lock; the other commands do it by themselves
	@for p in .venv/bin/python python3 python3.11 python3.12 python3.13 python "$(PYTHON)"; do \
	  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
	    exec "$$p" tools/setup.py --python "$(PYTHON)"; fi; done; \
	echo "set-up failed: no Python runs here. cure: install Python 3.11 and run the same command again" >&2; exit 1

report: setup  ## Run the notebooks, write the reports (PROFILE, ONLY, JOBS, FORCE)
	@$(VENV) -m recutils report --profile "$(PROFILE)" $(if $(ONLY),--only "$(ONLY)") --jobs "$(JOBS)" \
	  $(if $(filter-out 0 no,$(FORCE)),--force)

smoke: override PROFILE := smoke
smoke: report  ## The same on thinned data, minutes

# One thread a worker: threads of two workers that wait for each other's cores made single tests ten times slower.
test: setup  ## Run the test suite (ARGS='-k word')
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 HF_HUB_OFFLINE=1 \
	  $(VENV) -m pytest -q -n "$(JOBS)" --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## Check style, imports and that notebooks are stored without outputs
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@.venv/bin/lint-imports --no-logo
	@$(VENV) -m nbstripout --verify --keep-id notebooks/*.ipynb

lab: setup  ## Open JupyterLab in notebooks/ with the right kernel
	@HF_HUB_OFFLINE=1 JUPYTER_PREFER_ENV_PATH=1 $(VENV) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks $(ARGS)

student: setup  ## Copy the notebooks without their solutions to student/ (ARGS='--out DIR')
	@$(VENV) -m recutils student $(ARGS)

publish: setup  ## Write reports/published/ and the README's table from a finished standard run
	@$(VENV) -m recutils publish

bundle: setup  ## Fit a model on ml-100k and put it on the shelf (ARGS='--data my_folder')
	@$(VENV) -m recutils bundle $(ARGS)

serve: setup  ## Answer over HTTP on this machine, from the bundle on the shelf (ARGS='--port 8001')
	@test -f data/interim/shelf/current.json || $(VENV) -m recutils bundle
	@HF_HUB_OFFLINE=1 $(VENV) -m recutils serve $(ARGS)

audit: setup  ## Look over packages, code, keys, bundles: what protects this is in place (ARGS='--keys FILE')
	@$(VENV) tools/audit.py $(ARGS)

extra-%: setup
	@$(VENV) tools/extra.py "$*"

clean:  ## Remove runs, caches and kept trainings; downloads and the shelf of bundles stay
	@find data/interim -mindepth 1 -maxdepth 1 ! -name shelf -exec rm -rf {} + 2>/dev/null || true
	@rm -rf reports/runs .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

clean-all: clean  ## Remove .venv, vectors and the shelf too; data/raw and data/checkpoints stay
	@rm -rf data/interim .venv .venv-setup.log .venv-setup.lock recutils.egg-info data/vectors
