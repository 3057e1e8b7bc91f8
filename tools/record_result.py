#!/usr/bin/env python3
"""Write the result of a finished run into the ledger, `results/`."""

from _repository import run

if __name__ == "__main__":
    run("ledger.recording")
