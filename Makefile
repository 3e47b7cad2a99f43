# make run    sets up .venv on first use, then runs every notebook on simulated images in the smoke profile
# make test   unit tests, every notebook, and the browser tests where a Chromium is found
# make quick  unit tests alone, without notebooks, browsers and all that is slow: under two minutes on two cores
# make lint   the code's style, with the length of its lines
# make numeric  the tests whose numbers depend on the processor, as four machines would run them
# make lowest  the core's tests on the oldest versions of packages that are allowed
# make site   the documentation as web pages, runs/site: the course, commands, functions, cards, claims
# make lab    opens the project in JupyterLab, at the first notebook
# make colab  the notebooks on the versions of packages that Colab has, installed as their first cell does
# make gpu    what only a GPU can show: device tests, speeds, a resume, notebooks, short trainings (25 minutes)
# make setup  only sets up .venv
#
# Two names may be given another value, as in `make setup PYTHON=python3.12 TORCH=torch==2.12.0`:
PYTHON ?= python3
TORCH  ?= torch==2.13.0

# A torch build is chosen by its machine, so the lock leaves it out and it is installed first, by its own line.
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

# As in uslab/__init__.py: notebooks may load PyTorch first.
export OMP_WAIT_POLICY ?= PASSIVE
export KMP_BLOCKTIME ?= 0

.PHONY: gpu setup run test quick lint numeric lowest colab site lab notebooks lock
setup: .venv/ready

# The mark moves from `unfinished` to `ready` as the last act, so a set-up that was interrupted starts again from
# nothing. Once ready, it is repeated (pip then changes only what differs) when a dependency has changed.
.venv/ready: pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 to 3.14," \
	    "or name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@if [ -e .venv/unfinished ]; then echo "The last set-up did not finish: starting again"; rm -rf .venv; fi
	@"$(PYTHON)" tools/check_python.py .venv
	@rm -f .venv/ready; mkdir -p .venv; touch .venv/unfinished
	@echo "Setting up .venv: a few minutes, about 2 GB (more with a GPU build of torch)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check "$(TORCH)" -c constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[test]' -c constraints.txt
	@mv .venv/unfinished .venv/ready

run: setup
	@$(BIN)/uslab run --profile smoke

# Files of tests side by side in their order (of the longest, none is the last), on a thread each; then the browsers, whose
# clocks want the machine for themselves.
test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not browser" -n logical --maxprocesses 4 \
	    --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m browser

quick: setup
	@$(BIN)/python -m pytest -q -m "not slow and not notebook and not browser"

lint: setup
	@$(BIN)/ruff check .

# What differs between machines: PyTorch's own instructions, those of its convolutions, the BLAS of NumPy, the threads.
numeric: setup
	@for machine in "ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1" "ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2" \
	    "ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1" \
	    "ONEDNN_MAX_CPU_ISA=SSE41 OPENBLAS_CORETYPE=Nehalem OMP_NUM_THREADS=2"; do \
	    echo "$$machine"; env $$machine $(BIN)/python -m pytest -q -m numeric || exit 1; done

# What the core does without an extra, in an environment of its own, for which uv chooses the versions.
CORE := $(addprefix tests/test_,$(addsuffix .py,data dcgan export gan metrics options pages phantom report score \
    source study_statistics training widgets))
lowest:
	@rm -rf .venv-lowest; "$(PYTHON)" -m venv .venv-lowest
	@$(subst .venv,.venv-lowest,$(BIN))/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	@$(subst .venv,.venv-lowest,$(BIN))/uv pip install --python .venv-lowest --resolution lowest-direct -e . "pytest>=8.3"
	@$(subst .venv,.venv-lowest,$(BIN))/python -m pytest -q -m "not slow and not notebook and not browser" $(CORE)

# Whatever is there has to stay as it is: `comm` prints what does not.
colab:
	@rm -rf .venv-colab; "$(PYTHON)" -m venv .venv-colab
	@.venv-colab/bin/python -m pip install --quiet --disable-pip-version-check -r tests/colab.txt
	@.venv-colab/bin/python -m pip freeze | sort > .venv-colab/before.txt
	@.venv-colab/bin/python -m pip install --quiet --disable-pip-version-check '.[tasks]'
	@.venv-colab/bin/python -m pip freeze | sort | comm -23 .venv-colab/before.txt - > .venv-colab/replaced.txt
	@if [ -s .venv-colab/replaced.txt ]; then echo "replaced:"; cat .venv-colab/replaced.txt; exit 1; fi
	@cd .venv-colab && bin/uslab run --profile smoke --out smoke

site: setup
	@$(BIN)/python -m sphinx -W -q -b html -c docs -d runs/site/.doctrees . runs/site
	@echo "runs/site/index.html"

gpu: setup
	@$(BIN)/python benchmarks/gpu_kit.py

lab: setup
	@$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

# Runs the notebooks in place with their default parameters (profile `class`), as they are committed.
notebooks: setup
	@$(BIN)/python tools/refresh_notebooks.py

# Pins every version but torch's, as the oldest Python that is allowed takes them: newer ones take them too.
lock: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --python-version 3.11.0 \
	    --only-binary=:all: --target .venv/lock --report .venv/lock.json "$(TORCH)" '.[test]'
	@$(BIN)/python tools/write_lock.py .venv/lock.json > constraints.txt
