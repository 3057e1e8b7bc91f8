#!/usr/bin/env python3
"""Check the int8 files of all published networks: the same as `python -m keras_lite.export.verify_int8`."""

from keras_lite.export.verify_int8 import cli

if __name__ == "__main__":
    cli()
