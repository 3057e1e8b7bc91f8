import keras
import numpy as np
import pytest

from keras_lite.applications import CifarResNet, MobileNetV3Small, ShuffleNetV2
from keras_lite.checkpoints import warm_start
from keras_lite.errors import InputError
from keras_lite.graph import flatten

pytestmark = pytest.mark.slow_elsewhere


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.weights)


def test_hybrid_and_padding_free_from_plain(capsys):
    plain = MobileNetV3Small(input_shape=(64, 64, 3))
    plain.get_layer("stem_batch_norm").gamma.assign(np.full(16, 0.5, "float32"))
    model = MobileNetV3Small(input_shape=(64, 64, 3), stem="hybrid", downsampling="padding_free", classes=7)
    result = warm_start(model, plain, verbose=1)
    # The stem's two new convolutions with their batch norms, and the classifier.
    assert result.anew == [
        "stem_depthwise",
        "stem_depthwise_batch_norm",
        "stem_fuse",
        "stem_fuse_batch_norm",
        "predictions",
    ]
    assert result.parameters_anew == 9 * 16 + 4 * 16 + 32 * 16 + 4 * 16 + 1024 * 7 + 7
    assert result.parameters_taken == parameters(model) - result.parameters_anew
    assert capsys.readouterr().out == f"{result}\n"
    assert f"5 layers with {result.parameters_anew:,} start anew: stem_depthwise, " in str(result)
    flat = flatten(model)
    for layer in flatten(plain).layers:
        if layer.weights and layer.name.startswith(("block", "last", "hidden", "stem_convolution")):
            for found, expected in zip(flat.get_layer(layer.name).weights, layer.weights, strict=True):
                np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(flat.get_layer("stem_convolution_batch_norm").gamma, np.full(16, 0.5))


@pytest.mark.tensorflow_only
def test_from_a_file_to_a_flattened_network(tmp_path):
    plain = CifarResNet(8, classes=7, input_shape=(16, 16, 3))
    plain.save(tmp_path / "plain.keras")
    model = flatten(CifarResNet(8, classes=7, input_shape=(16, 16, 3), stem="hybrid"))
    result = warm_start(model, tmp_path / "plain.keras")
    assert all("stem_depthwise" in name or "stem_fuse" in name for name in result.anew)
    assert {"hybrid_stem_convolution", "hybrid_stem_convolution_batch_norm", "predictions"} <= set(result.taken)


@pytest.mark.tensorflow_only
def test_nothing_in_common(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")], name="other")
    model = ShuffleNetV2(alpha=0.5, input_shape=(32, 32, 3), classes=3, include_top=False)
    with pytest.raises(InputError, match="a source with layers of shufflenet_v2, received other, which has none"):
        warm_start(model, other)
    with pytest.raises(InputError, match=r"absent\.keras"):
        warm_start(model, tmp_path / "absent.keras")
