#!/usr/bin/env python3
"""Keep the weights of a finished run in `weights/`, as float16."""

from keras_lite.ledger.keeping import cli

if __name__ == "__main__":
    cli()
