"""The examples in the docstrings say what really comes out."""

import doctest
import importlib
import pkgutil
import re

import keras
import numpy as np
import pytest

import keras_lite

pytestmark = pytest.mark.tensorflow_only

ROOMS = ("applications", "checkpoints", "data", "graph", "layers", "litert", "profiling", "published", "training")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(keras_lite.__path__, "keras_lite.")
    if module.name.split(".")[1] in ROOMS
]


class Checker(doctest.OutputChecker):
    """A shape may be printed as TensorFlow's own type."""

    def check_output(self, want, got, optionflags):
        return super().check_output(want, re.sub(r"TensorShape\(\[(.*?)\]\)", r"(\1)", got), optionflags)


def test_examples(capsys):
    runner = doctest.DocTestRunner(Checker(), verbose=False)
    for name in MODULES:
        module = importlib.import_module(name)
        names = {"keras": keras, "np": np, "keras_lite": keras_lite}
        for test in doctest.DocTestFinder().find(module, name, extraglobs=names):
            runner.run(test)
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out
    assert runner.summarize(verbose=False).attempted > 50
