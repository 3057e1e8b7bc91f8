#!/usr/bin/env python3
"""Convert PyTorch weights and Keras 2 models to Keras 3, or back: the same as `python -m keras_lite.checkpoints`."""

from keras_lite.checkpoints.__main__ import cli

if __name__ == "__main__":
    cli()
