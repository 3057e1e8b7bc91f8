#!/usr/bin/env python3
"""Measure TFLite files side by side: the same as `python -m keras_lite.export.benchmark`."""

from keras_lite.export.benchmark import cli

if __name__ == "__main__":
    cli()
