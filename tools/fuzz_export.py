#!/usr/bin/env python3
"""Export small random models and run the files."""

from _repository import run

if __name__ == "__main__":
    run("checks.fuzz")
