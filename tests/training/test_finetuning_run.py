"""A fine-tuning in two parts, and that one that is stopped anywhere ends as if it had not been."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tiny
from test_resume import assert_same_arrays, assert_same_state, read_h5, without_time

from keras_lite.data import ArraySource
from keras_lite.errors import InputError
from keras_lite.training import EpochCosineDecay, Finetuning, Options, RecipeModel, fit
from keras_lite.training.training_result import TrainingResult

NETWORKS = []  # as they were built: steps may train another model that has their variables


def build(image_size, classes):
    """The same weights in every process and run, as if they came from a file."""
    keras.utils.set_random_seed(5)
    model = tiny.build(image_size, classes)
    rng = np.random.default_rng(0)
    for name, low in (("gamma", 0.5), ("beta", -0.5), ("moving_mean", -0.5), ("moving_variance", 0.5)):
        variable = getattr(model.get_layer("normalization"), name)
        variable.assign(rng.uniform(low, low + 1, variable.shape))
    NETWORKS.append(model)
    return model


RECIPE = dataclasses.replace(
    tiny.RECIPE,
    name="tuned",
    models={"tiny": RecipeModel(build)},
    schedule=EpochCosineDecay,
    finetuning=Finetuning(head_epochs=2, head_learning_rate=0.02, class_weights=False),
)
OPTIONS = Options.of(RECIPE, epochs=4, seed=3, save_every_steps=3)


class Stopped(Exception):  # noqa: N818  (nothing went wrong)
    pass


class Watch(keras.callbacks.Callback):
    """Notes what the layers are after each epoch, and stops the run at a moment."""

    def __init__(self, moment=None):
        super().__init__()
        self._moment = moment
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) == self._moment:
            raise Stopped

    def on_epoch_end(self, epoch, logs=None):
        layers = {layer.name: layer.get_weights() for layer in NETWORKS[-1].layers if layer.weights}
        self.seen.append(layers)

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def same(weights, others):
    return all(np.array_equal(*pair) for pair in zip(weights, others, strict=True))


def test_stopped_finetuning_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    watch = Watch()
    result = fit(RECIPE, tiny.data(), OPTIONS, tmp_path / "whole", callbacks=[watch])

    # The head alone; then all, with a smaller rate and its schedule from its beginning; batch normalization never.
    start = {layer.name: layer.get_weights() for layer in build((8, 8), 3).layers if layer.weights}
    first, second, _, last = watch.seen
    assert same(second["convolution"], start["convolution"])
    assert not same(first["classifier"], start["classifier"])
    assert not same(last["convolution"], second["convolution"])
    assert not same(last["classifier"], second["classifier"])
    assert all(same(seen["normalization"], start["normalization"]) for seen in watch.seen)
    rows = (tmp_path / "whole" / "metrics.csv").read_text().splitlines()[1:]
    rates = [float(row.split(",")[-1]) for row in rows]
    assert rates == pytest.approx([0.02, 0.02, 0.01, 0.005])

    # The best epoch's weights are kept, with every layer trainable again.
    model = keras.models.load_model(tmp_path / "whole" / "model.keras")
    assert all(layer.trainable for layer in model._flatten_layers())
    assert len(model.trainable_variables) == 5
    assert result.tested_epoch == "best"
    best = watch.seen[int(result.best["epoch"]) - 1]
    assert all(same(model.get_layer(name).get_weights(), weights) for name, weights in best.items())

    moments = [(2, 2), (3, 5)]  # (2, 2) finds the state of the head's last epoch, and another optimizer's
    for moment in moments:
        with pytest.raises(Stopped):
            fit(RECIPE, tiny.data(), OPTIONS, tmp_path / "parts", callbacks=[Watch(moment)])
    with monkeypatch.context() as patch, pytest.raises(Stopped):  # when all is done but the last file
        patch.setattr(TrainingResult, "write", lambda *arguments: (_ for _ in ()).throw(Stopped))
        fit(RECIPE, tiny.data(), OPTIONS, tmp_path / "parts", callbacks=[Watch()])
    again = fit(RECIPE, tiny.data(), OPTIONS, tmp_path / "parts", callbacks=[Watch()])

    assert without_time(tmp_path / "parts" / "result.json") == without_time(tmp_path / "whole" / "result.json")
    assert again.test == result.test
    assert_same_state(tmp_path / "parts" / "resume.npz", tmp_path / "whole" / "resume.npz")
    for name in ("best.weights.h5", "last.weights.h5"):
        assert_same_arrays(read_h5(tmp_path / "parts" / name), read_h5(tmp_path / "whole" / name))
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["finetuning"]["head_epochs"] == 2


@pytest.mark.tensorflow_only
def test_ends_early_after_the_heads_epochs_only(tmp_path):
    tuning = Finetuning(head_epochs=2, head_learning_rate=1e-12, class_weights=False, patience=1)
    recipe = dataclasses.replace(RECIPE, finetuning=tuning, schedule=None, learning_rate=1e-12)
    result = fit(recipe, tiny.data(), Options.of(recipe, epochs=9), tmp_path)
    # Nothing gets better: the third epoch is the first that counts, the fourth the one without progress.
    assert result.epochs == 4
    assert result.best["epoch"] == 1


@pytest.mark.tensorflow_only
def test_classes_count_alike_in_the_loss(tmp_path):
    labels = np.array([0] * 9 + [1] * 2 + [2])
    weights = Finetuning().weights_of_classes(labels)
    assert weights == pytest.approx({0: 12 / 27, 1: 2.0, 2: 4.0})
    assert Finetuning(class_weights=False).weights_of_classes(labels) is None
    # With a rate of nothing the loss of the epoch is that of the first weights.
    plain = tiny.source(12, 0)
    source = ArraySource(plain._images, labels, tiny.CLASSES)
    preprocessed = RECIPE.preprocessing()(plain._images)
    logits = keras.ops.convert_to_numpy(build((8, 8), 3)(preprocessed, training=False)).astype("float64")
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(12), labels]
    models = {"tiny": RecipeModel(without_dropout)}
    tuning = Finetuning(head_epochs=0, class_weights=True)
    recipe = dataclasses.replace(
        RECIPE, finetuning=tuning, schedule=None, learning_rate=1e-12, augmentation=type(RECIPE.augmentation)(),
        models=models,
    )  # fmt: skip
    data = {"train": source, "valid": source}
    result = fit(recipe, data, Options.of(recipe, epochs=1, batch_size=12), tmp_path)
    expected = (losses * np.array([weights[label] for label in labels])).mean()
    assert result.last["loss"] == pytest.approx(expected, rel=1e-5)
    # Validation, and all accuracies, count images.
    assert result.last["val_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert result.last["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())


def without_dropout(image_size, classes):
    model = build(image_size, classes)
    for name in ("dropout", "second_dropout"):
        model.get_layer(name).rate = 0.0
    return model


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"protocol": "published"}, "held_out"),
        ({"epochs": 2}, "more epochs than the 2"),
        ({"data_parallel": True}, "data_parallel"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, changes, expected):
    with pytest.raises(InputError, match=expected):
        fit(RECIPE, tiny.data(), dataclasses.replace(OPTIONS, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for wrong in ({"head_epochs": -1}, {"head_learning_rate": 0.0}, {"patience": 0}):
        with pytest.raises(InputError):
            Finetuning(**wrong)
