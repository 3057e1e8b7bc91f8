#!/usr/bin/env python3
"""Compare a model's precisions: the same as `python -m keras_lite.export.compare_precisions`."""

from keras_lite.export.compare_precisions import cli

if __name__ == "__main__":
    cli()
