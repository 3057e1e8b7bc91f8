import pickle

import keras
import numpy as np
import pytest

from keras_lite import checkpoints
from keras_lite.applications import CifarResNet, EfficientResNet
from keras_lite.checkpoints.torch_files import read_state_dict, write_state_dict
from keras_lite.cli import convert
from keras_lite.errors import InputError

pytestmark = pytest.mark.slow_elsewhere

OPTIONS = {"depth": 8, "classes": 7, "convolution": "bsconv_u", "input_shape": (16, 16, 3)}
FLAGS = ("--model=cifar_resnet", "--options=depth=8,classes=7,convolution=bsconv_u,input_shape=(16,16,3)")


@pytest.fixture(scope="module")
def model():
    model = CifarResNet(**OPTIONS)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, size=w.shape).astype("float32") for w in model.get_weights()])
    return model


def require(ending):
    pytest.importorskip("safetensors" if ending == ".safetensors" else "torch")


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors"])
def test_files_keep_all(ending, model, tmp_path):
    require(ending)
    state_dict = checkpoints.to_torch_state_dict(model)
    write_state_dict(tmp_path / f"net{ending}", state_dict)
    assert_same(read_state_dict(tmp_path / f"net{ending}"), state_dict)
    assert [path.name for path in tmp_path.iterdir()] == [f"net{ending}"]


def as_torch_network(state_dict):
    """Make a PyTorch network of the modules that a state dict's names tell of."""
    from torch import nn

    root = nn.Module()
    for name, values in state_dict.items():
        *parents, kind, parameter = name.split(".")
        if parameter != "weight":
            continue
        module = root
        for parent in parents:
            if not hasattr(module, parent):
                module.add_module(parent, nn.Module())
            module = getattr(module, parent)
        prefix = name.removesuffix("weight")
        bias = f"{prefix}bias" in state_dict
        if values.ndim == 1:
            made = nn.BatchNorm2d(len(values))
        elif values.ndim == 2:
            made = nn.Linear(values.shape[1], values.shape[0], bias=bias)
        else:
            groups = values.shape[0] if values.shape[1] == 1 else 1
            made = nn.Conv2d(values.shape[1] * groups, values.shape[0], values.shape[2:], groups=groups, bias=bias)
        module.add_module(kind, made)
    return root


@pytest.mark.parametrize("build", [lambda: CifarResNet(**OPTIONS), lambda: EfficientResNet(blocks=(1, 1), channels=16)])
def test_a_strict_load_into_pytorch_works(build):
    torch = pytest.importorskip("torch")
    state_dict = checkpoints.to_torch_state_dict(build())
    network = as_torch_network(state_dict)
    network.load_state_dict({name: torch.tensor(values) for name, values in state_dict.items()}, strict=True)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("target", ["back.keras", "back.weights.h5"])
def test_convert_there_and_back(ending, target, model, tmp_path, run_tool):
    require(ending)
    model.save(tmp_path / "net.keras")
    finished = run_tool(convert, tmp_path / "net.keras", tmp_path / f"net{ending}")
    assert finished.returncode == 0, finished.stderr
    finished = run_tool(convert, *FLAGS, tmp_path / f"net{ending}", tmp_path / target)
    assert finished.returncode == 0, finished.stderr
    assert "cifar_resnet8" in finished.stdout
    back = CifarResNet(**OPTIONS, weights=tmp_path / target)
    for found, expected in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("wrapper", ["state_dict", "net"])
def test_what_training_scripts_save_around_it(wrapper, model, tmp_path):
    torch = pytest.importorskip("torch")
    state_dict = checkpoints.to_torch_state_dict(model)
    tensors = {f"module.{name}": torch.tensor(values) for name, values in state_dict.items()}
    torch.save({"epoch": 3, wrapper: tensors}, tmp_path / "net.pt")
    other = CifarResNet(**OPTIONS)
    checkpoints.load_torch_state_dict(other, read_state_dict(tmp_path / "net.pt"))
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_half_precision_is_widened(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.tensor([1.5, -2.0], dtype=torch.bfloat16)}, tmp_path / "net.pt")
    found = read_state_dict(tmp_path / "net.pt")["a.weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.5, -2.0])


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_never_run(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": Payload(tmp_path / "ran")}, tmp_path / "net.pt")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    for name in ("net.pt", "old.pth"):
        with pytest.raises(InputError, match=rf"tensors alone in .*{name}"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "accuracy": 0.5}, "received a dict with epoch, accuracy"),
        ([1, 2], "received list"),
        ({}, "received a dict with nothing"),
    ],
)
def test_files_of_other_content(content, message, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(InputError, match=message):
        read_state_dict(tmp_path / "net.pt")


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"PK\x03\x04 half a file"])
def test_broken_files(ending, content, tmp_path):
    require(ending)
    (tmp_path / f"net{ending}").write_bytes(content)
    with pytest.raises(InputError, match=f"net{ending}"):
        read_state_dict(tmp_path / f"net{ending}")


def test_errors_of_the_tool(model, tmp_path, run_tool, assert_one_line_error):
    pytest.importorskip("torch")
    source, target = tmp_path / "net.pt", tmp_path / "net.keras"
    write_state_dict(source, checkpoints.to_torch_state_dict(model))
    absent = tmp_path / "absent.pt"
    assert_one_line_error(run_tool(convert, *FLAGS, source), "Expected FROM and TO, received 1")
    assert_one_line_error(run_tool(convert, *FLAGS, absent, target), absent, "does not exist")
    assert_one_line_error(run_tool(convert, *FLAGS, source, tmp_path / "net.txt"), "net.txt", ".weights.h5")
    assert_one_line_error(run_tool(convert, "--entry=ema", source, target), "--model")
    assert_one_line_error(run_tool(convert, "--model=vgg", source, target), "'vgg'")
    assert_one_line_error(run_tool(convert, FLAGS[0], "--options=depth", source, target), "'depth'")
    assert_one_line_error(run_tool(convert, FLAGS[0], "--options=depht=8", source, target), "CifarResNet", "depht")
    other = run_tool(convert, FLAGS[0], "--options=depth=8", source, target)
    assert_one_line_error(other, "--model cifar_resnet --options depth=8,convolution=bsconv_u,classes=7")
    assert not target.exists()
    keras_file = tmp_path / "model.keras"
    model.save(keras_file)
    assert_one_line_error(run_tool(convert, keras_file, tmp_path / "net.onnx"), "net.onnx", ".safetensors")


def test_convert_for_a_published_row(tmp_path, run_tool):
    pytest.importorskip("torch")
    model = CifarResNet(20, stem="hybrid", downsampling="padding_free")
    write_state_dict(tmp_path / "net.pt", checkpoints.to_torch_state_dict(model))
    flags = ("--model=cifar100_first/resnet20/ours", "--options=classifier_activation=None")
    finished = run_tool(convert, *flags, tmp_path / "net.pt", tmp_path / "net.keras")
    assert finished.returncode == 0, finished.stderr
    back = checkpoints.load_model(tmp_path / "net.keras")
    assert back.get_layer("predictions").activation is keras.activations.linear
    np.testing.assert_array_equal(back.get_layer("predictions").kernel, model.get_layer("predictions").kernel)


def test_only_networks_of_the_families(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")], name="other")
    with pytest.raises(InputError, match=r"a model from keras_lite.applications, received other"):
        checkpoints.to_torch_state_dict(other)
