#!/usr/bin/env python3
"""Write LAYERS.md: which layers a float32 and an int8 file can hold, and by which operators."""

from _repository import run

if __name__ == "__main__":
    run("checks.layer_table")
