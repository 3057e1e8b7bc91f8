#!/usr/bin/env python3
"""Convert models of keras.applications, KerasHub and KerasCV to float32 and int8 files and check them."""

from _repository import run

if __name__ == "__main__":
    run("checks.verify_others")
