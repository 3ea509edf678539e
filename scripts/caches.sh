# shellcheck shell=bash
# Sourced by scripts that check, from the checkout's root: what the checks leave behind stays in .cache, with what
# pyproject.toml sends there.
export PYTHONPYCACHEPREFIX=$PWD/.cache/python
# Containers like to set this; each of thousands of processes would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE
export HYPOTHESIS_STORAGE_DIRECTORY=$PWD/.cache/hypothesis
# Not in pyproject.toml: pytest without its cache would not know the word.
# shellcheck disable=SC2034 # it is for the scripts
pytest=(.venv/bin/python -m pytest -o cache_dir=.cache/pytest)
