#!/usr/bin/env python3
"""Check the int8 files of all published networks."""

from _repository import run

if __name__ == "__main__":
    run("checks.verify_int8")
