# make demo             watch the whole path work on this machine (installs no torch)
# make test             all tests            make lint    format, lint, types
# make check            both, before a commit
#
# Each creates .venv and installs what it needs, at the versions in .ci/constraints.txt.
# torch from PyPI brings gigabytes of CUDA libraries; without a GPU take the CPU build:
#   make test PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOCK := .ci/constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(LOCK)

# Set for the demo: INPUT=clip.mp4 BITRATE=100k SIZE=1280x720
INPUT ?=
BITRATE ?= 150k
SIZE ?= 1280x720

.PHONY: help demo test lint check format lock system-packages clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.installed-base
	$(BIN)/python -m benchmarks.demo $(if $(INPUT),--input "$(INPUT)") --bitrate "$(BITRATE)" --size "$(SIZE)"

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest -q

lint: $(VENV)/.installed-all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

format: $(VENV)/.installed-all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What some tests use beyond Python packages; needs root on a Debian or Ubuntu machine.
# xvfb: a screen to capture where there is none; chromium: a WebRTC peer and viewer.
system-packages:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium xvfb

# Write down what is installed, after an upgrade that passed the tests.
lock: $(VENV)/.installed-all
	{ sed -n '/^#/p' $(LOCK); \
	  $(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools \
	  | sed 's/+cpu$$//'; } > $(LOCK).new
	mv $(LOCK).new $(LOCK)

clean:
	rm -rf build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# An environment that is there already is kept, whoever made it.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-base: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "Installing what sending and receiving need into $(VENV) ..."
	$(INSTALL) --editable .
	@touch $@

# torch first and by its exact version, so that pip never looks at builds of other versions.
$(VENV)/.installed-all: $(VENV)/.installed-base
	@echo "Installing what training, benchmarks and tests need into $(VENV) ..."
	$(INSTALL) $(shell grep '^torch==' $(LOCK))
	$(INSTALL) --editable '.[train,srt,camera,bench,tensorrt,triton,dev]'
	@touch $@
