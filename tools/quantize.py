#!/usr/bin/env python3
"""Fine-tune a model quantisation-aware and export it: the same as `python -m keras_lite.quantize`."""

from keras_lite.quantize import cli

if __name__ == "__main__":
    cli()
