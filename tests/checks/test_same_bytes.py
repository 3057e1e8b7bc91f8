import hashlib

import numpy as np
import pytest

from checks import same_bytes
from keras_lite.checkpoints import load_model, registry
from keras_lite.litert import FloatGraph, QuantizedGraph, write

pytestmark = pytest.mark.tensorflow_only


def test_hashes_are_those_of_the_files(tmp_path, capsys):
    [family] = [family for family in registry.families() if family.name == "efficient_resnet"]
    path = tmp_path / "small.keras"
    same_bytes.save(family, path)
    model = load_model(path)
    # No weight is what a new model has (0 or 1), so that each is seen in the file.
    for variable in model.weights:
        if variable.dtype == "float32":
            assert not np.isin(np.asarray(variable), (0.0, 1.0)).any(), variable.path
    same_bytes.print_hashes(str(tmp_path))
    graphs = same_bytes.graphs(model)
    assert (type(graphs["float32"]), type(graphs["int8"])) == (FloatGraph, QuantizedGraph)
    hashes = {precision: hashlib.sha256(write(graph)).hexdigest() for precision, graph in graphs.items()}
    found = capsys.readouterr().out.splitlines()[-2:]
    assert found == [f"sha256 small float32 {hashes['float32']}", f"sha256 small int8 {hashes['int8']}"]


def test_other_bytes_are_named(run_tool, monkeypatch, assert_one_line_error):
    names = ("cifar_resnet float32", "cifar_resnet int8", "mobilenet_v1 float32", "mobilenet_v1 int8")
    hashes = {
        backend: dict(zip(names, digests, strict=True))
        for backend, digests in (("tensorflow", "1234"), ("jax", "1235"))
    }
    monkeypatch.setattr(same_bytes, "save", lambda family, path: None)
    monkeypatch.setattr(same_bytes, "on_backend", lambda backend, folder: hashes[backend])
    finished = run_tool(same_bytes, "cifar_resnet", "--backends", "tensorflow,jax")
    assert finished.stdout.splitlines() == [
        "cifar_resnet float32: 1",
        "cifar_resnet int8: 2",
        "2 files of 1 networks: the same bytes on tensorflow, jax.",
    ]
    finished = run_tool(same_bytes, "cifar_resnet", "mobilenet_v1", "--backends", "tensorflow,jax")
    assert "mobilenet_v1 float32: 3\nmobilenet_v1 int8: {'tensorflow': '4', 'jax': '5'}\n" in finished.stdout
    assert_one_line_error(finished, "received others of mobilenet_v1 int8")
    assert_one_line_error(run_tool(same_bytes, "vgg"), "vgg", "cifar_resnet")


@pytest.mark.slow
def test_backends_write_the_same_bytes(run_tool, assert_one_line_error):
    finished = run_tool(same_bytes, "efficient_resnet")
    assert "2 files of 1 networks: the same bytes on tensorflow, jax, torch." in finished.stdout, finished.stderr
    assert_one_line_error(run_tool(same_bytes, "efficient_resnet", "--backends", "abacus"), "abacus")
