"""Fine-tuning: what it leaves alone, and which epoch is kept."""

import keras
import numpy as np
import pytest
from small_classifier import DyingBatches, KilledError, scramble

from keras_lite.data import ArraySource, Augmentation, Batches, Preprocessing
from keras_lite.errors import InputError
from keras_lite.quantization import calibrate, finetune, quantize_aware
from keras_lite.quantization.aware import finetuning
from keras_lite.quantization.aware.teaching import TaughtBatches, Teacher
from keras_lite.quantization.aware.tf_mot.wrapping import is_finetuned

layers = keras.layers
SIZE = 8
PREPROCESSING = Preprocessing((SIZE, SIZE), (0.5,) * 3, (0.5,) * 3)


def network(scaling=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(0.5, offset=0.25, name="scaling")(inputs) if scaling else inputs
    x = layers.Conv2D(6, 3, use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    inside = keras.Input(x.shape[1:])
    y = layers.Conv2D(6, 1, name="inner", activation="relu")(inside)
    y = layers.BatchNormalization(name="inner_norm")(layers.DepthwiseConv2D(3, name="inner_depthwise")(y))
    x = layers.ReLU()(keras.Model(inside, y, name="backbone")(x))
    x = layers.Conv2D(5, 1, activation="relu", name="late")(x)
    outputs = layers.Dense(3, name="predictions")(layers.GlobalAveragePooling2D()(x))
    return scramble(keras.Model(inputs, outputs))


def photos(count, seed):
    """Noise on colors."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 200, (count, 1, 1, 3))
    return (colors + rng.integers(0, 56, (count, SIZE, SIZE, 3))).astype("uint8")


SOURCE = ArraySource(photos(64, 1), np.arange(64) % 3, ["a", "b", "c"])
JUDGES = PREPROCESSING(photos(40, 2))


def batches(kind=Batches):
    return kind(SOURCE, 16, PREPROCESSING, shuffle=True)


def calibrated(model):
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, PREPROCESSING(photos(32, 3)))
    return quantized


def trained_numbers(quantized):
    """Kernels, biases, gammas and betas by the name of their layer, as they are now."""
    numbers = {}
    for wrapper in quantized.layers:
        if hasattr(wrapper, "layer"):
            for variable in wrapper.weights:
                kind = variable.name.rpartition("/")[2].partition(":")[0]
                if kind in ("kernel", "depthwise_kernel", "bias", "gamma", "beta"):
                    numbers[f"{wrapper.layer.name.removeprefix('backbone_')}/{kind}"] = variable.numpy()
    return numbers


def aware_of(model, engine):
    if engine == "tf_mot":
        return calibrated(model)
    return quantize_aware(model, PREPROCESSING(photos(32, 3)), preprocessing=PREPROCESSING)


def changed(before, after):
    assert before.keys() == after.keys()
    return {name.partition("/")[0] for name, values in before.items() if not np.array_equal(values, after[name])}


@pytest.fixture(
    scope="module", params=["keras", pytest.param("tf_mot", marks=[pytest.mark.tensorflow_only, pytest.mark.slow])]
)
def start(request):
    """A model, its quantized form, and that one's weights at the start."""
    model = network()
    quantized = aware_of(model, request.param)
    return model, quantized, quantized.get_weights()


ALL = {"stem", "stem_norm", "inner", "inner_depthwise", "inner_norm", "late", "predictions"}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("frozen", [{"stem", "inner_norm"}, {"backbone", "late"}])
def test_frozen_layers_stay_and_others_move(frozen):
    model = network()
    for name in frozen:
        layer = model.get_layer("backbone") if name == "inner_norm" else model.get_layer(name)
        (layer.get_layer(name) if name == "inner_norm" else layer).trainable = False
    quantized = calibrated(model)
    before = trained_numbers(quantized)
    assert {name.partition("/")[0] for name in before} == ALL
    np.testing.assert_array_equal(before["late/bias"], np.asarray(model.get_layer("late").bias))

    finetune(quantized, batches(), model, epochs=1, learning_rate=1e-2)

    inside = {"inner", "inner_depthwise", "inner_norm"} if "backbone" in frozen else set()
    assert changed(before, trained_numbers(quantized)) == ALL - frozen - inside


@pytest.mark.parametrize("engine", ["keras", pytest.param("tf_mot", marks=pytest.mark.tensorflow_only)])
def test_nothing_to_train_is_one_line(engine, capsys):
    model = network()
    model.trainable = engine == "keras"
    quantized = aware_of(model, engine)
    if engine == "keras":
        quantized.trainable = False
    before = quantized.get_weights()
    capsys.readouterr()

    report = finetune(quantized, batches(), model, epochs=2, learning_rate=1e-2, judges=JUDGES, verbose=1)

    assert capsys.readouterr().out == "nothing to fine-tune: no layer of the model is trainable\n"
    assert (report.kept, report.epochs) == (0, [])
    assert all(np.array_equal(old, new) for old, new in zip(before, quantized.get_weights(), strict=True))
    assert not is_finetuned(quantized)


@pytest.mark.tensorflow_only
def test_what_holds_the_scale_of_the_input_stays():
    model = network(scaling=True)
    quantized = calibrated(model)
    before = trained_numbers(quantized)
    # No padding: scale and offset went into the first convolution.
    kernel = np.asarray(model.get_layer("stem").kernel)
    np.testing.assert_allclose(before["stem/kernel"], 0.5 * kernel, rtol=1e-6)

    finetune(quantized, batches(), model, epochs=1, learning_rate=1e-2)

    assert changed(before, trained_numbers(quantized)) == ALL - {"stem"}


def divergence(expected, received):
    """Mean Kullback-Leibler divergence of softmaxes, by NumPy."""
    exponentials = [np.exp(each.astype("float64")) for each in (expected, received)]
    p, q = (each / each.sum(1, keepdims=True) for each in exponentials)
    return (p * np.log(p / q)).sum(1).mean()


def test_a_rate_that_spoils_leaves_the_start(start, capsys):
    model, quantized, weights = start
    quantized.set_weights(weights)
    expected = model.predict(JUDGES, verbose=0)
    before = divergence(expected, quantized.predict(JUDGES, verbose=0))

    report = finetune(quantized, batches(), model, epochs=2, learning_rate=1e-2, judges=JUDGES, verbose=1)

    assert all(np.array_equal(old, new) for old, new in zip(weights, quantized.get_weights(), strict=True))
    assert (report.kept, len(report.epochs), report.judges, report.output) == (0, 2, 40, "logits")
    assert report.start.divergence == pytest.approx(before, rel=1e-3)
    assert min(each.divergence for each in report.epochs) > before
    printed = capsys.readouterr().out
    assert "\n* start: divergence" in printed
    assert "\nkept: the start: no epoch is closer by more than two" in printed
    assert not is_finetuned(quantized)


def blank(quantized, weights):
    """Put the start back, with a classifier that knows nothing."""
    quantized.set_weights(weights)
    for variable in quantized.trainable_variables:
        if "predictions" in getattr(variable, "path", variable.name):
            variable.assign(np.zeros(variable.shape))


def test_a_better_epoch_is_kept_and_a_killed_training_finds_the_same(start, tmp_path, capsys):
    model, quantized, weights = start
    expected = model.predict(JUDGES, verbose=0)

    def run(kind=Batches, state=None):
        blank(quantized, weights)
        return finetune(
            quantized, batches(kind), model, epochs=3, learning_rate=2e-2, judges=JUDGES,
            state_path=state, verbose=1,
        )  # fmt: skip

    report = run()
    whole = quantized.get_weights()
    assert report.kept > 0
    assert is_finetuned(quantized) or isinstance(quantized, keras.Model)
    best = min(range(3), key=lambda index: report.epochs[index].divergence)
    assert report.kept == best + 1
    found = divergence(expected, quantized.predict(JUDGES, verbose=0))
    assert report.epochs[best].divergence == pytest.approx(found, rel=1e-3)
    assert report.start.divergence > 2 * found
    gain = report.start.divergence - report.epochs[best].divergence
    assert f"kept: epoch {best + 1}, closer to the float model by {gain:.5f}" in capsys.readouterr().out

    state = tmp_path / "state.npz"
    with pytest.raises(KilledError):
        run(DyingBatches, state)
    again = run(state=state)
    assert "going on in epoch 2 after step 0" in capsys.readouterr().out
    assert again == report
    assert all(np.array_equal(first, second) for first, second in zip(whole, quantized.get_weights(), strict=True))


def test_a_training_killed_within_an_epoch_ends_with_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning, "_SAVE_EVERY_STEPS", 1)
    model = network()
    quantized = aware_of(model, "keras")
    weights = quantized.get_weights()

    def run(kind=Batches):
        quantized.set_weights(weights)
        return finetune(quantized, batches(kind), model, epochs=2, learning_rate=1e-3, judges=JUDGES, state_path=state)

    state = tmp_path / "whole.npz"
    report = run()
    whole = quantized.get_weights()
    state = tmp_path / "state.npz"
    for _ in range(2):
        with pytest.raises(KilledError):
            run(DyingBatches)
    assert run() == report
    assert all(np.array_equal(first, second) for first, second in zip(whole, quantized.get_weights(), strict=True))
    # Of another training, such as one with another rate, nothing is taken up.
    quantized.set_weights(weights)
    other = finetune(quantized, batches(), model, epochs=2, learning_rate=2e-3, judges=JUDGES, state_path=state)
    assert other.start == report.start
    assert other.epochs != report.epochs
    quantized.set_weights(weights)
    state.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"saved state of a run in .*state\.npz"):
        finetune(quantized, batches(), model, epochs=2, learning_rate=2e-3, judges=JUDGES, state_path=state)


class Loud(Teacher):
    """Counts the photos that it answers."""

    count = 0

    def answers(self, images):
        self.count += len(images)
        return super().answers(images)


def test_photos_are_answered_once_unless_they_change():
    model = network()
    every = PREPROCESSING(SOURCE.images(np.arange(64)))
    expected = model.predict(every, verbose=0)
    ends = np.quantile(expected, [0.1, 0.9])
    expected = np.clip(expected, *ends)
    teacher = Loud(model, "logits")
    taught = TaughtBatches(batches(), teacher, ends)
    for epoch in (0, 1):
        for index in range(4):
            images, answers = taught.batch(epoch, index)
            wanted, _ = batches().batch(epoch, index)
            np.testing.assert_array_equal(images, wanted)
            places = [int(np.flatnonzero((image == every).all((1, 2, 3)))[0]) for image in images]
            np.testing.assert_allclose(answers, expected[places], rtol=1e-4, atol=1e-5)
    assert teacher.count == 64
    mirrored = Batches(SOURCE, 16, PREPROCESSING, Augmentation(horizontal_flip=True), shuffle=True)
    teacher = Loud(model, "logits")
    images, answers = TaughtBatches(mirrored, teacher, ends).batch(0, 0)
    assert teacher.count == 16
    np.testing.assert_allclose(answers, np.clip(model.predict(images, verbose=0), *ends), rtol=1e-4, atol=1e-5)
    # Where an embedding is cut off its direction would be another.
    _, whole = TaughtBatches(mirrored, Teacher(model, "embedding"), ends).batch(0, 0)
    assert whole.max() > ends[1]


@pytest.mark.parametrize("end", ["layer", "activation"])
def test_what_stands_before_a_softmax_is_learned(end):
    model = network()
    logits = model.outputs[0]
    softmax = layers.Softmax() if end == "layer" else layers.Activation("softmax")
    images = PREPROCESSING(photos(5, 4))
    answers = Teacher(keras.Model(model.inputs, softmax(logits)), "probabilities").answers(images)
    np.testing.assert_allclose(answers, model.predict(images, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.tensorflow_only
def test_what_is_none_of_it_is_named(start):
    model, quantized, _ = start
    with pytest.raises(InputError, match="Expected what quantize_aware returned, received Functional"):
        finetune(model, batches(), model)
    for wrong, message in (({"epochs": -1}, "epochs"), ({"learning_rate": 0.0}, "learning_rate")):  # fmt: skip
        with pytest.raises(InputError, match=f"Expected .*{message}"):
            finetune(quantized, batches(), model, **wrong)
