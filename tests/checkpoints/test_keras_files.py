"""Whole models from Keras files of any age; what Keras 2 outputs is the fact to compare with."""

import json
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from keras_lite.applications import EfficientResNet
from keras_lite.checkpoints import load_model
from keras_lite.cli import convert
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only
tf_keras = pytest.importorskip("tf_keras")
K = tf_keras.layers
SHAPE = (16, 16, 4)


def chain(*layers):
    """A classifier of layers one behind the other."""
    x = inputs = tf_keras.Input(SHAPE)
    for layer in layers:
        x = layer(x)
    return tf_keras.Model(inputs, K.Dense(3)(K.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x))


def branches():
    """Layers of one class and shape side by side, which a wrong order would swap."""
    inputs = tf_keras.Input(SHAPE)
    a, b = K.Conv2D(4, 3, padding="same")(inputs), K.Conv2D(4, 3, padding="same")(inputs)
    c = K.Conv2D(4, 3, padding="same")(a)
    x = K.Concatenate()([K.Add()([b, c]), K.Multiply()([a, b]), K.Maximum()([c, b]), K.Subtract()([a, b])])
    return tf_keras.Model(inputs, K.Dense(2, activation="softmax")(K.GlobalAveragePooling2D()(x)))


def nested():
    """As Teachable Machine nests a MobileNet, partly frozen."""
    inputs = tf_keras.Input(SHAPE)
    x = K.BatchNormalization()(K.Conv2D(8, 3, use_bias=False)(inputs))
    base = tf_keras.Model(inputs, K.ReLU(6.0)(K.BatchNormalization()(K.DepthwiseConv2D(3, use_bias=False)(x))))
    base.layers[1].trainable = base.layers[2].trainable = False
    features = tf_keras.Sequential([base, K.GlobalAveragePooling2D()])
    head = tf_keras.Sequential([K.Dense(6, activation="relu", input_shape=(8,)), K.Dense(3, activation="softmax")])
    model = tf_keras.Sequential([features, head])
    model.build((None, *SHAPE))
    model.compile("adam", "categorical_crossentropy")
    return model


MODELS = {
    "convolutions": lambda: chain(
        *(K.SeparableConv2D(6, 3), K.DepthwiseConv2D(3, depth_multiplier=2), K.Conv2DTranspose(3, 3, 2)),
        *(K.Conv2D(8, 3, groups=1, activation="relu"), K.BatchNormalization(scale=False), K.LayerNormalization()),
    ),
    "activations": lambda: chain(
        *(K.LeakyReLU(0.1), K.Conv2D(4, 3), K.PReLU(shared_axes=[1, 2]), K.ELU(0.5), K.Conv2D(4, 1, activation="gelu")),
        *(K.Activation("swish"), K.ReLU(max_value=6.0, threshold=0.1, negative_slope=0.2), K.Softmax()),
    ),
    "shapes": lambda: chain(
        *(K.ZeroPadding2D(1), K.MaxPooling2D(), K.AveragePooling2D(padding="same"), K.UpSampling2D()),
        *(K.Cropping2D(1), K.GlobalMaxPooling2D(keepdims=True), K.Flatten(), K.Reshape((2, 2)), K.Permute((2, 1))),
        K.Flatten(),
    ),
    "images": lambda: chain(
        *(K.Rescaling(1 / 127.5, -1), K.Resizing(8, 8), K.RandomFlip(), K.RandomRotation(0.1), K.Dropout(0.1)),
        *(K.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 1, 2]), K.SpatialDropout2D(0.1), K.CenterCrop(6, 6)),
    ),
    "sequences": lambda: chain(
        *(K.Reshape((16, 64)), K.LSTM(5, return_sequences=True), K.Bidirectional(K.GRU(3, return_sequences=True))),
        *(K.TimeDistributed(K.Dense(3)), K.Conv1D(3, 3), K.GlobalAveragePooling1D()),
    ),
    "half precision": lambda: chain(K.Conv2D(4, 3, dtype=tf_keras.mixed_precision.Policy("mixed_float16"))),
    "branches": branches,
    "nested": nested,
}


@pytest.fixture(scope="module")
def old(request):
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(1)
    model = MODELS[request.param]()
    rng = np.random.default_rng(2)
    weights = [rng.uniform(-0.3, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()]
    for index, layer_weights in enumerate(model.weights):
        if "variance" in layer_weights.name:
            weights[index] = np.abs(weights[index]) + 0.5
    model.set_weights(weights)
    images = rng.normal(size=(3, *SHAPE)).astype("float32")
    outputs = model.predict(images, verbose=0)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-4
    return model, images, outputs


def forms():
    """Each model as .h5 and .keras; what is in a folder does not depend on the layers, and takes long to write."""
    for name in MODELS:
        for form in (".h5", ".hdf5", ".keras", "folder"):
            quick = form in (".h5", ".keras") or name in ("branches", "nested")
            if (name, form) != ("sequences", "folder"):  # TensorFlow takes 20 seconds to write a recurrent one
                yield pytest.param(name, form, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("old", "form"), [*forms()], indirect=["old"])
def test_models_of_keras_2_output_alike(form, old, tmp_path):
    model, images, outputs = old
    path = tmp_path / ("model" if form == "folder" else f"model{form}")
    model.save(path, **({"save_format": "tf"} if form == "folder" else {}))
    found = load_model(path)
    assert isinstance(found, keras.Model)
    # With 16 bits of a number it matters in which order the backend adds.
    half = any(layer.compute_dtype == "float16" for layer in model.layers)
    close = {"rtol": 2e-3, "atol": 1e-3} if half else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(found.predict(images, verbose=0), outputs, **close)
    if form == ".h5":
        found.save(tmp_path / "new.keras")
        again = load_model(tmp_path / "new.keras").predict(images, verbose=0)
        np.testing.assert_allclose(again, outputs, **close)


@pytest.mark.parametrize("form", [".h5", ".keras", "folder"])
def test_what_a_normalization_has_seen_comes_along(form, tmp_path):
    images = np.random.default_rng(3).uniform(0, 255, (4, *SHAPE)).astype("float32")
    normalization = K.Normalization()
    normalization.adapt(images)
    model = chain(normalization)
    path = tmp_path / ("model" if form == "folder" else f"model{form}")
    model.save(path, **({"save_format": "tf"} if form == "folder" else {}))
    found = load_model(path).predict(images, verbose=0)
    np.testing.assert_allclose(found, model.predict(images, verbose=0), rtol=1e-4, atol=1e-6)


def test_a_file_of_keras_2_0(tmp_path):
    """Sequential models were lists then, without an input layer."""
    conv = {
        "filters": 2,
        "kernel_size": [3, 3],
        "batch_input_shape": [None, 8, 8, 3],
        "name": "a",
        "activation": "relu",
    }
    config = {
        "class_name": "Sequential",
        "config": [
            {"class_name": "Conv2D", "config": conv},
            {"class_name": "GlobalAveragePooling2D", "config": {"name": "b", "trainable": True}},
        ],
    }
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 3, 2)).astype("float32"), np.array([0.5, -0.5], "float32")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["keras_version"] = "2.0.5"
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"a", b"b"]
        weights.create_group("a").attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
        weights.create_group("b").attrs["weight_names"] = np.array([], "S1")
        weights["a/a/kernel:0"], weights["a/a/bias:0"] = kernel, bias
    image = rng.normal(size=(1, 8, 8, 3)).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), (0, 1))  # row, column, channel, 3, 3
    expected = np.maximum(np.einsum("rcahw,hwao->rco", windows, kernel) + bias, 0).mean((0, 1))
    np.testing.assert_allclose(load_model(tmp_path / "old.h5").predict(image, verbose=0)[0], expected, rtol=1e-4)


def _lambda():
    return chain(K.Lambda(lambda x: x * 2, name="twice"))


def _operation():
    inputs = tf_keras.Input(SHAPE)
    return tf_keras.Model(inputs, K.Dense(2)(K.Flatten()(inputs * 2 + 1)))


class Odd(K.ReLU):
    """A layer of somebody's own."""


REFUSED = {
    "code": (_lambda, "its Lambda layer 'twice' is Python code, which is not run"),
    "operation": (_operation, r"its operation (math.multiply|__operators__.add) is no layer"),
    "own layer": (lambda: chain(Odd()), "its layer .*Odd is not known here"),
    "another function": (
        lambda: chain(K.Conv2D(2, 3, activation="hard_sigmoid", name="gate")),
        "the hard_sigmoid of its layer 'gate' is another function than Keras 3's",
    ),
    "a layer that Keras 3 has not": (lambda: chain(K.ThresholdedReLU(0.2)), "its layer ThresholdedReLU is not known"),
}


@pytest.mark.parametrize("form", [".h5", ".keras", "folder"])
@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_is_named_and_nothing_run(name, form, tmp_path):
    make, message = REFUSED[name]
    path = tmp_path / ("model" if form == "folder" else f"model{form}")
    make().save(path, **({"save_format": "tf"} if form == "folder" else {}))
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert "received one of Keras 2" in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_lambda_of_keras_3_is_not_run(tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match="has a Lambda layer, whose Python code is not run"):
        load_model(tmp_path / "net.keras")


def test_the_reason_is_not_the_configuration(tmp_path):
    """An argument that no layer has is what is quoted, not the layer that has it."""
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)).save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"filters"', '"phyllters"')
    with pytest.raises(InputError, match=r"can't be loaded: .*filters") as caught:
        load_model(tmp_path / "net.h5")
    assert "kernel_initializer" not in str(caught.value)


def test_a_saved_model_without_layers(tmp_path):
    import tensorflow

    tensorflow.saved_model.save(tensorflow.Module(), str(tmp_path / "program"))
    with pytest.raises(InputError, match="a SavedModel without layers"):
        load_model(tmp_path / "program")
    with pytest.raises(InputError, match=r"without a saved_model.pb"):
        load_model(tmp_path)


def test_the_content_tells_not_the_ending(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"net{ending}")
        (tmp_path / f"net{ending}").rename(tmp_path / "downloaded")
        np.testing.assert_array_equal(load_model(tmp_path / "downloaded").get_weights()[0], model.get_weights()[0])


def test_the_tool_makes_models_of_keras_2_new(tmp_path, run_tool):
    old = chain(K.DepthwiseConv2D(3))
    old.save(tmp_path / "old.h5")
    finished = run_tool(convert, tmp_path / "old.h5", tmp_path / "new.keras")
    assert finished.returncode == 0, finished.stderr
    images = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    new = keras.saving.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(new.predict(images, verbose=0), old.predict(images, verbose=0), rtol=1e-5, atol=1e-6)


def test_keras_alone_reads_what_the_package_wrote(tmp_path, quick_environment):
    """`import keras_lite` is enough to know its layers."""
    EfficientResNet(blocks=(1,), channels=16, input_shape=(16, 16, 3), classes=3).save(tmp_path / "net.keras")
    program = "import sys, keras, keras_lite; print(keras.saving.load_model(sys.argv[1]).output_shape)"
    command = [sys.executable, "-c", program, str(tmp_path / "net.keras")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, env=quick_environment)
    assert finished.stdout.strip() == "(None, 3)"
