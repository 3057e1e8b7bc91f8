#!/usr/bin/env python3
"""Measure TFLite files on an Android phone: the same as `python -m keras_lite.export.android_benchmark`."""

from keras_lite.export.android_benchmark import cli

if __name__ == "__main__":
    cli()
