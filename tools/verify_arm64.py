#!/usr/bin/env python3
"""Compare int8 files on emulated ARM64 processors with this machine."""

from _repository import run

if __name__ == "__main__":
    run("checks.verify_arm64")
