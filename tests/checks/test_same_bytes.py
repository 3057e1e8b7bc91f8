import hashlib

import numpy as np
import pytest

from checks import same_bytes
from keras_lite.checkpoints import load_model, registry
from keras_lite.litert.writer import write
from keras_lite.quantization.lower import lower

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
    content = write(lower(model))
    assert capsys.readouterr().out.splitlines()[-1] == f"sha256 small {hashlib.sha256(content).hexdigest()}"


def test_other_bytes_are_named(run_tool, monkeypatch, assert_one_line_error):
    hashes = {"tensorflow": {"cifar_resnet": "11", "mobilenet_v1": "22"}}
    hashes["jax"] = {"cifar_resnet": "11", "mobilenet_v1": "33"}
    monkeypatch.setattr(same_bytes, "save", lambda family, path: None)
    monkeypatch.setattr(same_bytes, "on_backend", lambda backend, folder: hashes[backend])
    finished = run_tool(same_bytes, "cifar_resnet", "--backends", "tensorflow,jax")
    assert finished.stdout == "cifar_resnet: 11\n1 networks: the same bytes on tensorflow, jax.\n"
    finished = run_tool(same_bytes, "cifar_resnet", "mobilenet_v1", "--backends", "tensorflow,jax")
    assert "mobilenet_v1: {'tensorflow': '22', 'jax': '33'}" in finished.stdout
    assert_one_line_error(finished, "received others of mobilenet_v1")
    assert_one_line_error(run_tool(same_bytes, "vgg"), "vgg", "cifar_resnet")


@pytest.mark.slow
def test_backends_write_the_same_bytes(run_tool, assert_one_line_error):
    finished = run_tool(same_bytes, "efficient_resnet")
    assert "1 networks: the same bytes on tensorflow, jax, torch." in finished.stdout, finished.stderr
    assert_one_line_error(run_tool(same_bytes, "efficient_resnet", "--backends", "abacus"), "abacus")
