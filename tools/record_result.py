#!/usr/bin/env python3
"""Write the result of a finished run into the ledger, `results/`."""

from keras_lite.ledger.recording import cli

if __name__ == "__main__":
    cli()
