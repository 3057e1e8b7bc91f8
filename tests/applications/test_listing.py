"""Which networks and weights are found by which filters."""

import dataclasses

import pytest

from keras_lite.applications import kept_weights, list_models, list_weights

pytestmark = pytest.mark.tensorflow_only

KEPT = {
    "CifarResNet(20)": "birds",
    "CifarResNet(20, stem='hybrid')": "birds",
    "CARNet18()": "trees",
    "GhostNet(alpha=0.5)": "trees",
}


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    entry = kept_weights.list_weights()[0]
    entries = tuple(dataclasses.replace(entry, network=network, name=name) for network, name in KEPT.items())
    monkeypatch.setattr(kept_weights, "_index", lambda: entries)


# torchvision and timm publish these; the last of them has other weights, too.
IMAGENET = {"imagenet_resnet", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "shufflenet_v2", "ghostnet"}


@pytest.mark.parametrize(
    ("filters", "networks"),
    [
        ({"pattern": "*v3_small"}, {"bsconv_mobilenet_v3_small", "mobilenet_v3_small"}),
        ({"family": "mobilenet_v3"}, {"mobilenet_v3_large", "mobilenet_v3_small"}),
        ({"family": "carnet", "pattern": "resnet*"}, set()),
        ({"weights": "imagenet"}, IMAGENET),
        ({"weights": "imagenet", "pattern": "mobilenet*"}, {name for name in IMAGENET if name.startswith("mobile")}),
        ({"weights": "trees"}, {"carnet18", "ghostnet"}),
        ({"weights": "*"}, IMAGENET | {"carnet18", "cifar_resnet"}),
        ({"weights": "b*", "family": "*resnet"}, {"cifar_resnet"}),
    ],
)
def test_list_models(filters, networks):
    assert list_models(**filters) == sorted(networks)


@pytest.mark.parametrize(
    ("filters", "calls"),
    [
        ({}, list(KEPT)),
        ({"network": "cifar_resnet"}, ["CifarResNet(20)", "CifarResNet(20, stem='hybrid')"]),
        ({"name": "trees"}, ["CARNet18()", "GhostNet(alpha=0.5)"]),
        ({"network": "*net", "name": "trees"}, ["GhostNet(alpha=0.5)"]),
        ({"network": "cifar_resnet", "name": "trees"}, []),
    ],
)
def test_list_weights(filters, calls):
    assert [kept.network for kept in list_weights(**filters)] == calls
