import json

import keras
import numpy as np
import pytest
import tiny

from keras_lite.data import ArraySource, read_model_info
from keras_lite.errors import InputError
from keras_lite.training import Options, RunFolder, fit

FILES = {
    "best.weights.h5",
    "config.json",
    "curves.png",
    "environment.json",
    "last.weights.h5",
    "metrics.csv",
    "model.json",
    "model.keras",
    "result.json",
    "resume.npz",
    "tensorboard",
}


def loss_and_accuracy(model, source):
    """Cross-entropy and accuracy by NumPy, on images that are only normalized."""
    images = source.images(np.arange(len(source)))
    pixels = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    logits = keras.ops.convert_to_numpy(model(pixels.astype("float32"), training=False)).astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(shares[np.arange(len(source)), source.labels]).mean()
    return loss, (logits.argmax(axis=1) == source.labels).mean()


class WatchedSource(ArraySource):
    """Images that may be read only when `allowed` is true."""

    def __init__(self, count, seed):
        plain = tiny.source(count, seed)
        super().__init__(plain._images, plain.labels, plain.class_names)
        self.allowed = False
        self.read = 0

    def images(self, indices):
        assert self.allowed
        self.read += 1
        return super().images(indices)


def test_run_folder_is_complete_and_evaluation_honest(tmp_path, capsys):
    test = WatchedSource(8, 2)

    class AllowAtEnd(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            test.allowed = True

    data = tiny.data() | {"test": test}
    result = fit(tiny.RECIPE, data, Options.of(tiny.RECIPE, epochs=3), tmp_path / "run", callbacks=[AllowAtEnd()])
    assert test.read > 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert RunFolder(tmp_path / "run").training_result == result
    assert json.loads((tmp_path / "run" / "result.json").read_text())["best"] == result.best
    assert capsys.readouterr().out == ""
    # Validation and test images are neither augmented nor shuffled into something else.
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    loss, accuracy = loss_and_accuracy(model, data["valid"])
    assert result.last["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert result.last["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    loss, accuracy = loss_and_accuracy(model, tiny.source(8, 2))
    assert result.test["loss"] == pytest.approx(loss, abs=1e-5)
    assert result.test["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    # The best epoch is the best by validation accuracy, and its weights were kept.
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, map(float, line.split(",")), strict=True)) for line in lines[1:]]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[2]["loss"] < rows[0]["loss"]
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["epoch"]))
    assert result.best == pytest.approx(best)
    model.load_weights(tmp_path / "run" / "best.weights.h5")
    assert loss_and_accuracy(model, data["valid"])[0] == pytest.approx(best["val_loss"], abs=1e-5)
    # 3x3x3x8 weights, 2x8 of the normalization, 8x3 + 3 of the classifier; 4x4 places of the convolution.
    assert result.parameters == 216 + 16 + 27
    assert result.macs == 16 * 216 + 24
    info = read_model_info(tmp_path / "run" / "model.keras")
    assert (info.class_names, info.output, info.preprocessing.image_size) == (tiny.CLASSES, "logits", (8, 8))


def test_without_a_validation_split_training_images_are_held_out(tmp_path):
    data = {"train": tiny.source(27, 0)}
    options = Options.of(tiny.RECIPE, epochs=1, validation_share=0.3)
    result = fit(tiny.RECIPE, data, options, tmp_path)
    assert result.images == {"train": 19, "valid": 8}
    assert result.test is None


def test_published_figures_stand_beside(tmp_path):
    result = fit(tiny.RECIPE, tiny.data(), Options.of(tiny.RECIPE, model="tiny_two", epochs=1), tmp_path)
    assert result.row == "sports100/carnet18/ours"
    assert result.published["accuracy"] == 81.8


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX runs the same steps, PyTorch single ones")
def test_several_steps_in_one_go_train_the_same(tmp_path):
    results = []
    for steps in (1, 3):
        options = Options.of(tiny.RECIPE, epochs=2, steps_per_execution=steps)
        results.append(fit(tiny.RECIPE, tiny.data(), options, tmp_path / f"{steps}"))
    assert results[0].last == pytest.approx(results[1].last, abs=1e-5)


@pytest.mark.tensorflow_only
def test_no_step_is_traced_twice(tmp_path, monkeypatch):
    traced = []
    for name in ("train_step", "test_step"):
        plain = getattr(keras.Model, name)
        monkeypatch.setattr(
            keras.Model, name, lambda self, data, name=name, plain=plain: traced.append(name) or plain(self, data)
        )
    fit(tiny.RECIPE, tiny.data(), Options.of(tiny.RECIPE, epochs=2), tmp_path)
    assert traced == ["train_step", "test_step"]


def test_finished_run_returns_its_result_and_does_nothing(tmp_path):
    options = Options.of(tiny.RECIPE, epochs=1)
    result = fit(tiny.RECIPE, tiny.data(), options, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert fit(tiny.RECIPE, {}, options, tmp_path) == result
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_broken_image_stops_the_run_and_when_mended_it_goes_on(tmp_path):
    class BreaksLater(ArraySource):
        broken = True
        reads = 0

        def images(self, indices):
            self.reads += 1
            if self.broken and self.reads > 12:
                raise InputError("Expected an image in late.jpg, received something else.")
            return super().images(indices)

    plain = tiny.source(27, 0)
    train = BreaksLater(plain._images, plain.labels, plain.class_names)
    options = Options.of(tiny.RECIPE, epochs=2, save_every_steps=2)
    with pytest.raises(InputError, match=r"^Expected an image in late\.jpg, received something else\.$"):
        fit(tiny.RECIPE, tiny.data() | {"train": train}, options, tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    train.broken = False
    mended = fit(tiny.RECIPE, tiny.data() | {"train": train}, options, tmp_path / "run")
    whole = fit(tiny.RECIPE, tiny.data(), options, tmp_path / "whole")
    assert mended.last == whole.last


def test_other_data_in_the_same_folder_is_an_error(tmp_path):
    options = Options.of(tiny.RECIPE, epochs=1)
    fit(tiny.RECIPE, tiny.data(), options, tmp_path)
    (tmp_path / "result.json").unlink()
    with pytest.raises(InputError, match=r"images.train 27.*images.train 20"):
        fit(tiny.RECIPE, tiny.data() | {"train": tiny.source(20, 0)}, options, tmp_path)


def test_damaged_state_is_an_error_that_names_it(tmp_path):
    options = Options.of(tiny.RECIPE, epochs=1)
    fit(tiny.RECIPE, tiny.data(), options, tmp_path)
    (tmp_path / "result.json").unlink()
    (tmp_path / "resume.npz").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InputError, match=r"resume\.npz"):
        fit(tiny.RECIPE, tiny.data(), options, tmp_path)


def test_data_without_training_images_is_an_error(tmp_path):
    with pytest.raises(InputError, match="split named train, received valid"):
        fit(tiny.RECIPE, {"valid": tiny.source(8, 1)}, Options.of(tiny.RECIPE), tmp_path)
