import csv
import json
import math
import runpy
from pathlib import Path

import keras
import pytest

from keras_lite import published

SCRIPT = Path(__file__).parents[2] / "recipes" / "sports100_carnet.py"


@pytest.fixture(scope="module")
def recipe():
    return runpy.run_path(str(SCRIPT))["RECIPE"]


@pytest.mark.tensorflow_only
def test_recipe_is_the_published_protocol(recipe):
    optimizer = recipe.optimizer(recipe.learning_rate)
    assert isinstance(optimizer, keras.optimizers.Adam)
    config = optimizer.get_config()
    assert config["learning_rate"] == pytest.approx(5e-4)
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.999, 1e-8)
    assert config["weight_decay"] is None
    assert (recipe.epochs, recipe.batch_size, recipe.image_size) == (50, 16, (244, 244))
    assert recipe.mean == (0.485, 0.456, 0.406)
    assert recipe.std == (0.229, 0.224, 0.225)
    augmentation = recipe.augmentation
    assert (augmentation.brightness, augmentation.horizontal_flip, augmentation.rotation) == (0.2, True, 15.0)
    assert augmentation.crop_padding == 0


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", ["carnet18", "resnet18"])
def test_models_are_the_published_rows(recipe, name):
    model = recipe.models[name].build((64, 64), 100)
    row = published.get(recipe.models[name].row)
    # The parameters do not depend on the image size.
    assert sum(math.prod(variable.shape) for variable in model.trainable_variables) == row.exact["params"]
    assert model.output_shape == (None, 100)
    assert model.layers[-1].activation is keras.activations.linear


def test_smoke_writes_every_file(run_script, tmp_path):
    finished = run_script(SCRIPT, "--smoke", "--batch_size", "4", "--output_dir", tmp_path / "run", timeout=500)
    assert finished.returncode == 0, finished.stderr
    assert "published: " in finished.stdout
    for name in ("best.weights.h5", "last.weights.h5", "model.keras", "model.json", "curves.png", "resume.npz"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["smoke"] is True
    assert result["published"]["accuracy"] == 81.8
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["backend"] == keras.backend.backend()
    assert environment["versions"]["keras"] == keras.__version__
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["flags"]["model"] == "carnet18"
    assert len(config["class_names"]) == 10
