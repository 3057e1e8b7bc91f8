#!/usr/bin/env python3
"""Measure what `keras-lite finetune` takes by phases, and how good its models get."""

from _repository import run

if __name__ == "__main__":
    run("checks.finetune_cost")
