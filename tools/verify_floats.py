#!/usr/bin/env python3
"""Check the float32 files of all published networks, of models of keras.applications and of random models."""

from _repository import run

if __name__ == "__main__":
    run("checks.float_files")
