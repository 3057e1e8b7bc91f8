#!/usr/bin/env python3
"""Convert PyTorch weights to a Keras model or back, or a Keras 2 model to Keras 3: the same as `python -m keras_lite.checkpoints`."""

from keras_lite.checkpoints.__main__ import cli

if __name__ == "__main__":
    cli()
