#!/usr/bin/env python3
"""The same as `keras-lite convert`."""

from keras_lite.cli import run

if __name__ == "__main__":
    run("convert")
