import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_lite import published
from keras_lite.applications import CARNet18, CifarResNet, kept_weights, list_weights
from keras_lite.data import ModelInfo, Preprocessing, write_model_info
from keras_lite.errors import InputError
from keras_lite.training import TrainingResult
from ledger import keeping

OURS = {"stem": "hybrid", "downsampling": "padding_free"}
ROW = "cifar100_first/resnet20/ours"

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def trained():
    """A network whose batch norms are not the identity, with logits of ordinary size."""
    keras.utils.set_random_seed(3)
    model = published.get(ROW).build(classifier_activation=None)
    rng = np.random.default_rng(3)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in (layer.gamma, layer.moving_variance):
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture
def place(monkeypatch, tmp_path):
    """An empty folder of weights."""
    monkeypatch.setattr(kept_weights, "FOLDER", tmp_path / "weights")
    monkeypatch.setattr(kept_weights, "INDEX", tmp_path / "index.json")
    (tmp_path / "index.json").write_text("[]")
    kept_weights._index.cache_clear()
    yield tmp_path
    kept_weights._index.cache_clear()


@pytest.fixture
def kept(trained, place, run_tool):
    run = place / "run"
    run.mkdir()
    trained.save(run / "model.keras")
    names = [f"class {index}" for index in range(100)]
    write_model_info(run / "model.keras", ModelInfo("resnet20", names, Preprocessing((32, 32)), "logits"))
    metrics = {"epoch": 40.0, "val_accuracy": 0.5, "val_loss": 1.5}
    TrainingResult(
        recipe="cifar100_resnet",
        model="resnet20_ours",
        row=ROW,
        smoke=False,
        seed=1,
        protocol="held_out",
        changes={},
        epochs=40,
        published_epochs=200,
        last=metrics,
        best=metrics,
        tested_epoch="last",
        test={"accuracy": 0.5, "loss": 1.5},
        images={"train": 45000, "valid": 5000, "test": 10000},
        image_size=(32, 32),
        batch_size=128,
        seconds=60.0,
        peak_memory_bytes=None,
        parameters=1,
        macs=1,
        published=None,
    ).write(run / "result.json")
    (run / "environment.json").write_text(json.dumps({"commit": "0123456789abcdef"}))
    finished = run_tool(keeping, run)
    assert finished.returncode == 0, finished.stderr
    assert "test accuracy 50.00%, 40 epochs" in finished.stdout
    kept_weights._index.cache_clear()
    [entry] = list_weights()
    assert Preprocessing.from_dict(entry.preprocessing) == Preprocessing((32, 32))
    return entry


def outputs(model):
    images = np.random.default_rng(1).uniform(size=(4, 32, 32, 3)).astype("float32")
    return keras.ops.convert_to_numpy(model(images, training=False))


def test_a_file_counts_once_against_the_limit(kept, place, monkeypatch):
    size = kept_weights.FOLDER.joinpath(kept.file).stat().st_size
    monkeypatch.setattr(keeping, "_MOST_BYTES_IN_ALL", size + 1000)
    keeping.keep(place / "run")
    monkeypatch.setattr(keeping, "_MOST_BYTES_IN_ALL", size - 1000)
    with pytest.raises(InputError, match="beside 0"):
        keeping.keep(place / "run")


def test_named_weights_output_as_the_trained_network(kept, trained):
    assert kept_weights.FOLDER.joinpath(kept.file).stat().st_size < 2.5 * trained.count_params() + 300_000
    expected = outputs(trained)
    received = outputs(CifarResNet(20, **OURS, classifier_activation=None, weights="cifar100"))
    assert np.abs(received - expected).max() < 0.02 * np.abs(expected).max()

    features = keras.Model(trained.inputs[0], trained.layers[-2].output)
    received = outputs(CifarResNet(20, **OURS, include_top=False, pooling="avg", weights="cifar100"))
    np.testing.assert_allclose(received, outputs(features), rtol=0.02, atol=0.02)

    ten = CifarResNet(20, **OURS, classes=10, include_top=True, weights="cifar100", load_classifier=False)
    np.testing.assert_allclose(
        outputs(keras.Model(ten.inputs[0], ten.layers[-2].output)), received, rtol=1e-5, atol=1e-6
    )


def test_kept_weights_bring_their_input_size(place, kept):
    entries = [
        dataclasses.replace(
            kept, name="sports100", network="CARNet18(input_shape=(96, 96, 3))", input_shape=[96, 96, 3]
        ),
        dataclasses.replace(kept, network="ResNet18(input_shape=(64, 64, 3))", input_shape=[64, 64, 3]),
        dataclasses.replace(kept, network="ResNet18(input_shape=(96, 96, 3))", input_shape=[96, 96, 3]),
    ]
    (place / "index.json").write_text(json.dumps([dataclasses.asdict(entry) for entry in entries]))
    kept_weights._index.cache_clear()
    with pytest.raises(InputError, match="received carnet18 with other arguments, input 96x96x3"):
        CARNet18(weights="sports100")
    # Two sizes, or none: the published one stays.
    assert kept_weights.input_shape("cifar100", "ResNet18") is None
    assert kept_weights.input_shape("sports100", "ResNet18") is None
    assert CARNet18().input_shape == (None, 244, 244, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"depth": 20},
        {"depth": 20, "stem": "hybrid"},
        {"depth": 20, "downsampling": "padding_free"},
        {"depth": 26, **OURS},
        {"depth": 20, **OURS, "classes": 10},
        {"depth": 20, **OURS, "input_shape": (64, 64, 3)},
        {"depth": 20, **OURS, "convolution": "bsconv_u"},
    ],
)
def test_other_networks_are_refused(kept, arguments):
    with pytest.raises(InputError, match=r"Expected a network that the weights 'cifar100' are for .CifarResNet"):
        CifarResNet(**arguments, weights="cifar100")


def test_missing_and_wrong_files_are_named(kept):
    file = kept_weights.FOLDER / kept.file
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(InputError, match=f"Expected {file} .*, received no such file"):
        CifarResNet(20, **OURS, weights="cifar100")
    file.write_bytes(content[:-1])
    with pytest.raises(InputError, match=f"SHA-256 {kept.sha256}"):
        CifarResNet(20, **OURS, weights="cifar100")
    with pytest.raises(InputError, match=r"None, 'cifar100', 'imagenet', or a file .* received 'cifar1000'"):
        CifarResNet(20, **OURS, weights="cifar1000")


def test_unfinished_run_is_refused(place, run_tool, assert_one_line_error):
    assert_one_line_error(run_tool(keeping, place), "finished run", place)
    assert_one_line_error(run_tool(keeping), "received 0")


@pytest.mark.parametrize("entry", list_weights(), ids=lambda entry: entry.row)
def test_weights_of_the_project(entry):
    assert list((kept_weights.FOLDER).glob("*.weights.h5")), "the folder weights/ of the checkout"
    assert entry.path().stat().st_size < 10_000_000
    row = published.get(entry.row)
    model = row.build(input_shape=tuple(entry.input_shape), weights=entry.name)
    assert model.output_shape == (None, len(entry.class_names)) == (None, row.classes)
    assert dataclasses.asdict(kept_weights.find(entry.name, model, any_classes=False)) == dataclasses.asdict(entry)
