#!/usr/bin/env python3
"""Measure what exporting, quantizing or running an IntegerModel takes."""

from _repository import run

if __name__ == "__main__":
    run("checks.export_cost")
