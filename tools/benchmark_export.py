#!/usr/bin/env python3
"""Measure what writing a float32 or int8 file takes."""

from _repository import run

if __name__ == "__main__":
    run("checks.export_cost")
