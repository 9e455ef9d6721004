# Two commands do everything: `make demo` plays a whole phone call, `make test` runs every check.
PYTHON ?= python3
VENV ?= .venv

.PHONY: demo test clean

$(VENV)/.installed: pyproject.toml .ci/constraints.txt
	@echo "setting up $(VENV) (a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "callengine needs Python 3.11 or newer: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	@$(VENV)/bin/python -m callengine demo

test: $(VENV)/.installed
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/lint-imports --config .ci/importlinter.ini
	@.ci/tests $(VENV)/bin/python

clean:
	rm -rf $(VENV) demo-call .pytest_cache .mypy_cache .ruff_cache .hypothesis
