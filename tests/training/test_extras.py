"""What a run may add to a recipe, and how long it may take: against NumPy, stock Keras and uninterrupted runs."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tiny

from keras_lite.errors import InputError
from keras_lite.training import SGD, Extras, Lookahead, Options, SliceEnded, fit


def options(**changes):
    extras = {field.name for field in dataclasses.fields(Extras)}
    mine = Extras(**{name: changes.pop(name) for name in list(changes) if name in extras})
    return Options.of(tiny.RECIPE, **({"epochs": 2} | changes), extras=mine)


def assert_same_weights(*paths):
    one, other = (keras.models.load_model(path, compile=False).get_weights() for path in paths)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow_elsewhere
def test_published_protocol_trains_on_all_and_tests_each_epoch(tmp_path):
    data = {"train": tiny.source(27, 0), "test": tiny.source(8, 2)}
    result = fit(tiny.RECIPE, data, options(protocol="published"), tmp_path)
    assert result.images == {"train": 27, "valid": 8, "test": 8}
    assert result.test == {"loss": result.last["val_loss"], "accuracy": result.last["val_accuracy"]}
    assert (result.protocol, result.changes) == ("published", {"epochs": 2})
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    images = (data["test"].images(np.arange(8)) / 255 - tiny.RECIPE.mean) / tiny.RECIPE.std
    outputs = keras.ops.convert_to_numpy(model(images.astype("float32"), training=False))
    assert result.test["accuracy"] == pytest.approx((outputs.argmax(1) == data["test"].labels).mean())


def test_published_protocol_without_test_images_is_an_error(tmp_path):
    with pytest.raises(InputError, match="split named test for --protocol published, received train"):
        fit(tiny.RECIPE, {"train": tiny.source(27, 0)}, options(protocol="published"), tmp_path)


@pytest.mark.slow_elsewhere
def test_split_without_a_third_is_kept_for_the_test(tmp_path):
    recipe = dataclasses.replace(tiny.RECIPE, test_split="valid")
    data = {"train": tiny.source(27, 0), "valid": tiny.source(8, 2)}
    result = fit(recipe, data, Options.of(recipe, epochs=1), tmp_path)
    assert result.images == {"train": 24, "valid": 3, "test": 8}


def test_slices_end_as_an_uninterrupted_run(tmp_path):
    settings = options(batch_size=9)
    whole = fit(tiny.RECIPE, tiny.data(), settings, tmp_path / "whole")
    slices = 0
    while True:
        try:
            # Shorter than a step, so that every step is a slice.
            limited = dataclasses.replace(settings, max_minutes=1e-9)
            parts = fit(tiny.RECIPE, tiny.data(), limited, tmp_path / "parts")
            break
        except SliceEnded:
            slices += 1
    assert slices == 2 * 3 - 1
    assert parts.last == whole.last
    assert_same_weights(tmp_path / "parts/model.keras", tmp_path / "whole/model.keras")


def test_moving_average_is_what_is_judged_and_kept(tmp_path):
    """The weights after each step, averaged by NumPy."""
    steps = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            steps.append([keras.ops.convert_to_numpy(v).copy() for v in self.model.trainable_variables])

    result = fit(tiny.RECIPE, tiny.data(), options(ema_decay=0.7), tmp_path / "run", callbacks=[Watch()])
    average = steps[0]
    for values in steps[1:]:
        average = [0.7 * mean + 0.3 * value for mean, value in zip(average, values, strict=True)]
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    for variable, expected in zip(model.trainable_variables, average, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-4, atol=1e-6)
    images = (tiny.source(8, 2).images(np.arange(8)) / 255 - tiny.RECIPE.mean) / tiny.RECIPE.std
    outputs = keras.ops.convert_to_numpy(model(images.astype("float32"), training=False))
    assert result.test["accuracy"] == pytest.approx((outputs.argmax(1) == tiny.source(8, 2).labels).mean())


def test_average_and_lookahead_resume_exactly(tmp_path):
    recipe = dataclasses.replace(tiny.RECIPE, optimizer=lambda rate: Lookahead(SGD(rate, momentum=0.9), 2))
    settings = Options.of(recipe, epochs=1, batch_size=9, extras=Extras(ema_decay=0.9))
    whole = fit(recipe, tiny.data(), settings, tmp_path / "whole")
    for limit in (1e-9, 1e-9, None):
        try:
            limited = dataclasses.replace(settings, max_minutes=limit)
            parts = fit(recipe, tiny.data(), limited, tmp_path / "parts")
        except SliceEnded:
            pass
    assert parts.last == whole.last
    assert_same_weights(tmp_path / "parts/model.keras", tmp_path / "whole/model.keras")


@pytest.mark.slow_elsewhere
def test_label_smoothing_is_in_the_loss(tmp_path):
    plain = fit(tiny.RECIPE, tiny.data(), options(epochs=1, learning_rate=1e-12), tmp_path / "plain")
    smooth = options(epochs=1, learning_rate=1e-12, label_smoothing=0.3)
    result = fit(tiny.RECIPE, tiny.data(), smooth, tmp_path / "smooth")
    assert result.last["val_accuracy"] == plain.last["val_accuracy"]
    model = keras.models.load_model(tmp_path / "smooth/model.keras", compile=False)
    images = (tiny.source(8, 1).images(np.arange(8)) / 255 - tiny.RECIPE.mean) / tiny.RECIPE.std
    logits = keras.ops.convert_to_numpy(model(images.astype("float32"), training=False)).astype("float64")
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    labels = np.eye(3)[tiny.source(8, 1).labels] * 0.7 + 0.1
    assert result.last["val_loss"] == pytest.approx(-(labels * logs).sum(1).mean(), abs=1e-5)


@pytest.mark.slow_elsewhere
def test_stronger_augmentation_trains_and_is_recorded(tmp_path):
    flags = {"augmentation_policy": "trivial_augment", "random_erasing": 0.5, "mixup": 0.2, "cutmix": 1.0}
    result = fit(tiny.RECIPE, tiny.data(), options(**flags), tmp_path)
    assert result.changes == {"epochs": 2, **flags}
    assert np.isfinite(result.last["loss"])
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["augmentation"]["policy"] == {"name": "trivial_augment"}
    assert config["augmentation"]["erasing"] == 0.5


@pytest.mark.slow_elsewhere
@pytest.mark.parametrize("policy", ["grid_mask", "fourier_mix"])
def test_policies_of_keras_cv_train_and_repeat(tmp_path, policy):
    pytest.importorskip("keras_cv", reason="KerasCV is the extra keras-cv")
    runs = [
        fit(tiny.RECIPE, tiny.data(), options(epochs=1, augmentation_policy=policy), tmp_path / name) for name in "ab"
    ]
    assert runs[0]["changes"] == {"epochs": 1, "augmentation_policy": policy}
    assert np.isfinite(runs[0]["last"]["loss"])
    assert runs[0]["last"]["loss"] == runs[1]["last"]["loss"]


def test_student_learns_the_teachers_outputs(tmp_path):
    fit(tiny.RECIPE, tiny.data(), options(epochs=6), tmp_path / "teacher")
    # Labels that say nothing: all is learned from the teacher.
    train = tiny.source(27, 0)
    train.labels = np.zeros_like(train.labels)
    taught = options(epochs=8, seed=1, teacher=str(tmp_path / "teacher"), distillation_weight=1.0, temperature=2.0)
    result = fit(tiny.RECIPE, tiny.data() | {"train": train}, taught, tmp_path / "student")
    assert result.changes["teacher"] == str(tmp_path / "teacher")
    assert result.test["accuracy"] > 0.6
    student = keras.models.load_model(tmp_path / "student/model.keras", compile=False)
    # The teacher is not part of what is kept.
    assert student.count_params() == 216 + 32 + 27


def test_teacher_of_other_classes_is_an_error(tmp_path):
    fit(tiny.RECIPE, tiny.data(), options(epochs=1), tmp_path / "teacher")
    train = tiny.source(27, 0)
    train.class_names = ["x", "y", "z"]
    data = tiny.data() | {"train": train}
    with pytest.raises(InputError, match="student's class_names"):
        fit(tiny.RECIPE, data, options(teacher=str(tmp_path / "teacher")), tmp_path / "student")
    with pytest.raises(InputError, match="nowhere"):
        fit(tiny.RECIPE, tiny.data(), options(teacher=str(tmp_path / "nowhere")), tmp_path / "student")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_in_float32(tmp_path, precision):
    result = fit(tiny.RECIPE, tiny.data(), options(epochs=4, precision=precision), tmp_path)
    assert keras.config.dtype_policy().name == "float32"
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert model.get_layer("convolution").compute_dtype == precision.removeprefix("mixed_")
    assert {str(variable.dtype) for variable in model.trainable_variables} == {"float32"}
    assert np.isfinite(result.last["loss"])


@pytest.mark.tensorflow_only
def test_schedules_by_flag(tmp_path):
    (tmp_path / "run").mkdir()
    result = fit(tiny.RECIPE, tiny.data(), options(epochs=2, schedule="cosine", warm_up_epochs=1), tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("learning_rate")
    # Step 0 of 7 warm-up steps; step 7 of 14 on a cosine.
    assert [float(line.split(",")[column]) for line in lines[1:]] == pytest.approx([0.01 / 7, 0.005], rel=1e-5)
    assert result.changes == {"epochs": 2, "schedule": "cosine", "warm_up_epochs": 1}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "linear"}, "schedule to be one of published, cosine, one_cycle, received linear"),
        ({"ema_decay": 1.0}, "ema_decay to be from 0 to below 1, received 1.0"),
        ({"mixup": -0.1}, "mixup to be 0 or more"),
        ({"random_erasing": 1.5}, "random_erasing to be from 0 to 1"),
        ({"temperature": 0.0}, "positive temperature"),
        ({"schedule": "one_cycle", "warm_up_epochs": 2}, "no warm_up_epochs"),
        ({"ema_decay": 0.9, "precision": "mixed_float16"}, "no ema_decay with mixed_float16"),
    ],
)
def test_wrong_values(values, message):
    with pytest.raises(InputError, match=message):
        Extras(**values)
