"""What makes a quantized model stands above what works on one: imports go one way."""

import ast
from pathlib import Path

import pytest

from keras_lite import quantization

pytestmark = pytest.mark.tensorflow_only


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_the_files_of_the_room_know_nothing_of_aware():
    files = [path for path in Path(quantization.__file__).parent.glob("*.py") if path.name != "__init__.py"]
    assert files
    for path in files:
        assert not [name for name in imported(path) if name.startswith("keras_lite.quantization.aware")], path.name
