#!/usr/bin/env python3
"""The same as `keras-lite compare`."""

from keras_lite.cli import run

if __name__ == "__main__":
    run("compare")
