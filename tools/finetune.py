#!/usr/bin/env python3
"""Fine-tune a network on a folder of photos: the same as `python -m keras_lite.finetune`."""

from keras_lite.finetune import cli

if __name__ == "__main__":
    cli()
