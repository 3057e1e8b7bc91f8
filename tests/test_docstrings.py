"""The examples in the docstrings, the README and the guides run, and what they say comes out of them."""

import ast
import doctest
import importlib
import pkgutil
import re
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch_networks
from example_stand_ins import OWN_VALUES, VALUES, Files, no_network
from PIL import Image

import keras_lite
from keras_lite.checkpoints import registry
from keras_lite.runtime import benchmark

pytestmark = pytest.mark.tensorflow_only

REPOSITORY = Path(__file__).parents[1]
MODULES = [module.name for module in pkgutil.walk_packages(keras_lite.__path__, "keras_lite.")]
ROOMS = (
    "checkpoints",
    "applications",
    "data",
    "training",
    "litert",
    "runtime",
    "quantization",
    "export",
    "inference",
    "pipelines",
)
IMPORTED = {
    "Image": Image,
    "Path": Path,
    "keras": keras,
    "keras_lite": keras_lite,
    "np": np,
    "statistics": statistics,
}


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


def fenced(text):
    """Return the blocks of Python in a text, in order."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def blocks():
    """Return the module, the object and the code of each block in the docstrings; in files the path and the number."""
    found = []
    root = Path(keras_lite.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join(("keras_lite", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                codes = fenced(ast.get_docstring(node) or "")
                found += [(module, getattr(node, "name", ""), code) for code in codes]
    for path in sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "examples").rglob("*.md")]):
        codes = fenced(path.read_text(encoding="utf-8"))
        found += [("keras_lite", f"{path.name}-{number}", code) for number, code in enumerate(codes, start=1)]
    return found


BLOCKS = blocks()


def names_needed(code):
    """Return the names that a code reads before it gives them a value."""
    needed, bound = set(), set()
    for statement in ast.parse(code).body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        needed |= {node.id for node in names if isinstance(node.ctx, ast.Load)} - bound
        bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | {getattr(statement, "name", None)}
    return sorted(needed)


def value_of(name, module, owner):
    """Return what a name stands for that an example does not define, or None."""
    if make := OWN_VALUES.get(owner, {}).get(name) or VALUES.get(name):
        return make()
    if name in IMPORTED:
        return IMPORTED[name]
    if name == "torch":
        return pytest.importorskip("torch")
    if name == "torchvision":
        return SimpleNamespace(models=torch_networks.torchvision_models())
    places = [importlib.import_module(module), *(getattr(keras_lite, room) for room in ROOMS)]
    return next((getattr(place, name) for place in places if hasattr(place, name)), None)


def assert_comments_hold(code, names):
    """Run a code; where the comment of an expression is a literal, it is the value."""
    for statement in ast.parse(code).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), "example", "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), "example", "eval"), names)
        comment = code.splitlines()[statement.end_lineno - 1][statement.end_col_offset :].strip().removeprefix("# ")
        try:
            said = ast.literal_eval(comment)
        except (SyntaxError, ValueError):
            continue
        if isinstance(said, list) and said[-1] is ...:
            value, said = value[: len(said) - 1], said[:-1]
        assert value == said


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize(
    ("module", "owner", "code"), BLOCKS, ids=[f"{module.partition('.')[2]}-{owner}" for module, owner, _ in BLOCKS]
)
def test_a_block_runs(module, owner, code, files, tmp_path, monkeypatch):
    if owner == "GridMask":
        pytest.importorskip("keras_cv", reason="KerasCV is the extra keras-cv")
    monkeypatch.chdir(tmp_path)
    no_network(monkeypatch, tmp_path / "fetched")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            files.copy(node.value, tmp_path)
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)  # each file in each round is a process
    monkeypatch.setattr(sys, "argv", ["recipe", "--smoke", "--output_dir", "run"])
    values = {name: value_of(name, module, owner) for name in names_needed(code)}
    names = {"__name__": "__main__", "__doc__": "An example."} | {k: v for k, v in values.items() if v is not None}
    assert_comments_hold(code, names)
    if pool := names.get("pool"):
        pool.shutdown()
