import json

import keras
import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.quantization import calibrate, post_training, quantize_aware, search
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibration import batches_of, measure, set_ranges, unrounded
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.ranges import least_error_range, percentile_range, whole_range
from keras_lite.quantization.search import ESTIMATORS

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
SIZE = 8


def network(largest=1.0):
    """Convolution, residual unit with grouped and depthwise convolutions, gate, classifier.

    The channels of the residual stream grow from 1 to `largest`, and count for as much less in the classifier.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.Conv2D(8, 3, padding="same", groups=2, activation="relu", name="grouped")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(y)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    y = layers.Multiply()([y, layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)])
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="predictions")(x))
    rng = np.random.default_rng(0)
    for name in ("stem_norm", "depthwise_norm"):
        model.get_layer(name).gamma.assign(np.geomspace(1.0, largest, 8))
        model.get_layer(name).beta.assign(rng.normal(size=8))
    kernel = rng.normal(size=(8, 4)) / np.geomspace(1.0, largest, 8)[:, None]
    model.get_layer("predictions").set_weights([kernel, np.zeros(4)])
    return model


def noise(count, seed):
    return np.random.default_rng(seed).normal(size=(count, SIZE, SIZE, 3)).astype("float32")


def rounding_error(values, ends):
    """Root of the mean squared error of 8-bit rounding in a range, by NumPy."""
    low, high = ends
    step = (high - low) / 255
    rounded = np.rint((np.clip(values, low, high) - low) / step) * step + low
    return np.sqrt(np.square(values - rounded).mean())


def test_ranges_against_rounding_in_numpy():
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(size=100_000))
    values[:3] = 60.0
    counts = np.histogram(values, 2048, (0.0, 60.0))[0]

    assert whole_range(counts, 0.0, 60.0) == (0.0, 60.0)
    low, high = least_error_range(counts, 0.0, 60.0)
    # A scan of ends on the values themselves.
    best = min(rounding_error(values, (0.0, end)) for end in np.linspace(2.0, 60.0, 200))
    assert low == 0.0
    assert rounding_error(values, (low, high)) == pytest.approx(best, rel=0.05)
    part = 60.0 / 2048
    for share in (1e-2, 1e-3, 1e-4):
        low, high = percentile_range(counts, 0.0, 60.0, share)
        assert low == 0.0
        assert 0.0 <= high - np.sort(values)[-1 - round(share * len(values))] <= part
        assert (values > high).mean() <= share


def test_biases_take_out_the_mean_error():
    model, images = network(), noise(64, 1)
    expected = model.predict(images, verbose=0)
    quantized = quantize_aware(model)
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
    quantized = quantize_aware(model)
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


def test_what_keeps_the_outputs_best_is_chosen(capsys):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 1, activation="relu", name="colors")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="predictions")(x))
    # Planted: a channel that is zero but for very bright pixels, of which there is one: 200, all else is below 10.
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(1, 1, 3, 8)), np.zeros(8)
    kernel[..., 0], bias[0] = 100.0, -1000.0
    model.get_layer("colors").set_weights([kernel, bias])
    model.get_layer("predictions").set_weights([rng.normal(0, 10, (8, 4)), np.zeros(4)])
    images = np.clip(noise(512, 1), -4.0, 4.0)
    images[4, 3, 3] = 4.0
    weights = model.get_weights()

    quantized, report = post_training(model, images, verbose=1)

    assert all(np.array_equal(old, new) for old, new in zip(weights, model.get_weights(), strict=True))
    ranges = {candidate.ranges: candidate for candidate in reversed(report.tried)}
    assert set(ranges) == set(ESTIMATORS)
    first, third = (ranges[name].closeness.divergence for name in ("minimum and maximum", "99.99 %"))
    assert third < 0.2 * first
    assert report.chosen.ranges == "99.99 %"
    # It would move all outputs by the mean of what is cut off from one image.
    assert not report.chosen.bias_correction
    # The model that comes back is the chosen one; the figures by NumPy, on the other half of the images.
    judges = images[1::2]
    expected, received = (net.predict(judges, verbose=0).astype("float64") for net in (model, quantized))
    first, second = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) for logits in (expected, received))
    each = (first * np.log(first / second)).sum(1)
    assert report.chosen.closeness.divergence == pytest.approx(each.mean(), rel=1e-3)
    assert report.chosen.closeness.standard_error == pytest.approx(each.std(ddof=1) / 16, rel=1e-3)
    assert report.chosen.closeness.agreement == (expected.argmax(1) == received.argmax(1)).mean()
    assert (report.images, report.judges) == (256, 256)
    assert json.loads(json.dumps(report.to_dict()))["chosen"]["ranges"] == report.chosen.ranges
    assert f"* {report.chosen}: divergence" in capsys.readouterr().out


def test_what_is_simpler_stays_unless_it_is_worse_by_a_standard_error(monkeypatch, capsys):
    """Made-up divergences, photo by photo, in the order in which the candidates are tried."""
    rng = np.random.default_rng(0)
    photos = rng.gamma(1.0, 1.0, 100)  # they differ by more than all else
    made_up = [photos, photos - 0.01 + rng.normal(0, 0.1, 100), photos - 0.05, photos - 0.04 + rng.normal(0, 0.1, 100),
               photos - 0.2, photos - 0.1]  # fmt: skip
    coming = iter(made_up)
    monkeypatch.setattr(search, "divergences", lambda *arguments: next(coming))

    _, report = post_training(network(), noise(8, 1), verbose=1)

    assert report.chosen is report.tried[4]  # the third ranges took the first's place, then corrected biases theirs
    assert (report.chosen.ranges, report.chosen.bias_correction, report.chosen.equalization) == ("99.99 %", True, False)
    assert [each.ranges for each in report.tried] == [*ESTIMATORS, "99.99 %", "99.99 %"]
    ratios = [(each - made_up[4]).mean() / max((each - made_up[4]).std(ddof=1) / 10, 1e-9) for each in made_up]
    assert [each.within_noise for each in report.tried] == [abs(ratio) <= 2 for ratio in ratios]
    printed = capsys.readouterr().out
    assert printed.count("\n* ranges: 99.99 %, corrected biases: divergence") == 1
    assert "what is simpler stays unless it is worse by a standard error" in printed


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="two or more images to quantize with, received 1"):
        post_training(network(), noise(1, 0))


@pytest.mark.parametrize(("size", "counts"), [(32, [32, 32]), (96, [16] * 4), (244, [2] * 35), (500, [1] * 70)])
def test_large_images_come_in_small_batches(size, counts):
    images = np.broadcast_to(np.float32(0), (70, size, size, 3))
    assert [len(batch) for batch in batches_of(images)] == counts
