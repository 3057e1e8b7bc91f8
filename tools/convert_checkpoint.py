#!/usr/bin/env python3
"""Convert PyTorch weights to a Keras model or back: the same as `python -m keras_lite.checkpoints`."""

from keras_lite.checkpoints import cli

if __name__ == "__main__":
    cli()
