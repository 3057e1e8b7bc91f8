import keras
import numpy as np
import pytest

from keras_lite.applications import CifarResNet, WideResNet
from keras_lite.checkpoints import to_torch_state_dict
from keras_lite.errors import InputError
from keras_lite.graph import flatten, replace_convolutions
from keras_lite.layers import BSConvS, BSConvU

pytestmark = pytest.mark.slow_elsewhere


def small_model():
    inputs = keras.Input((16, 18, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(8, 1, name="pointwise")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    x = keras.layers.Conv2D(12, 5, dilation_rate=1, padding="same", use_bias=False, name="second")(x)
    x = keras.layers.Conv2D(6, (1, 3), name="wide")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(x), name="small")


def test_which_layers_and_how():
    model = small_model()
    before = model.get_weights()
    new, report = replace_convolutions(model, "bsconv_u")
    assert report.replaced == ("first", "second")
    assert isinstance(new.get_layer("first"), BSConvU)
    assert new.get_layer("first").use_bias
    assert not new.get_layer("second").use_bias
    assert new.get_layer("first_activation").activation is keras.activations.relu
    for name in ("first", "pointwise", "depthwise", "grouped", "second", "wide", "pool"):
        assert new.get_layer(name).output.shape == model.get_layer(name).output.shape
    for name in ("pointwise", "depthwise", "grouped", "wide"):
        for old, copied in zip(model.get_layer(name).get_weights(), new.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, copied)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    images = np.random.default_rng(0).normal(size=(2, 16, 18, 3)).astype("float32")
    found, expected = (m.predict(images, verbose=0) for m in (flatten(new), new))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_report_counts_by_hand():
    _, report = replace_convolutions(small_model(), "bsconv_u", kernel_sizes=(3,))
    assert report.replaced == ("first",)
    # 3x3x3 -> 8 with bias on 8 x 9 positions; 1x1 on 16 x 18, then depthwise 3x3 with bias on 8 x 9.
    assert report.before.parameters - report.after.parameters == (27 * 8 + 8) - (3 * 8 + 9 * 8 + 8)
    assert report.before.macs - report.after.macs == 27 * 8 * 72 - (3 * 8 * 288 + 9 * 8 * 72)
    first, last = str(report).splitlines()[2], str(report).splitlines()[-1]
    assert first.split() == ["first", "224", "104", "15,552", "12,096"]
    assert last.split()[-4:] == [
        f"{n:,}" for n in (report.before.parameters, report.after.parameters, report.before.macs, report.after.macs)
    ]


def test_options_reach_the_layers():
    new, _ = replace_convolutions(small_model(), "bsconv_s", ratio=1 / 2, alpha=0.3, batch_norm=False)
    layer = new.get_layer("second")
    assert isinstance(layer, BSConvS)
    assert (layer.ratio, layer.alpha, layer.batch_norm) == (1 / 2, 0.3, False)
    assert len(new.losses) == 2


@pytest.mark.parametrize("convolution", ["bsconv_u", "bsconv_s"])
@pytest.mark.parametrize(
    ("build", "arguments"),
    [(CifarResNet, {"depth": 8}), (WideResNet, {"depth": 10, "width": 2, "downsampling": "padding_free"})],
)
def test_gives_what_the_family_builds(build, arguments, convolution):
    """Replacing the convolutions of a plain network is what the published networks are made by."""
    new, _ = replace_convolutions(build(**arguments), convolution)
    expected = to_torch_state_dict(build(**arguments, convolution=convolution))
    assert {k: v.shape for k, v in to_torch_state_dict(new).items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("build", [keras.applications.VGG16, keras.applications.ResNet50])
def test_keras_applications(build):
    model = build(weights=None, input_shape=(32, 32, 3), include_top=False)
    new, report = replace_convolutions(model, "bsconv_u")
    kernels = [layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(report.replaced) == kernels.count((3, 3)) + kernels.count((5, 5))
    assert new.output_shape == model.output_shape
    assert report.after.parameters < report.before.parameters
    assert report.before.parameters == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert report.after.parameters == sum(int(np.prod(v.shape)) for v in new.trainable_variables)


def test_wrong_input():
    with pytest.raises(InputError, match=r"one of .*received 'standard'"):
        replace_convolutions(small_model(), "standard")
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="dense")
    with pytest.raises(InputError, match="ungrouped 3x3 or 5x5 convolutions, received dense"):
        replace_convolutions(dense, "bsconv_u")
    opened = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(InputError, match="Expected input_shape"):
        replace_convolutions(opened, "bsconv_u")
    _, report = replace_convolutions(opened, "bsconv_u", input_shape=(5, 5, 3))
    assert report.before.macs == 27 * 4 * 9
