#!/usr/bin/env python3
"""Compare the float32 and int8 files that TensorFlow, JAX and PyTorch write."""

from _repository import run

if __name__ == "__main__":
    run("checks.same_bytes")
