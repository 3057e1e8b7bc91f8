#!/usr/bin/env python3
"""Compare the web page with Python."""

from _repository import run

if __name__ == "__main__":
    run("checks.verify_web")
