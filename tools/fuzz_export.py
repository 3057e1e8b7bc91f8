#!/usr/bin/env python3
"""Export small random models and run the files: the same as `python -m keras_lite.export.fuzz`."""

from keras_lite.export.fuzz import cli

if __name__ == "__main__":
    cli()
