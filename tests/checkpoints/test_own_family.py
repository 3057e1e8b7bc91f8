"""A family that a user registers is known to all that knows the families of this package."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch

from keras_lite import applications
from keras_lite.checkpoints import (
    Call,
    Family,
    family_of,
    load_checkpoint,
    load_model,
    nearest,
    read_state_dict,
    register,
    registry,
    to_torch_state_dict,
)
from keras_lite.errors import InputError
from keras_lite.profiling import profile

pytestmark = pytest.mark.tensorflow_only


class Ladder(torch.nn.Module):
    """A stem, rungs of convolutions, the mean of each channel, a 1x1 convolution and a linear layer."""

    def __init__(self, rungs, filters, classes):
        super().__init__()
        self.entry = torch.nn.Conv2d(3, filters, 3, padding=1)
        self.rungs = torch.nn.ModuleList(torch.nn.Conv2d(filters, filters, 1, bias=False) for _ in range(rungs))
        self.norm = torch.nn.BatchNorm2d(filters)
        self.squeeze = torch.nn.Conv2d(filters, 6, 1)
        self.exit = torch.nn.Linear(6, classes)

    def forward(self, x):
        x = self.entry(x)
        for rung in self.rungs:
            x = rung(x).relu()
        x = self.norm(x).mean((2, 3), keepdim=True)
        return self.exit(self.squeeze(x).relu().flatten(1))


def ladder_net(input_shape=(8, 8, 3), classes=10, classifier_activation="softmax", *, rungs=2, filters=4):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(filters, 3, padding="same", name="entry_convolution")(inputs)
    for rung in range(1, rungs + 1):
        x = keras.layers.Conv2D(filters, 1, use_bias=False, activation="relu", name=f"rung{rung}_convolution")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-5, name="rungs_norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="average_pool")(x)
    x = keras.layers.Dense(6, "relu", name="hidden")(x)
    outputs = keras.layers.Dense(classes, classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name="ladder_net")


def guess(names):
    if names.shape("entry.weight"):
        yield Call("ladder_net", {"rungs": names.count(r"rungs\.(\d+)\."), "filters": names.filters("entry.weight")})


LADDERS = Family(
    "ladders",
    {"ladder_net": ladder_net},
    {
        "entry_convolution": "entry",
        r"rung(?P<rung>\d+)_convolution": "rungs.{rung_from_0}",
        "rungs_norm": "norm",
        "hidden": "squeeze",
        "predictions": "exit",
    },
    torch_convolutions=("hidden",),
    guess=guess,
    unseen_by_thop="average_pool",
    member=Call("ladder_net", {"rungs": 1}),
)


@pytest.fixture(autouse=True)
def ladders(monkeypatch):
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    return register(LADDERS)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Ladder(3, 5, 7)
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    return network.eval()


def outputs(network, images):
    with torch.no_grad():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()


def test_a_file_is_recognized_and_outputs_as_in_pytorch(network, tmp_path, capsys):
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "ladder.ckpt")
    model = load_model(tmp_path / "ladder.ckpt", verbose=1)
    assert "ladder_net with rungs=3, filters=5, classes=7" in capsys.readouterr().out
    images = np.random.default_rng(0).normal(size=(2, 9, 11, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(images, verbose=0), outputs(network, images), rtol=0, atol=1e-5)


def test_weights_go_to_pytorch(network):
    model = ladder_net(classes=7, classifier_activation=None, rungs=3, filters=5)
    state_dict = to_torch_state_dict(model)
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state_dict.items()})
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(images, verbose=0), outputs(network, images), rtol=0, atol=1e-5)


def test_a_refusal_names_it(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "ladder.pth")
    found = nearest(read_state_dict(tmp_path / "ladder.pth"))
    assert (found.network, found.fits, found.size) == ("ladder_net", True, 11)
    with pytest.raises(
        InputError, match=r"It fits ladder_net with rungs=3, filters=5, classes=7 \(--model ladder_net "
    ):
        load_checkpoint(applications.create("ladder_net", classes=7), tmp_path / "ladder.pth")


def test_it_is_listed_built_and_profiled():
    assert applications.list_models(family="ladders") == ["ladder_net"]
    assert "ladder_net" not in applications.list_models(weights="*")
    model = applications.create("ladder_net", **LADDERS.member.options)
    assert family_of(model) == LADDERS
    found = profile(model)
    # 64 pixels: 3x3 and 1x1 convolution, one with bias; batch norm counts twice its input, the mean is not seen.
    macs = 64 * (27 * 4 + 4 * 4) + 4 * 6 + 6 * 10
    assert (found.macs, found.flops("thop")) == (macs, macs + 64 * 4 + 2 * 64 * 4)


def test_names_of_others_are_refused():
    with pytest.raises(InputError, match=r"a new name for a family, received 'carnet'"):
        register(dataclasses.replace(LADDERS, name="carnet"))
    with pytest.raises(InputError, match=r"the networks of steps, received 'carnet18', one of carnet\."):
        register(dataclasses.replace(LADDERS, name="steps", builders={"carnet18": ladder_net}))
    assert register(dataclasses.replace(LADDERS, unseen_by_thop=None)) in registry.families()
    assert LADDERS not in registry.families()


def test_files_are_recognized_where_only_checkpoints_were_imported(tmp_path, quick_environment):
    network = applications.EfficientResNet(blocks=(1,), channels=16, classes=3)
    torch.save({k: torch.tensor(v) for k, v in to_torch_state_dict(network).items()}, tmp_path / "net.pth")
    program = f"from keras_lite.checkpoints import load_model; load_model({str(tmp_path / 'net.pth')!r}, verbose=1)"
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=quick_environment)
    assert "net.pth: efficient_resnet with blocks=(1), channels=16, classes=3" in finished.stdout
