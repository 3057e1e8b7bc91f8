"""Checkpoints as training scripts leave them: other endings, other things beside the tensors, prefixes, averages."""

import argparse
import collections
import datetime
import functools
import io
import pathlib
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from keras_lite.applications import CARNet18, EfficientResNet
from keras_lite.checkpoints import load_checkpoint, load_torch_state_dict, read_state_dict, to_torch_state_dict
from keras_lite.errors import InputError, InputWarning

pytestmark = pytest.mark.tensorflow_only


def small(seed=None):
    """A small network; with a seed, its weights follow from that."""
    model = EfficientResNet(blocks=(1, 2), channels=16, input_shape=(16, 16, 3), classes=5)
    if seed is not None:
        rng = np.random.default_rng(seed)
        model.set_weights([rng.uniform(0.1, 1, w.shape).astype("float32") for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def trained():
    return small(1)


@pytest.fixture(scope="module")
def tensors(trained):
    return {name: torch.tensor(value) for name, value in to_torch_state_dict(trained).items()}


def averaged(tensors):
    return {name: value + 1 if value.is_floating_point() else value for name, value in tensors.items()}


def assert_loads(path, trained, **options):
    model = small()
    load_checkpoint(model, path, **options)
    for found, expected in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "name", ["model_best.pth.tar", "epoch=3-step=9.ckpt", "pytorch_model.bin", "weights", "x.model"]
)
@pytest.mark.parametrize("old", [False, True])
def test_the_ending_does_not_matter(name, old, trained, tensors, tmp_path):
    torch.save({"state_dict": tensors}, tmp_path / name, _use_new_zipfile_serialization=not old)
    assert_loads(tmp_path / name, trained)
    assert EfficientResNet(
        blocks=(1, 2), channels=16, input_shape=(16, 16, 3), classes=5, weights=tmp_path / name
    ).count_params()


class Absent:
    """Of a module that is gone when the file is read."""

    def __init__(self):
        self.made = [1, 2]


def test_what_is_no_tensor_is_passed_over(trained, tensors, tmp_path, monkeypatch):
    """All that trainers keep beside the weights, none of it made again."""
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    gone = types.ModuleType("gone_later")
    gone.Absent = Absent
    monkeypatch.setattr(Absent, "__module__", "gone_later")
    monkeypatch.setitem(sys.modules, "gone_later", gone)
    content = {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2]),
        "best": np.float64(0.7),
        "curve": np.arange(5),
        "folder": pathlib.PosixPath("/runs"),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10).state_dict(),
        "hyper_parameters": {"layers": torch.nn.ReLU, "function": torch.relu, "part": functools.partial(max, 1)},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.3)}},
        "when": datetime.datetime(2026, 1, 2),
        "absent": Absent(),
        "counts": collections.Counter("abc"),
        "groups": collections.defaultdict(list, {1: [2], (1, 2): 3}),
        "sets": [{1, 2}, frozenset([3]), 1 + 2j, bytearray(b"ab"), slice(1, 2)],
        "random": [torch.get_rng_state(), np.random.get_state()],
        "complex": torch.zeros(2, dtype=torch.complex64),
        "model": tensors,
    }
    torch.save(content, tmp_path / "last.pth")
    monkeypatch.undo()
    monkeypatch.setattr(argparse.Namespace, "__init__", None)  # nothing of it is made
    assert_loads(tmp_path / "last.pth", trained)


PREFIXES = ("module.", "_orig_mod.", "_orig_mod.module.", "model._orig_mod.", "net.backbone.", "encoder.", "a.b.c.")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_common_prefix_is_taken_off(prefix, trained, tensors):
    model = small()
    load_torch_state_dict(model, {prefix + name: value for name, value in tensors.items()})
    np.testing.assert_array_equal(model.get_weights()[0], trained.get_weights()[0])


def test_a_loose_tensor_is_no_network(tensors, trained, tmp_path):
    torch.save({"n_averaged": torch.tensor(3), "model_ema": tensors}, tmp_path / "net.pth")
    assert_loads(tmp_path / "net.pth", trained)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_loss_and_a_copy_lie_beside_it(prefix, trained, tensors, tmp_path):
    content = {prefix + name: value for name, value in tensors.items()}
    content |= {f"model_ema.module.{name}": value for name, value in averaged(tensors).items()}
    content |= {"criterion.weight": torch.ones(5)} if prefix else {}
    torch.save({"state_dict": content}, tmp_path / "last.ckpt")
    with pytest.warns(InputWarning) as warned:
        assert_loads(tmp_path / "last.ckpt", trained)
    said = "\n".join(str(each.message) for each in warned)
    # The warning is of the line that called, not of one in the package.
    assert {each.filename for each in warned} == {__file__}
    assert "entry='model_ema.module'" in said
    assert "passed over" in said
    model = small()
    load_checkpoint(model, tmp_path / "last.ckpt", entry="model_ema.module")
    np.testing.assert_allclose(model.get_weights()[0], trained.get_weights()[0] + 1)


@pytest.mark.parametrize(
    ("names", "taken", "other"),
    [
        (("state_dict", "state_dict_ema"), 0, "state_dict_ema"),
        (("model_ema", "model"), 1, "model_ema"),
        (("ema_state_dict",), 0, None),
        (("swa",), 0, None),
        (("student", "ema"), 0, "ema"),
    ],
)
def test_averaged_weights(names, taken, other, tensors, trained, tmp_path, recwarn):
    """They are taken where they are alone; else a warning says that there are two, and how to choose."""
    states = [tensors if index == taken else averaged(tensors) for index in range(len(names))]
    torch.save(dict(zip(names, states, strict=True)), tmp_path / "net.pth")
    assert_loads(tmp_path / "net.pth", trained)
    said = "\n".join(str(each.message) for each in recwarn)
    if other is None:
        assert not said
    else:
        assert len(said.splitlines()) == 1
        assert f"{names[taken]} was taken; there are also {other}" in said
        model = small()
        load_checkpoint(model, tmp_path / "net.pth", entry=other)
        np.testing.assert_allclose(model.get_weights()[0], trained.get_weights()[0] + 1)
        with pytest.raises(InputError, match=r"an entry of .*net.pth, such as .*received 'teacher'"):
            read_state_dict(tmp_path / "net.pth", entry="teacher")


def test_weights_in_shards(tensors, trained, tmp_path):
    import json

    names = list(tensors)
    parts = {"a-00001-of-00002.bin": names[::2], "a-00002-of-00002.bin": names[1::2]}
    for file, inside in parts.items():
        torch.save({name: tensors[name] for name in inside}, tmp_path / file)
    index = {"metadata": {}, "weight_map": {name: file for file, inside in parts.items() for name in inside}}
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index))
    assert_loads(path, trained)
    (tmp_path / "a-00002-of-00002.bin").unlink()
    with pytest.raises(InputError, match=r"Expected a-00002-of-00002.bin beside .*does not exist"):
        read_state_dict(path)
    for map_ in ({"w": "../x.bin"}, {"w": 3}, []):
        path.write_text(json.dumps({"weight_map": map_}))
        with pytest.raises(InputError, match="weight_map"):
            read_state_dict(path)


def script():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def exported():
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), buffer)
    return buffer.getvalue()


def packed(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x")
    return buffer.getvalue()


OTHERS = {
    "TorchScript": (script, r"TorchScript .*: save the state dict instead, with torch.save\(network.state_dict\(\)"),
    "an exported program": (exported, r"exported program .*torch.save\(network.state_dict\(\)"),
    "ONNX": (lambda: b"\x08\x07\x12\x07pytorch:\x00", "an ONNX file"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(8), "HDF5 file: keras_lite.checkpoints.load_model"),
    "TFLite": (lambda: struct.pack("<I", 28) + b"TFL3" + bytes(20), "a TFLite file"),
    "a page": (lambda: b"<!DOCTYPE html><html>", "a page of text"),
    "a pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(10), "a gzip archive: unpack it"),
    "zip": (lambda: packed("net/weights.pth"), r"a zip archive with net/weights.pth: unpack it"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ending", [".pt", ""])
def test_other_files_are_called_what_they_are(name, ending, tmp_path):
    content, message = OTHERS[name]
    (tmp_path / f"net{ending}").write_bytes(content())
    with pytest.raises(InputError, match=rf"file of PyTorch weights, received .*net.*, which is .*{message}"):
        read_state_dict(tmp_path / f"net{ending}")


def test_tensors_of_other_kinds_are_named(tmp_path):
    torch.save({"w": torch.ones(2), "s": torch.eye(3).to_sparse()}, tmp_path / "net")
    with pytest.raises(InputError, match=r"received s as torch._utils._rebuild_sparse_tensor too"):
        read_state_dict(tmp_path / "net")


def test_many_references_to_one_dict_are_followed_once(tmp_path):
    inner = {}
    for _ in range(6):
        inner = {str(index): inner for index in range(300)}
    torch.save(inner, tmp_path / "net.pt")
    with pytest.raises(InputError, match="received a dict with 0, 1"):
        read_state_dict(tmp_path / "net.pt")


def test_a_model_of_another_family_has_no_prefix():
    with pytest.raises(InputError, match=r"missing: .*unknown: w"):
        load_torch_state_dict(CARNet18(input_shape=(47, 47, 3)), {"w": np.zeros(3)})
