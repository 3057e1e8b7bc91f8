#!/usr/bin/env python3
"""Train, export and evaluate where TensorFlow is not installed."""

from _repository import run

if __name__ == "__main__":
    run("checks.without_tensorflow")
