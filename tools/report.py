#!/usr/bin/env python3
"""Make RESULTS.md and its plots from the files in `results/`."""

from keras_lite.ledger.report import cli

if __name__ == "__main__":
    cli()
