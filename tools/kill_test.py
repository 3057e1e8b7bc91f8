#!/usr/bin/env python3
"""Kill commands at random moments, and run them again."""

from _repository import run

if __name__ == "__main__":
    run("checks.killed_runs")
