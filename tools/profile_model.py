#!/usr/bin/env python3
"""Print the parameters and multiply-accumulates of a model: the same as `python -m keras_lite.profiling`."""

from keras_lite.profiling import cli

if __name__ == "__main__":
    cli()
