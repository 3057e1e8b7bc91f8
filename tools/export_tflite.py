#!/usr/bin/env python3
"""Write a model as a verified TFLite file: the same as `python -m keras_lite.export`."""

from keras_lite.export.__main__ import cli

if __name__ == "__main__":
    cli()
