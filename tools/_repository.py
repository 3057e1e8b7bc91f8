"""Runs a command of this repository that is no part of the installed package."""

import importlib
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_lite.cli import command_line


def run(name: str) -> NoReturn:
    """Run a module that has `main`, `FLAGS` and a docstring, then end the process."""
    module = importlib.import_module(name)
    command_line.run(module.main, module.FLAGS, module.__doc__)
