# Shortcuts for people who work on llmsuggestd: `make help`. README.md has the two commands everyone
# needs.

PYTHON ?= python3
VENV   ?= .venv

# leaves out of llama.cpp what is never loaded: half of its compilation
export SKBUILD_CMAKE_DEFINE ?= CMAKE_PROJECT_INCLUDE=$(CURDIR)/packaging/llama.cmake

.PHONY: help demo test test-all lint format generated docs bench gpu-check starter dist deb starter-from-scratch eval

help:                         ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 26

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

demo: $(VENV)/bin/python      ## install here and print suggestions for a goal
	$(VENV)/bin/pip install .
	$(VENV)/bin/llmsuggestd install
	$(VENV)/bin/llmsuggestd restart
	$(VENV)/bin/llmsuggestd suggest "$$(printf 'p q : Prop\nh : p ∧ q\n⊢ q ∧ p')"

test: $(VENV)/bin/python      ## what README's second command does
	$(VENV)/bin/pip install -e '.[test]'
	$(VENV)/bin/python -m pytest -n auto

test-all: $(VENV)/bin/python  ## the tests on every Python from 3.11 on that is installed here
	$(VENV)/bin/pip install tox
	PATH="$$PATH:$(subst $() ,:,$(wildcard $(HOME)/.pyenv/versions/3.1[1-9]*/bin))" $(VENV)/bin/tox run

ONLY ?= '*'
bench: $(VENV)/bin/python     ## speed beside other engines: two hours, 25 GB
	$(VENV)/bin/pip install -e '.[test,bench]'
	$(VENV)/bin/python -m tests.benchmarks.engine --write --only $(ONLY)

gpu-check: $(VENV)/bin/python ## GPU offload, on a GPU or on Mesa's software device: compiles llama.cpp
	$(VENV)/bin/pip install -e '.[test]'
	$(VENV)/bin/python -m tests.benchmarks.gpu_check

starter:                      ## the shipped model, from convert/starter/checkpoint
	$(VENV)/bin/llmsuggestd convert convert/starter/checkpoint --name starter \
	    --output llmsuggestd/models/starter.gguf

PAIRS ?= build/starter/pairs.jsonl
starter-from-scratch: $(VENV)/bin/python  ## data from Lean, tokenizer, training: some hours
	$(VENV)/bin/pip install -e '.[test,train]'
	mkdir -p $(dir $(PAIRS))
	$(VENV)/bin/python -m convert.starter generate $(PAIRS)
	$(VENV)/bin/python -m convert.starter held-out $(PAIRS)
	$(VENV)/bin/python -m convert.starter held-out-worlds
	$(VENV)/bin/python -m convert.starter tokenizer
	$(VENV)/bin/python -m convert.starter train $(PAIRS)
	$(MAKE) starter

eval: $(VENV)/bin/python      ## the success rate of the running daemon's model, judged by Lean
	$(VENV)/bin/python -m convert.starter evaluate --baselines
	$(VENV)/bin/python -m convert.starter evaluate --baselines --worlds

generated: $(VENV)/bin/python ## the parts of the documents that are made from the source
	$(VENV)/bin/python docs/generate.py

docs: $(VENV)/bin/python      ## the site, in build/site; a warning or a dead link is an error
	$(VENV)/bin/pip install --quiet -e '.[docs]'
	$(VENV)/bin/proselint check --config .proselint.json *.md docs
	$(VENV)/bin/sphinx-build -q -W --keep-going docs build/site

KERNELS = llmsuggestd/engine/kernels/*.h llmsuggestd/engine/kernels/*.cpp

lint:                         ## formatting, lint, types, the direction of imports and spelling
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(KERNELS)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell

format:
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/clang-format -i $(KERNELS)

dist: $(VENV)/bin/python      ## sdist and wheel, checked
	$(VENV)/bin/pip install build twine
	rm -f dist/*.whl dist/*.tar.gz
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*.whl dist/*.tar.gz

deb:                          ## a package for this release of Debian or Ubuntu: three minutes
	packaging/linux/build-deb
