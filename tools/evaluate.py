#!/usr/bin/env python3
"""Measure how often a trained model is right: the same as `python -m keras_lite.evaluate`."""

from keras_lite.evaluate import cli

if __name__ == "__main__":
    cli()
