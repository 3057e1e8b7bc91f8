#!/usr/bin/env python3
"""Compare what int8 files answer on x86, on ARM64 and in WebAssembly."""

from _repository import run

if __name__ == "__main__":
    run("checks.same_answers")
