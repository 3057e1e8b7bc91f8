"""Post-training quantization on graphs: what was seen, against Keras; what is corrected; what is chosen, by NumPy."""

import json

import keras
import numpy as np
import pytest
from gated_network import SIZE, network, noise

from keras_lite.errors import InputError
from keras_lite.litert import IntegerModel
from keras_lite.quantization import post_training, search
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.candidates import ESTIMATORS
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.ranges import least_error_range, percentile_range, rounding_loss, whole_range
from keras_lite.quantization.rounding import round_by_effect

pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers


def rounding_error(values, ends):
    """Root of the mean squared error of 8-bit rounding in a range, by NumPy."""
    low, high = ends
    step = (high - low) / 255
    rounded = np.rint((np.clip(values, low, high) - low) / step) * step + low
    return np.sqrt(np.square(values - rounded).mean())


def calibrated_graph(model, images, estimator=whole_range):
    form = for_int8(lower(model))
    observed = observe(form, images)
    return CalibratedGraph(form, ranges_from(form, observed, estimator)), observed


def outputs_of(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


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


def test_loss_of_a_range_is_that_of_rounding_in_numpy():
    values = np.abs(np.random.default_rng(0).normal(size=100_000))
    counts = np.histogram(values, 2048, (0.0, 5.0))[0]
    for end in (5.0, 2.0):
        expected = 10 * np.log10(np.square(values).mean() / rounding_error(values, (0.0, end)) ** 2)
        assert rounding_loss(counts, 0.0, 5.0, (0.0, end)) == pytest.approx(expected, abs=0.2)


def test_what_images_give_at_a_tensor():
    model, images = network(), noise(300, 1)
    _, observed = calibrated_graph(model, images)
    [tensor] = [tensor for tensor in observed.tensors if tensor.name == "grouped"]
    seen = observed.tensors[tensor]
    values = outputs_of(keras.Model(model.input, model.get_layer("grouped").output), images)
    np.testing.assert_allclose(seen.highest, values.max((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(seen.lowest, np.minimum(values.min((0, 1, 2)), 0.0), atol=1e-5)
    # Zeros are not counted.
    assert abs(seen.counts.sum() - (values != 0).sum()) <= 1e-4 * values.size
    wanted = np.histogram(values[values != 0], len(seen.counts), (0.0, float(values.max())))[0]
    assert np.abs(np.cumsum(seen.counts) - np.cumsum(wanted)).max() <= 1e-3 * wanted.sum()
    # Of layers the means of channels over the first images, before their activation.
    assert observed.averaged == 64
    means = {tensor.name: mean for tensor, mean in observed.mean_outputs.items()}
    [layer] = [layer for layer in model.layers if layer.name == "predictions"]
    expected = outputs_of(keras.Model(model.input, layer.output), images)[:64].mean(0)
    np.testing.assert_allclose(means["predictions"], expected, rtol=1e-4, atol=1e-4)


def test_biases_take_out_the_mean_error():
    model, images = network(), noise(64, 1)
    expected = outputs_of(model, images)
    calibrated, observed = calibrated_graph(model, images)
    # Planted: the stem's output is cut off at a quarter, so that everything behind it is too small.
    stem = calibrated.form.graph.operators[0].output
    calibrated.ranges[stem] = (0.0, 0.25 * calibrated.ranges[stem][1])
    wrong = IntegerModel(calibrated.graph).predict(images)

    right = IntegerModel(correct_biases(calibrated, observed, images).graph).predict(images)

    before, after = (np.abs(outputs.mean(0) - expected.mean(0)).max() for outputs in (wrong, right))
    step = np.ptp(expected) / 255
    assert before > 10 * step
    assert after < step


def test_equalized_channels_output_the_same_in_more_steps():
    # The small channels, which count most, have few steps of the common range.
    model, images = network(largest=100.0), noise(64, 1)
    expected = outputs_of(model, images)
    calibrated, observed = calibrated_graph(model, images)
    plain = np.abs(IntegerModel(calibrated.graph).predict(images) - expected).mean()

    form = equalize(calibrated.form, observed)

    kernels = {op.name: op.inputs[1].data for op in form.graph.operators if op.kind.endswith("CONV_2D")}
    before = {op.name: op.inputs[1].data for op in calibrated.form.graph.operators if op.kind.endswith("CONV_2D")}
    assert all(np.abs(kernels[name] - before[name]).max() > 0 for name in kernels if "gate" not in name)
    anew = observe(form, images)
    [answer] = form.graph.outputs
    np.testing.assert_allclose(anew.tensors[answer].highest, observed.tensors[answer].highest, rtol=1e-4)
    scaled = CalibratedGraph(form, ranges_from(form, anew, whole_range))
    assert np.abs(IntegerModel(scaled.graph).predict(images) - expected).mean() < 0.5 * plain


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Conv2D(5, 3, 2, padding="same"),
        lambda: layers.Conv2D(6, 3, groups=2),
        lambda: layers.DepthwiseConv2D(3, padding="same"),
        lambda: layers.Conv2D(7, 1),
    ],
    ids=["convolution", "grouped", "depthwise", "pointwise"],
)
def test_weights_rounded_by_their_effect_are_closer(layer):
    """Inputs that go along with each other: what one weight is rounded by, another makes up for."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 8))
    model = keras.Model(inputs, layer()(inputs))
    rng = np.random.default_rng(0)
    # Channels that are mixed of two, and pixels like those beside them.
    large = rng.normal(size=(128, SIZE // 4, SIZE // 4, 2)).repeat(4, axis=1).repeat(4, axis=2)
    large = large @ rng.normal(size=(2, 8))
    images = (large + 0.1 * rng.normal(size=large.shape)).astype("float32")
    # One large weight a channel: the steps of all others are wide.
    kernel, *rest = model.layers[1].get_weights()
    kernel[0, 0, 0] = 8.0 * np.abs(kernel).max()
    model.layers[1].set_weights([kernel, *rest])
    calibrated, observed = calibrated_graph(model, images)
    errors = []
    for rounded in (calibrated, round_by_effect(calibrated, images)):
        graph = correct_biases(rounded, observed, images).graph
        [whole] = [operator.inputs[1] for operator in graph.operators]
        axis = 3 if "DEPTHWISE" in graph.operators[0].kind else 0
        along = [-1 if each == axis else 1 for each in range(4)]
        weights = whole.data * whole.quantization.scales.reshape(along)
        # By Keras, in floats: only the weights are rounded.
        keras_kernel = weights.transpose(1, 2, 3, 0)
        if "depthwise" in model.layers[1].name:
            keras_kernel = keras_kernel.reshape(kernel.shape)
        twin = keras.models.clone_model(model)
        twin.layers[1].set_weights([keras_kernel, *rest])
        difference = outputs_of(twin, images) - outputs_of(model, images)
        errors.append(float(np.square(difference - difference.mean((0, 1, 2))).mean()))
        assert (
            np.abs(weights - calibrated.form.graph.operators[0].inputs[1].data).max()
            < 3 * whole.quantization.scales.max()
        )
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize(("largest", "left"), [(1.1, 0), (1.6, 2)], ids=["alike", "apart"])
def test_one_range_for_what_is_concatenated_saves_operators(largest, left):
    """By Keras the values of `both` and `all` go as far as `largest` times those of what they take."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="cheap")(x)
    x = layers.Concatenate(name="both")([x, y])
    y = layers.Conv2D(4, 1, activation="relu", name="second")(x)
    x = layers.Concatenate(name="all")([x, y])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    images = noise(32, 1)
    for name, source, factor in (("cheap", "first", largest), ("second", "both", largest)):
        seen, wanted = (
            outputs_of(keras.Model(inputs, model.get_layer(each).output), images) for each in (name, source)
        )
        kernel, bias = model.get_layer(name).get_weights()
        # Without biases a layer grows as its kernel does.
        model.get_layer(name).set_weights([kernel * factor * wanted.max() / seen.max(), bias])
    calibrated, _ = calibrated_graph(model, images)
    kinds = {}
    for one_range in (False, True):
        graph = CalibratedGraph(calibrated.form, calibrated.ranges, one_range).graph
        kinds[one_range] = [operator.kind for operator in graph.operators]
        received, expected = IntegerModel(graph).predict(images), outputs_of(model, images)
        assert np.corrcoef(received.ravel(), expected.ravel())[0, 1] > 0.99
    assert kinds[False].count("QUANTIZE") == 2  # "first", which "cheap" takes too, and what "both" hands on
    assert kinds[True].count("QUANTIZE") == left
    calibrated, report = post_training(model, images)
    assert [each.one_range for each in report.tried].count(True) == (not left)


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

    calibrated, report = post_training(model, images, verbose=1)

    assert all(np.array_equal(old, new) for old, new in zip(weights, model.get_weights(), strict=True))
    ranges = {candidate.ranges: candidate for candidate in reversed(report.tried)}
    assert set(ranges) == set(ESTIMATORS)
    assert report.chosen.ranges != "minimum and maximum"
    assert report.chosen.closeness.divergence < 0.5 * ranges["minimum and maximum"].closeness.divergence
    # The figures of the whole search by NumPy, on the other half of the images, for the graph that comes back.
    judges = images[1::2]
    expected, received = outputs_of(model, judges).astype("float64"), IntegerModel(calibrated.graph).predict(judges)
    first, second = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) for logits in (expected, received))
    each = (first * np.log(first / second)).sum(1)
    assert each.mean() < 1.5 * report.chosen.closeness.divergence
    assert report.chosen.closeness.agreement > 0.97
    assert (report.images, report.judges) == (256, 256)
    assert json.loads(json.dumps(report.to_dict()))["chosen"]["ranges"] == report.chosen.ranges
    printed = capsys.readouterr().out
    assert f"* {report.chosen}: divergence" in printed
    assert "tensors that lose most: " in printed
    assert len(report.weakest) == 3


def test_what_is_simpler_stays_unless_it_is_worse_by_a_standard_error(monkeypatch):
    """Made-up divergences, photo by photo, in the order in which the candidates are tried."""
    rng = np.random.default_rng(0)
    photos = rng.gamma(1.0, 1.0, 100)  # they differ by more than all else
    made_up = [photos, photos - 0.005 + rng.normal(0, 0.1, 100), photos - 0.05,
               photos - 0.04, photos - 0.06, photos - 0.0601]  # fmt: skip
    coming = iter(made_up)
    monkeypatch.setattr(search.Search, "_weights_matter", lambda self: False)
    monkeypatch.setattr(search.Search, "_ranges_of_outputs", lambda self: [(-10.0, 10.0)])
    monkeypatch.setattr(search, "divergences", lambda *arguments: next(coming))

    _, report = post_training(network(), noise(8, 1))

    # The third ranges took the first's place, and keep it with corrected biases; equalized it is closer.
    names = [*ESTIMATORS]
    assert [each.ranges for each in report.tried] == [*names, names[0], names[2], names[2]]
    assert [each.bias_correction for each in report.tried] == [False] * 3 + [True] * 3
    assert report.chosen is report.tried[5]
    assert report.chosen.equalization
    ratios = [(each - made_up[5]).mean() / max((each - made_up[5]).std(ddof=1) / 10, 1e-9) for each in made_up]
    assert [each.within_noise for each in report.tried] == [abs(ratio) <= 2 for ratio in ratios]


def test_a_rare_photo_that_does_not_judge_keeps_its_classes():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((4, 4, 3)), layers.GlobalAveragePooling2D(), layers.Dense(10)])
    images = noise(64, 1)[:, :4, :4]
    images[10] *= 10.0  # every second one judges, from the second on

    calibrated, _ = post_training(model, images)

    expected = outputs_of(model, images[10:11])
    received = IntegerModel(calibrated.graph).predict(images[10:11])
    assert np.abs(expected).max() > 2.0 * np.abs(outputs_of(model, images[1::2])).max()
    assert np.sort(received[0])[-1] > np.sort(received[0])[-2]
    assert received.argmax() == expected.argmax()


def test_outputs_that_are_not_finite_are_refused():
    model = network()
    model.get_layer("predictions").set_weights([np.full((8, 4), np.inf), np.zeros(4)])
    with pytest.raises(InputError, match="finite"):
        post_training(model, noise(4, 1))


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="two or more images to quantize with, received 1"):
        post_training(network(), noise(1, 0))
