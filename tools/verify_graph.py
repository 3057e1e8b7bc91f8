#!/usr/bin/env python3
"""Compare the int8 files that are written without TensorFlow's converter with those of the converter."""

from _repository import run

if __name__ == "__main__":
    run("checks.int8_pairs")
