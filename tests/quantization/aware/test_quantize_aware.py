import keras
import numpy as np
import pytest
from small_classifier import (
    PREPROCESSING,
    SIZE,
    DyingBatches,
    KilledError,
    carnet_like,
    color_images,
    color_source,
    preactivation,
    train,
)

from keras_lite.data import Batches
from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.quantization import calibrate, finetune, is_quantized, quantize_aware, to_tf_keras

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


def correlation(first, second):
    return np.corrcoef((first - first.mean(0)).ravel(), (second - second.mean(0)).ravel())[0, 1]


@pytest.fixture(scope="module")
def trained():
    return train(carnet_like())


@pytest.fixture(scope="module")
def calibrated_once(trained):
    quantized = quantize_aware(trained)
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
    quantized = quantize_aware(model)
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
    quantized = quantize_aware(model)
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


def test_batch_norm_statistics_move_until_they_are_frozen(calibrated):
    before = {v.name: v.numpy() for v in calibrated.variables if "moving_" in v.name}

    finetune(calibrated, Batches(color_source(32, seed=1), 16, PREPROCESSING), epochs=1, freeze_batch_norm=1.0)

    assert all(not np.array_equal(v.numpy(), before[v.name]) for v in calibrated.variables if v.name in before)


def test_distillation_brings_back_the_teachers_outputs(trained, calibrated):
    """From a classifier that knows nothing, on labels that are all wrong: only the teacher can help."""
    images, labels = color_images(150, seed=2)
    for variable in calibrated.trainable_variables:
        if "predictions/" in variable.name:
            variable.assign(np.zeros(variable.shape))
    source = color_source(240, seed=1)
    source.labels = (source.labels + 1) % 3

    batches = Batches(source, 16, PREPROCESSING, shuffle=True)
    finetune(calibrated, batches, trained, epochs=2, learning_rate=2e-3, distill=1.0)

    assert (calibrated.predict(images, verbose=0).argmax(1) == labels).mean() > 0.9


def test_killed_finetuning_goes_on_where_it_was(calibrated_once, tmp_path, capsys):
    quantized, weights = calibrated_once
    source = color_source(64, seed=1)

    def run(kind, state_path):
        quantized.set_weights(weights)
        finetune(
            quantized,
            kind(source, 16, PREPROCESSING, shuffle=True),
            None,
            epochs=2,
            learning_rate=1e-3,
            state_path=state_path,
            verbose=1,
        )
        return quantized.get_weights()

    whole = run(Batches, None)
    state = tmp_path / "finetune.npz"
    with pytest.raises(KilledError):
        run(DyingBatches, state)
    resumed = run(Batches, state)

    assert "going on after epoch 1" in capsys.readouterr().out
    assert all(np.array_equal(first, second) for first, second in zip(whole, resumed, strict=True))

    state.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"finetune\.npz, which can't be read"):
        run(Batches, state)


def test_what_can_not_be_quantized_is_named():
    inputs = keras.Input((SIZE, SIZE, 3))
    shared = layers.Conv2D(3, 1, name="twice")
    with pytest.raises(InputError, match="twice used twice"):
        quantize_aware(keras.Model(inputs, shared(shared(inputs))))
    with pytest.raises(InputError, match="softplus in layer soft"):
        quantize_aware(keras.Model(inputs, layers.Activation("softplus", name="soft")(inputs)))
    vector = layers.GlobalAveragePooling2D()(inputs)
    with pytest.raises(InputError, match="lonely"):
        quantize_aware(keras.Model(inputs, layers.BatchNormalization(name="lonely")(vector)))
    with pytest.raises(InputError, match="half"):
        quantize_aware(keras.Model(inputs, layers.Average(name="half")([inputs, inputs])))


def test_bad_arguments_are_refused(calibrated):
    quantized = calibrated
    with pytest.raises(InputError, match=r"\(count, 32, 32, 3\), received float32 of shape \(2, 16, 16, 3\)"):
        calibrate(quantized, np.zeros((2, 16, 16, 3), "float32"))
    with pytest.raises(InputError, match="received uint8"):
        calibrate(quantized, np.zeros((2, 32, 32, 3), "uint8"))
    batches = Batches(color_source(32, seed=1), 16, PREPROCESSING)
    for argument in ({"epochs": -1}, {"learning_rate": 0.0}, {"distill": 2.0}, {"freeze_batch_norm": -0.1}):
        with pytest.raises(InputError, match=next(iter(argument))):
            finetune(quantized, batches, **argument)
