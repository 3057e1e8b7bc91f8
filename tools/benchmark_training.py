#!/usr/bin/env python3
"""Measure how many images a second published rows train."""

from _repository import run

if __name__ == "__main__":
    run("ledger.training_speed")
