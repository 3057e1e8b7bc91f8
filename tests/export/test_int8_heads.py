"""int8 files of models that output something else than classes: how they are judged, trained and verified."""

import json

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.data import ArraySource, Batches, ModelInfo, Preprocessing, read_model_info
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.quantization import finetune, post_training, quantize_aware
from keras_lite.quantization.closeness import judged_as
from keras_lite.runtime import LiteRTModel

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
SIZE = 8
PREPROCESSING = Preprocessing((SIZE, SIZE), (0.5,) * 3, (0.5,) * 3)
# outputs, activation, what the model outputs, names
HEADS = [
    (1, "sigmoid", "sigmoid", ["warm"]),
    (3, "sigmoid", "sigmoid", ["red", "green", "blue"]),
    (1, None, "regression", ["redness"]),
    (4, None, "embedding", []),
]


def network(outputs, activation):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(inputs)))
    dense = layers.Dense(outputs, activation=activation, name="predictions")
    return scramble(keras.Model(inputs, dense(layers.GlobalAveragePooling2D()(x))))


def photos(count, seed):
    """Noise on colors."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 200, (count, 1, 1, 3))
    return (colors + rng.integers(0, 56, (count, SIZE, SIZE, 3))).astype("uint8")


def distance(output, expected, received):
    """Mean distance of outputs, by NumPy."""
    expected, received = expected.astype("float64"), received.astype("float64")
    if output == "sigmoid":
        p, q = (np.clip(each, 1 / 512, 1 - 1 / 512) for each in (expected, received))
        return (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    if output == "regression":
        return ((expected - received) ** 2).mean() / expected.var(0).mean()
    p, q = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (expected, received))
    return 1 - (p * q).sum(1).mean()


@pytest.mark.parametrize(("outputs", "activation", "output", "names"), HEADS)
def test_a_head_is_judged_trained_and_verified_as_what_it_is(outputs, activation, output, names, tmp_path):
    model = network(outputs, activation)
    info = ModelInfo("small", names, PREPROCESSING, output)
    images, judges = PREPROCESSING(photos(64, 1)), PREPROCESSING(photos(32, 2))

    calibrated, report = post_training(model, images, preprocessing=PREPROCESSING, output=output)

    assert report.output == output
    tried = [each.closeness.divergence for each in report.tried]
    assert min(tried) > 0
    assert len(set(tried)) > 1
    path = tmp_path / "model.tflite"
    verification = to_tflite(calibrated, path, "int8", samples=judges, info=info, reference=model)
    assert verification.exactness.equal == 1.0
    entries = json.loads(path.with_suffix(".json").read_text())
    assert entries["output"] == read_model_info(path).output == output
    expected = model.predict(judges, verbose=0)
    found = distance(output, expected, LiteRTModel(path).predict(judges))
    assert entries["verification"]["float_closeness"]["divergence"] == pytest.approx(found, rel=1e-3)

    # From a start that is bad: the classifier's signs are wrong.
    with pytest.raises(InputError, match="what quantize_aware returned, received CalibratedGraph"):
        finetune(calibrated, None, model)
    quantized = quantize_aware(calibrated)
    for variable in quantized.trainable_variables:
        if "predictions" in variable.path:
            variable.assign(-variable)
    bad = distance(output, expected, quantized.predict(judges, verbose=0))
    batches = Batches(ArraySource(photos(64, 3), np.zeros(64, int), ["any"]), 16, PREPROCESSING)
    tuned = finetune(
        quantized,
        batches,
        model,
        epochs=2,
        learning_rate=2e-2,
        judges=judges,
        output=output,
    )
    assert tuned.output == output
    assert tuned.start.divergence == pytest.approx(bad, rel=1e-3)
    assert tuned.kept > 0
    found = distance(output, expected, quantized.predict(judges, verbose=0))
    assert tuned.epochs[tuned.kept - 1].divergence == pytest.approx(found, rel=1e-3)
    assert found < bad


def test_an_embedding_of_length_1(tmp_path):
    """A float file holds the normalization; an int8 file leaves it out, which no cosine notices."""
    plain = network(4, None)
    model = keras.Model(plain.inputs[0], layers.UnitNormalization()(plain.outputs[0]))
    info = ModelInfo("small", [], PREPROCESSING, "embedding")
    images = PREPROCESSING(photos(32, 1))
    for precision in ("float32", "int8"):
        to_tflite(model, tmp_path / "model.tflite", precision, calibration=images, info=info)
        received = LiteRTModel(tmp_path / "model.tflite").predict(images)
        assert distance("embedding", plain.predict(images, verbose=0), received) < 0.01
    with pytest.raises(InputError, match="LiteRT has in int16, received L2_NORMALIZATION"):
        to_tflite(model, tmp_path / "model16.tflite", "int16", calibration=images, info=info)


def test_what_the_last_layer_says_goes_before_what_is_said_of_it():
    # A choice of one class is none: it is judged as the number that it is.
    assert judged_as(network(1, "softmax"), "probabilities") == "regression"
    assert judged_as(network(1, None), "logits") == "regression"
    assert judged_as(network(3, "sigmoid"), "logits") == "sigmoid"
    assert judged_as(network(3, None)) == judged_as(network(3, None), "logits") == "logits"
    assert judged_as(network(3, None), "embedding") == "embedding"
    assert judged_as(network(3, "softmax")) == "probabilities"
