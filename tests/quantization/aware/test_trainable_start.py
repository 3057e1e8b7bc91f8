import keras
import numpy as np
import pytest
from gated_network import network, noise

from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot.bias_correction import correct_biases
from keras_lite.quantization.aware.tf_mot.calibration import batches_of, measure, set_ranges, unrounded
from keras_lite.quantization.aware.tf_mot.equalization import equalize
from keras_lite.quantization.aware.tf_mot.start import trainable_start
from keras_lite.quantization.candidates import Steps
from keras_lite.quantization.ranges import least_error_range

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


def test_biases_take_out_the_mean_error():
    model, images = network(), noise(64, 1)
    expected = model.predict(images, verbose=0)
    quantized = quantize_aware(model, engine="tf_mot")
    measured = measure(quantized, images)
    set_ranges(quantized, measured, least_error_range)
    # Planted: the stem's output is cut off at a quarter, so that everything behind it is too small.
    stem = next(tensor for tensor in measured if tensor.counts.sum() and tensor.lowest.min() == 0.0)
    stem.variables["max_var"].assign(0.25 * stem.highest.max())
    wrong = quantized.predict(images, verbose=0)

    assert correct_biases(quantized, images, batch_size=64) == 5  # two batch norms, "grouped", "gate", "predictions"

    right = quantized.predict(images, verbose=0)
    before, after = (np.abs(outputs.mean(0) - expected.mean(0)).max() for outputs in (wrong, right))
    step = np.ptp(expected) / 255
    assert before > 10 * step
    assert after < step


def test_equalized_channels_output_the_same_in_more_steps():
    # The small channels, which count most, have few steps of the common range.
    model, images = network(largest=100.0), noise(64, 1)
    expected = model.predict(images, verbose=0)
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)
    plain = np.abs(quantized.predict(images, verbose=0) - expected).mean()
    with unrounded(quantized, weights=True):
        before = quantized(images).numpy()

    scaled = equalize(quantized, measure(quantized, images))

    # What writes to the residual stream, and what only the next layer reads; gate and classes keep their scale.
    assert set(scaled) == {"quant_stem_norm", "quant_grouped", "quant_depthwise_norm"}
    with unrounded(quantized, weights=True):
        np.testing.assert_allclose(quantized(images).numpy(), before, atol=1e-4 * np.abs(expected).max())
    calibrate(quantized, images)
    assert np.abs(quantized.predict(images, verbose=0) - expected).mean() < 0.5 * plain


def test_the_start_is_what_was_chosen():
    model, images = network(largest=100.0), noise(64, 1)
    expected = model.predict(images, verbose=0)
    errors = {}
    for equalization in (False, True):
        start = trainable_start(model, images, Steps("minimum and maximum", equalization=equalization))
        errors[equalization] = np.abs(start.predict(images, verbose=0) - expected).mean()
    assert errors[True] < 0.5 * errors[False]
    start = trainable_start(model, images, Steps("minimum and maximum", bias_correction=True))
    assert np.abs(start.predict(images, verbose=0).mean(0) - expected.mean(0)).max() < np.ptp(expected) / 255


@pytest.mark.parametrize(("size", "counts"), [(32, [32, 32]), (96, [16] * 4), (244, [2] * 35), (500, [1] * 70)])
def test_large_images_come_in_small_batches(size, counts):
    images = np.broadcast_to(np.float32(0), (70, size, size, 3))
    assert [len(batch) for batch in batches_of(images)] == counts
