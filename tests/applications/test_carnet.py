import keras
import numpy as np
import pytest

import keras_lite
from keras_lite.applications import CARNet18, ResNet18
from keras_lite.checkpoints import load_torch_state_dict
from keras_lite.errors import InputError
from keras_lite.graph import flatten

GOLDEN = [("carnet", CARNet18), ("carnet_resnet18", ResNet18)]


@pytest.mark.parametrize(("name", "build"), GOLDEN)
def test_golden_logits(name, build, golden):
    _, weights, images, logits = golden(name)
    model = build(classifier_activation=None)
    load_torch_state_dict(model, weights)
    found = model.predict(images, verbose=0)
    assert np.abs(found - logits).max() < 1e-4 * np.abs(logits).max()


def test_golden_layers(golden):
    """Each layer's output has the reference's mean and standard deviation, so none stands in another's place."""
    meta, weights, images, _ = golden("carnet")
    model = flatten(CARNet18(classifier_activation=None))
    load_torch_state_dict(model, weights)
    compared = [
        layer
        for layer in model.layers
        if layer.weights or isinstance(layer, keras.layers.GlobalAveragePooling2D)
        if layer.name != "average_pool"
    ]
    outputs = keras.Model(model.inputs[0], [layer.output for layer in compared]).predict(images, verbose=0)
    assert len(outputs) == len(meta["execution"])
    for layer, output, (reference, _, shape, mean, std) in zip(compared, outputs, meta["execution"], strict=True):
        assert tuple(output.shape[1:]) == (*shape[1:], shape[0]), f"{layer.name} against {reference}"
        np.testing.assert_allclose([output.mean(), output.std(ddof=1)], [mean, std], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [CARNet18, ResNet18])
def test_keras_arguments(build, tmp_path):
    small = build(input_shape=(64, 48, 3), classes=7)
    assert small.output_shape == (None, 7)
    images = np.random.default_rng(0).normal(size=(3, 64, 48, 3)).astype("float32")
    np.testing.assert_allclose(small.predict(images, verbose=0).sum(-1), 1, rtol=1e-5)
    channels = 512
    assert build(include_top=False, input_shape=(64, 64, 3)).output_shape[-1] == channels
    assert build(include_top=False, input_shape=(None, None, 3), pooling="avg").output_shape == (None, channels)
    assert build(include_top=False, input_shape=(64, 64, 3), pooling="max").output_shape == (None, channels)
    source = keras.Input((64, 64, 3))
    assert build(input_tensor=source, classes=5).inputs[0] is source
    scaled = keras.layers.Rescaling(1 / 255)(source)
    model = build(input_tensor=scaled, classes=5, name="mine")
    assert model.name == "mine"
    assert model.inputs[0] is source

    path = tmp_path / "model.keras"
    small.save(path)
    loaded = keras_lite.checkpoints.load_model(path)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), small.predict(images, verbose=0))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.filterwarnings("error::UserWarning")  # of layers that Keras misses
def test_weights_from_a_file(suffix, tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 48, 48, 3)).astype("float32")
    trained = CARNet18(input_shape=(48, 48, 3), classes=7)
    path = tmp_path / f"trained{suffix}"
    trained.save(path) if suffix == ".keras" else trained.save_weights(path)
    same = CARNet18(input_shape=(48, 48, 3), classes=7, weights=path)
    np.testing.assert_array_equal(same.predict(images, verbose=0), trained.predict(images, verbose=0))

    with pytest.raises(InputError, match="load_classifier=False"):
        CARNet18(input_shape=(48, 48, 3), classes=5, weights=path)
    other = CARNet18(input_shape=(48, 48, 3), classes=5, weights=path, load_classifier=False)
    headless = CARNet18(input_shape=(48, 48, 3), include_top=False, pooling="avg", weights=path)
    features = [keras.Model(m.inputs[0], m.get_layer("average_pool").output) for m in (trained, other, headless)]
    expected, *found = (m.predict(images, verbose=0) for m in features)
    for values in found:
        np.testing.assert_array_equal(values, expected)

    with pytest.raises(InputError, match="Expected weights of resnet18"):
        ResNet18(input_shape=(48, 48, 3), classes=7, weights=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (46, 60, 3)}, "at least 47 x 47 pixels for CARNet18.*not padded"),
        ({"input_shape": (64, 64)}, r"\(height, width, channels\), received \(64, 64\)"),
        ({"weights": "imagenet"}, "a network with published ImageNet weights .* received carnet18"),
        ({"weights": "weights.bin"}, r"None, .*'imagenet'.*, or a file .* received 'weights.bin'"),
        ({"weights": "absent.weights.h5"}, "absent.weights.h5', which does not exist"),
        ({"classes": 0}, "classes to be a positive integer, received 0"),
        ({"include_top": False, "pooling": "mean"}, "pooling to be None, 'avg' or 'max', received 'mean'"),
        ({"input_tensor": np.zeros((1, 64, 64, 3))}, "input_tensor to be a Keras tensor, received ndarray"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        CARNet18(**arguments)


def test_smallest_input():
    assert CARNet18(input_shape=(47, 47, 3), include_top=False).output_shape == (None, 1, 1, 512)


def test_channels_first_is_refused_with_the_reason():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match=r"received channels_first.*TFLite"):
            CARNet18()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_preprocess_input():
    pixels = np.array([[[0, 127.5, 255]]], "float32")
    found = keras_lite.applications.carnet.preprocess_input(pixels)
    np.testing.assert_allclose(found[0, 0], [-0.485 / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5)


def test_registry():
    assert {"carnet18", "ghostnet", "resnet18"} <= set(keras_lite.applications.list_models())
    assert keras_lite.applications.list_models("*car*") == ["carnet18"]
    assert keras_lite.applications.create("carnet18", classes=3, input_shape=(48, 48, 3)).output_shape == (None, 3)
    with pytest.raises(InputError, match=r"carnet18, .*; received 'vgg16'"):
        keras_lite.applications.create("vgg16")


@pytest.mark.parametrize("build", [CARNet18, ResNet18])
def test_batch_norm_is_pytorchs(build):
    """Epsilon 1e-5, and a tenth of each batch's moments goes into the running ones."""
    layers = [x for x in flatten(build()).layers if isinstance(x, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in layers} == {(1e-5, 0.9)}
    assert len(layers) == {"CARNet18": 9, "ResNet18": 17}[build.__name__]
