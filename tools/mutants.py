#!/usr/bin/env python3
"""Show which test catches each of some changes of the code."""

from _repository import run

if __name__ == "__main__":
    run("checks.mutants")
