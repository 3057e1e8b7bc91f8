#!/usr/bin/env python3
"""Check that MediaPipe reads files with uint8 ends."""

from _repository import run

if __name__ == "__main__":
    run("checks.verify_mediapipe")
