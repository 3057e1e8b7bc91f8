#!/usr/bin/env python3
"""Train int8 networks on the three backends, and compare."""

from _repository import run

if __name__ == "__main__":
    run("checks.aware_backends")
