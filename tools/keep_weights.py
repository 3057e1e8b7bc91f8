#!/usr/bin/env python3
"""Keep the weights of a finished run in `weights/`, as float16."""

from _repository import run

if __name__ == "__main__":
    run("ledger.keeping")
