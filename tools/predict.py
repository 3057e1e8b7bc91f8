#!/usr/bin/env python3
"""Classify images with a trained model: the same as `python -m keras_lite.predict`."""

from keras_lite.predict import cli

if __name__ == "__main__":
    cli()
