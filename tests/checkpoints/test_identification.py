"""A file of weights tells its network, and a refusal which one here comes nearest."""

import dataclasses

import keras
import numpy as np
import pytest
import torch
import torch_networks

from keras_lite import applications
from keras_lite.checkpoints import load_checkpoint, load_model, load_torch_state_dict, nearest, to_torch_state_dict
from keras_lite.cli import convert
from keras_lite.data import read_model_info
from keras_lite.errors import InputError
from keras_lite.pipelines.finetune import FinetuneOptions, recipe_of

pytestmark = pytest.mark.tensorflow_only

NETWORKS = {
    "imagenet_resnet": {"depth": 10, "variant": "torchvision", "classes": 3},
    "imagenet_preresnet": {"depth": 10, "classes": 4},
    "cifar_resnet": {"depth": 8, "classes": 7, "convolution": "bsconv_u"},
    "cifar_preresnet": {"depth": 8, "classes": 7},
    "wide_resnet": {"depth": 10, "width": 2, "classes": 7},
    "mobilenet_v1": {"alpha": 0.25, "classes": 9},
    "mobilenet_v2": {"alpha": 0.5, "classes": 9},
    "mobilenet_v3_large": {"classes": 2},
    "mobilenet_v3_small": {"classes": 2},
    "bsconv_mobilenet_v3_small": {"alpha": 0.5, "classes": 9},
    "bsconv_mobilenet_v3_large": {"alpha": 0.35, "classes": 9},
    "shufflenet_v2": {"alpha": 0.5, "classes": 9},
    "ghostnet": {"alpha": 0.5, "classes": 9},
    "parc_mobilenet_v2": {"classes": 11},
    "efficient_resnet": {"blocks": (1, 2), "channels": 16, "classes": 3},
    "carnet18": {"classes": 6},
    "resnet18": {"classes": 6},
}


# Told from each other by the same rules as the others.
ALIKE = ("imagenet_preresnet", "cifar_preresnet", "wide_resnet", "mobilenet_v3_large", "bsconv_mobilenet_v3_large",
         "ghostnet", "parc_mobilenet_v2", "resnet18")  # fmt: skip


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in NETWORKS]
)
def test_a_file_tells_its_network(network):
    options = NETWORKS[network]
    state_dict = to_torch_state_dict(applications.create(network, **options))
    candidate = nearest({f"model.{name}": value for name, value in state_dict.items()})
    assert (candidate.network, candidate.fits) == (network, True)
    assert options.items() <= candidate.options.items() | {("variant", "bsconv")}


def resnet(classifier):
    network = torch_networks.make("resnet18", 32)
    torch.manual_seed(3)
    network.fc = classifier
    return network.eval()


def images():
    return np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")


@pytest.mark.parametrize(
    "kind", ["one in a sequence", pytest.param("two", marks=pytest.mark.slow), "two with dropout", "three"]
)
def test_linear_layers_in_sequence_are_one(kind, tmp_path, capsys, recwarn):
    nn = torch.nn
    classifier = {
        "one in a sequence": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 4)),
        "two": lambda: nn.Sequential(nn.Linear(512, 32), nn.Linear(32, 4)),
        "two with dropout": lambda: nn.Sequential(
            nn.Dropout(0.6), nn.Linear(512, 32), nn.Dropout(0.6), nn.Linear(32, 4)
        ),
        "three": lambda: nn.Sequential(nn.Linear(512, 16), nn.Linear(16, 8), nn.Linear(8, 4)),
    }[kind]()
    network = resnet(classifier)
    torch.save({f"layers.{name}": value for name, value in network.state_dict().items()}, tmp_path / "net.pth")
    model = load_model(tmp_path / "net.pth", verbose=1)
    assert "imagenet_resnet with depth=18, variant=torchvision, classes=4" in capsys.readouterr().out
    said = "\n".join(str(each.message) for each in recwarn)
    assert ("were taken as one linear layer" in said) == (kind != "one in a sequence")
    assert ("which the file does not tell" in said) == (kind == "two with dropout")
    expected = torch_networks.logits(network, images())
    found = model.predict(images(), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_a_head_that_does_more_is_not_merged(tmp_path):
    nn = torch.nn
    network = resnet(nn.Sequential(nn.Linear(512, 32), nn.BatchNorm1d(32), nn.Linear(32, 4)))
    torch.save(network.state_dict(), tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"missing: fc.bias, fc.weight; unknown: fc.0.bias"):
        load_checkpoint(applications.create("imagenet_resnet", variant="torchvision", classes=4), tmp_path / "net.pth")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "checkpoint.pth.tar"
    torch.save({"state_dict": resnet(torch.nn.Linear(512, 4)).state_dict()}, path)
    return path


@pytest.mark.parametrize("network", ["resnet18", "imagenet_resnet", "mobilenet_v3_small"])
def test_another_network_is_told_its_own(network, weights):
    model = applications.create(network, classes=4)
    with pytest.raises(InputError) as caught:
        load_checkpoint(model, weights)
    message = str(caught.value)
    assert "of another network" in message
    assert "imagenet_resnet --options depth=18,variant=torchvision,classes=4)" in message
    assert len(message) < 400 + len(str(weights))


def test_other_classes(weights):
    model = applications.create("imagenet_resnet", variant="torchvision", classes=9)
    with pytest.raises(InputError, match=r"misshapen: fc.bias .*load_classifier=False takes all.* --noload_classifier"):
        load_checkpoint(model, weights)
    load_checkpoint(model, weights, load_classifier=False)
    expected = torch.load(weights)["state_dict"]["conv1.weight"].numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_weights()[0], expected)


def test_networks_of_nobody(tmp_path):
    torch.save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"received 2 tensors \(weight, bias, ...\) of another. None comes near"):
        load_model(tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"No network here has such names and shapes"):
        load_checkpoint(applications.create("resnet18"), tmp_path / "net.pth")
    torch.save(torch_networks.torchvision_models().resnet50().state_dict(), tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"received 320 tensors .* of another"):
        load_model(tmp_path / "net.pth")


def test_the_tool_from_a_file_to_a_described_model(tmp_path, run_tool, assert_one_line_error):
    """With what it writes, the other tools need nothing else."""
    small = applications.create("efficient_resnet", blocks=(1, 1), channels=16, classes=4)
    weights = tmp_path / "last.ckpt"
    torch.save({name: torch.tensor(value) for name, value in to_torch_state_dict(small).items()}, weights)
    flags = ("--class_names=a,b,c,d", "--image_size=64", "--mean=0,0,0", "--std=1,1,1")
    target = tmp_path / "net.keras"
    finished = run_tool(convert, *flags, weights, target)
    assert finished.returncode == 0, finished.stderr
    assert "efficient_resnet with blocks=(1,1), channels=16, classes=4" in finished.stdout
    info = read_model_info(target)
    assert (info.class_names, info.output) == (["a", "b", "c", "d"], "logits")
    assert dataclasses.astuple(info.preprocessing)[:3] == ((64, 64), (0, 0, 0), (1, 1, 1))
    assert_one_line_error(run_tool(convert, "--class_names=a,b", "--image_size=64", weights, target), "4 class names")
    network = ("--model=efficient_resnet", "--options=blocks=(1,1),channels=16,classes=6")
    assert_one_line_error(run_tool(convert, *network, weights, target), "--noload_classifier")
    finished = run_tool(convert, *network, "--noload_classifier", weights, target)
    assert finished.returncode == 0, finished.stderr
    assert load_model(target).output_shape == (None, 6)


def test_finetune_leaves_the_classifier_out(weights):
    options = {"variant": "torchvision"}
    recipe = recipe_of(FinetuneOptions("photos", model="imagenet_resnet", options=options, weights=str(weights)))
    model = recipe.models["imagenet_resnet"].build((64, 64), 11)
    assert model.output_shape == (None, 11)
    expected = torch.load(weights)["state_dict"]["conv1.weight"].numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_weights()[0], expected)
    recipe = recipe_of(FinetuneOptions("photos", model="resnet18", weights=str(weights)))
    with pytest.raises(InputError, match=r"--model imagenet_resnet --options depth=18,variant=torchvision\)"):
        recipe.models["resnet18"].build((64, 64), 11)


def test_nothing_is_loaded_into_another_network(weights):
    model = applications.create("resnet18", classes=4)
    before = [array.copy() for array in model.get_weights()]
    with pytest.raises(InputError):
        load_torch_state_dict(model, torch.load(weights)["state_dict"])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("names", "channels"), [("cat,dog", 3), ("dog", 1)])
def test_the_tool_describes_a_model_as_it_is(names, channels, tmp_path, run_tool, assert_one_line_error):
    inputs = keras.Input((12, 12, channels))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs / 255.0))
    keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(x)).save(tmp_path / "old.keras")
    flags = (f"--class_names={names}", "--image_size=12")
    finished = run_tool(convert, *flags, tmp_path / "old.keras", tmp_path / "new.keras")
    assert finished.returncode == 0, finished.stderr
    info = read_model_info(tmp_path / "new.keras")
    assert info.output == "sigmoid"
    assert (info.preprocessing.mean, info.preprocessing.std) == ((0.0,) * channels, (1 / 255,) * channels)
    wrong = (tmp_path / "old.keras", tmp_path / "wrong.keras")
    assert_one_line_error(run_tool(convert, "--class_names=a,b,c", "--image_size=12", *wrong), "one name (the label)")
    assert_one_line_error(
        run_tool(convert, f"--class_names={names}", "--image_size=9", *wrong), f"(12, 12, {channels})"
    )
    assert not list(tmp_path.glob("wrong*"))
