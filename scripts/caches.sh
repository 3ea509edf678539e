# shellcheck shell=bash
# Sourced by scripts that check, from the checkout's root: what Python and Hypothesis leave behind stays in
# .cache as well, with what pyproject.toml sends there.
export PYTHONPYCACHEPREFIX=$PWD/.cache/python
export HYPOTHESIS_STORAGE_DIRECTORY=$PWD/.cache/hypothesis
