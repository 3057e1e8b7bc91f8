#!/usr/bin/env python3
"""Make RESULTS.md and its plots from the files in `results/`."""

from _repository import run

if __name__ == "__main__":
    run("ledger.report")
