import numpy as np
import pytest

from keras_lite.published.contradictions import contradictions

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def paragraphs():
    return dict(contradictions())


def test_carnets_model_size_is_an_estimate_of_memory(paragraphs, golden):
    """Input, weights, and the outputs of convolutions and batch norms forward and backward, 4 bytes each."""
    sizes = {}
    for name in ("carnet_resnet18", "carnet"):
        meta = golden(name)[0]
        outputs = sum(
            int(np.prod(shape)) for _, kind, shape, *_ in meta["execution"] if kind in ("Conv2d", "BatchNorm2d")
        )
        sizes[name] = 4e-6 * (3 * 244 * 244 + meta["params"] + 2 * outputs)
    assert round(sizes["carnet_resnet18"]) == 618
    assert round(sizes["carnet"]) == 360
    text = paragraphs["CARNet's model size, smaller by 94.2%"]
    assert all(f"{size:.1f} MB" in text for size in sizes.values())
    assert "That would be 41.7%" in text  # 258 of 618


def test_figures_from_the_tables(paragraphs):
    assert "a lead of 7.48 points" in paragraphs["ResNet18 at 88.56% on CIFAR-10"]
    assert "at 74.1%, is even, against the second it loses 1.9 points" in paragraphs["GhostNet has two baselines"]
    ablation = paragraphs["The ablation's combination is not always its best"]
    assert "GhostNet original 76.0% (both: 74.1%), GhostNet stem 74.2% (both: 74.1%), ShuffleNet-v2 stem" in ablation
    latency = paragraphs["On a CPU the faster networks are slower"]
    # 9.0 / 8.5, 9.3 / 8.7, 11.7 / 11.4, 7.4 / 6.2
    assert "MobileNetv3-large 1.06, Parc-MobileNet-v2 1.07, GhostNet 1.03, ShuffleNet-v2 1.19" in latency
    assert "GhostNet 0.73" in latency  # 26.8 / 36.6


def test_paragraphs_are_complete(paragraphs):
    for title, text in paragraphs.items():
        assert text.endswith("."), title
        assert "{" not in text
        assert "\n" not in text
