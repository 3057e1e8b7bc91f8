import keras
import numpy as np
import pytest
from small_classifier import (
    CLASSES,
    PREPROCESSING,
    SIZE,
    carnet_like,
    color_images,
    color_source,
    preactivation,
    train,
)

from keras_lite.data import Batches, ModelInfo
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.graph import flatten
from keras_lite.quantization import calibrate, finetune, is_quantized, post_training, quantize_aware, to_tf_keras
from keras_lite.runtime.runner import LiteRTModel

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


def correlation(first, second):
    return np.corrcoef((first - first.mean(0)).ravel(), (second - second.mean(0)).ravel())[0, 1]


@pytest.fixture(scope="module")
def trained():
    return train(carnet_like())


@pytest.fixture(scope="module")
def calibrated_once(trained):
    quantized = quantize_aware(trained, engine="tf_mot")
    calibrate(quantized, color_images(128, seed=1)[0], batch_size=32)
    return quantized, quantized.get_weights()


@pytest.fixture
def calibrated(calibrated_once):
    quantized, weights = calibrated_once
    quantized.set_weights(weights)
    return quantized


def test_calibration_alone_keeps_the_outputs(trained, calibrated):
    others, labels = color_images(150, seed=2)

    expected = trained.predict(others, verbose=0)
    received = calibrated.predict(others, verbose=0)

    assert (expected.argmax(1) == labels).mean() > 0.9  # else the rest says little
    assert (expected.argmax(1) == received.argmax(1)).mean() >= 0.97
    assert correlation(expected, received) > 0.99
    # Rounded to 8 bits: no more than 256 different outputs.
    assert len(np.unique(received)) <= 256 < len(np.unique(expected))


def test_ranges_hold_what_the_float_model_computes(trained, calibrated):
    """Against extremes that NumPy takes of the float model's own tensors."""
    images, _ = color_images(128, seed=1)
    values = {variable.name: variable.numpy() for variable in calibrated.variables}
    flat = flatten(trained)
    for layer, variable in (
        ("block_pointwise", "quant_block_pointwise/post_activation"),
        ("attention_scale", "quant_attention_scale/output"),
        ("predictions", "quant_predictions/post_activation"),
    ):
        outputs = keras.Model(flat.inputs[0], flat.get_layer(layer).output).predict(images, verbose=0)
        low, high = values[f"{variable}_min:0"], values[f"{variable}_max:0"]
        width = float(np.ptp(outputs))
        assert min(0, outputs.min()) - 0.05 * width < low <= 0 <= high < max(0, outputs.max()) + 0.05 * width
        # Only rare values may be cut off.
        assert ((outputs < low - 0.02 * width) | (outputs > high + 0.02 * width)).mean() < 0.01


def test_standalone_batch_norm_dropout_and_softmax():
    model = train(preactivation())
    images, _ = color_images(150, seed=2)
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)

    probabilities = model.predict(images, verbose=0)
    logits = quantized.predict(images, verbose=0)

    assert is_quantized(quantized)
    assert not is_quantized(model)
    assert not is_quantized(to_tf_keras(model))
    assert np.abs(logits.sum(1) - 1).max() > 0.1  # no softmax
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    assert np.abs(exponentials / exponentials.sum(1, keepdims=True) - probabilities).mean() < 0.02
    kinds = {type(layer.layer).__name__ for layer in quantized.layers if hasattr(layer, "layer")}
    assert "DepthwiseConv2D" in kinds
    assert not kinds & {"Dropout", "Softmax"}


def test_dead_activation_gets_a_range():
    model = carnet_like()
    model.get_layer("stem").set_weights([np.zeros((3, 3, 3, 8))])
    images, _ = color_images(32, seed=1)
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)

    ends = {variable.name: float(variable.numpy()) for variable in quantized.variables if "output_m" in variable.name}
    widths = [value - ends[name.replace("max:", "min:")] for name, value in ends.items() if "max:" in name]
    assert widths
    assert min(widths) > 1e-3


def test_finetuning_moves_weights_and_keeps_batch_norm_statistics(trained, calibrated):
    before = {variable.name: variable.numpy() for variable in calibrated.variables}
    teacher = trained.get_weights()

    batches = Batches(color_source(64, seed=1), 16, PREPROCESSING, shuffle=True)
    finetune(calibrated, batches, trained, epochs=1, learning_rate=1e-3)

    changed = {v.name for v in calibrated.variables if not np.array_equal(v.numpy(), before[v.name])}
    assert any("kernel:" in name for name in changed)
    assert any("output_max" in name for name in changed)
    assert not [name for name in changed if "moving_" in name]
    assert all(np.array_equal(old, new) for old, new in zip(teacher, trained.get_weights(), strict=True))


def test_distillation_brings_back_the_teachers_outputs(trained, calibrated):
    """From a classifier that knows nothing, on labels that are all wrong: only the teacher can help."""
    images, labels = color_images(150, seed=2)
    for variable in calibrated.trainable_variables:
        if "predictions/" in variable.name:
            variable.assign(np.zeros(variable.shape))
    source = color_source(240, seed=1)
    source.labels = (source.labels + 1) % 3

    batches = Batches(source, 16, PREPROCESSING, shuffle=True)
    finetune(calibrated, batches, trained, epochs=2, learning_rate=2e-3)

    assert (calibrated.predict(images, verbose=0).argmax(1) == labels).mean() > 0.9


def test_what_can_not_be_quantized_is_named():
    inputs = keras.Input((SIZE, SIZE, 3))
    shared = layers.Conv2D(3, 1, name="twice")
    with pytest.raises(InputError, match="twice used twice"):
        quantize_aware(keras.Model(inputs, shared(shared(inputs))), engine="tf_mot")
    with pytest.raises(InputError, match="softplus in layer soft"):
        quantize_aware(keras.Model(inputs, layers.Activation("softplus", name="soft")(inputs)), engine="tf_mot")
    vector = layers.GlobalAveragePooling2D()(inputs)
    with pytest.raises(InputError, match="lonely"):
        quantize_aware(keras.Model(inputs, layers.BatchNormalization(name="lonely")(vector)), engine="tf_mot")
    with pytest.raises(InputError, match="half"):
        quantize_aware(keras.Model(inputs, layers.Average(name="half")([inputs, inputs])), engine="tf_mot")


def test_bad_arguments_are_refused(trained, calibrated):
    quantized = calibrated
    with pytest.raises(InputError, match=r"\(count, 32, 32, 3\), received float32 of shape \(2, 16, 16, 3\)"):
        calibrate(quantized, np.zeros((2, 16, 16, 3), "float32"))
    with pytest.raises(InputError, match="received uint8"):
        calibrate(quantized, np.zeros((2, 32, 32, 3), "uint8"))
    batches = Batches(color_source(32, seed=1), 16, PREPROCESSING)
    for argument in ({"epochs": -1}, {"learning_rate": 0.0}):
        with pytest.raises(InputError, match=next(iter(argument))):
            finetune(quantized, batches, trained, **argument)


@pytest.mark.parametrize("scales", [pytest.param("kept", marks=pytest.mark.slow), "learned"])
def test_what_keras_trains_starts_as_the_file_of_post_training(trained, scales, tmp_path):
    images, others = color_images(48, seed=3)[0], color_images(60, seed=4)[0]
    calibrated, _ = post_training(trained, images, preprocessing=PREPROCESSING)
    to_tflite(calibrated, tmp_path / "start.tflite", "int8", samples=others, reference=trained)
    expected = LiteRTModel(tmp_path / "start.tflite").predict(others)
    for aware in (
        quantize_aware(calibrated, scales=scales),
        quantize_aware(trained, images, preprocessing=PREPROCESSING, scales=scales),
    ):
        assert is_quantized(aware)
        np.testing.assert_array_equal(aware.predict(others, verbose=0), expected)

    aware.compile(keras.optimizers.Adam(1e-4), "mse", jit_compile=False)
    aware.fit(images, trained.predict(images, verbose=0), batch_size=16, epochs=1, verbose=0)
    aware.save(tmp_path / "aware.keras")
    aware = keras.saving.load_model(tmp_path / "aware.keras")
    aware.fit(images, trained.predict(images, verbose=0), batch_size=16, epochs=1, verbose=0)
    info = ModelInfo("colors", CLASSES, PREPROCESSING, "logits")
    to_tflite(aware, tmp_path / "trained.tflite", "int8", samples=others, reference=trained, info=info)
    received = LiteRTModel(tmp_path / "trained.tflite").predict(others)
    np.testing.assert_array_equal(aware.predict(others, verbose=0), received)
    assert (received != expected).any()
    assert "| Precision | int8 (quantization-aware) |" in (tmp_path / "trained.md").read_text()


def test_wrong_arguments_are_named(trained):
    images = color_images(8, seed=3)[0]
    for arguments, message in (
        ({}, "Expected images to set ranges and biases with"),
        ({"engine": "torch"}, "engine to be one of .*, received 'torch'"),
        ({"images": images, "scales": "all"}, "scales to be one of .*, received 'all'"),
        ({"engine": "tf_mot", "scales": "kept"}, "scales for the engine"),
    ):
        with pytest.raises(InputError, match=message):
            quantize_aware(trained, **arguments)
    calibrated, _ = post_training(trained, images)
    with pytest.raises(InputError, match="no images for what post_training returned"):
        quantize_aware(calibrated, images)
    with pytest.raises(InputError, match="Keras model for TF-MOT"):
        quantize_aware(calibrated, engine="tf_mot")
