"""The recipes: the facts they hold are the published protocols, and every one of them runs."""

import csv
import importlib
import json
import math
import re
import shlex

import keras
import pytest

from keras_lite import published
from keras_lite.cli.recipe_flags import options_from_flags, recipe_flags, recipe_from_flags
from keras_lite.cli.train import run_recipe
from keras_lite.data import Augmentation, ImageGeometry, RandomCrop, RandomResizedCrop
from keras_lite.errors import InputError
from keras_lite.training import SGD, Lookahead
from recipes import __main__ as listing
from recipes import find, sets_of

MODULES = sorted({re.search(r"recipes/(\w+)\.py", command)[1] for command in listing.commands().values()} - {"latency"})
# One of each kind of protocol, of networks that are compiled soon; `make test-all` runs the others too.
QUICK = ("cifar100_resnet", "cifar10_efficient_resnet", "sports100_carnet")
ON_ALL_BACKENDS = {
    "sports100_carnet": (),
    "cifar10_efficient_resnet": (),
    "cifar100_mobilenetv3": ("--hyperparameters", "first", "--model", "mobilenetv3_large_bsconvs/ours"),
    "cifar100_shufflenetv2": (),
}
# Compiled on TensorFlow, too, as users run them. The others train step by step: tracing is most of what they cost.
COMPILED = "cifar100_resnet"
CROP_AND_FLIP = Augmentation(crop_padding=4, horizontal_flip=True)
SECOND_MEAN = (0.50707516, 0.48654887, 0.44091784)
SECOND_STD = (0.26733429, 0.25643846, 0.27615047)


def recipes_of(name):
    return sets_of(importlib.import_module(f"recipes.{name}"))


def rates(recipe, epochs):
    """The learning rate in some epochs of the whole run, with ten steps an epoch."""
    schedule = recipe.schedule(recipe.learning_rate, recipe.epochs, 10)
    return [float(keras.ops.convert_to_numpy(schedule(epoch * 10 + 9))) for epoch in epochs]


@pytest.mark.tensorflow_only
def test_list_has_one_command_a_row(run_tool):
    finished = run_tool(listing, "--list")
    assert finished.returncode == 0
    by_row = dict(line.split(maxsplit=1) for line in finished.stdout.splitlines())
    assert list(by_row) == [row.id for row in published.rows()] + [row.id for row in published.latencies()]
    # Two tables, one run.
    for variant in ("original", "ours"):
        assert by_row[f"cifar100_ablation/ghostnet/{variant}"] == by_row[f"cifar100_second/ghostnet/{variant}"]


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("row", published.rows(), ids=lambda row: row.id)
def test_command_trains_its_row_as_published(row):
    name, *arguments = shlex.split(listing.commands()[row.id].removeprefix("python recipes/"))
    recipes = recipes_of(name.removesuffix(".py"))
    values = recipe_flags(recipes)
    values([name, *arguments])
    recipe = recipe_from_flags(recipes, values)
    options = options_from_flags(recipe, values)
    trained = published.get(recipe.models[options.model].row)
    assert trained.network == row.network
    assert (*options.image_size, 3) == row.input
    assert options.changes(recipe) == {}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("name", "arguments", "trains"),
    [
        ("cifar100_first/resnet110_bsconvu/ours", [], "cifar100_first/resnet110_bsconvu/ours"),
        ("cifar100_first/mobilenetv3_large/original", [], "cifar100_first/mobilenetv3_large/original"),
        ("cifar100_first/resnet20/ours", ["--model", "resnet20/original"], "cifar100_first/resnet20/original"),
        ("cifar100_ablation/ghostnet/ours", [], "cifar100_second/ghostnet/ours"),  # two tables, one run
        ("cifar100_mobilenetv3", [], "cifar100_second/mobilenetv3_large/ours"),
        ("cifar100_mobilenetv3", ["--hyperparameters", "first"], "cifar100_first/mobilenetv3_large/ours"),
        ("cifar100_mobilenetv3_first", [], "cifar100_first/mobilenetv3_large/ours"),
        ("sports100_carnet", ["--model", "resnet18/original"], "sports100/resnet18/original"),
    ],
)
def test_a_row_or_a_recipe_is_found_by_its_name(name, arguments, trains):
    script = find(name)
    values = recipe_flags(script.recipes)
    values([name, *script.arguments, "--data_dir", "shapes", *arguments])
    recipe = recipe_from_flags(script.recipes, values)
    assert recipe.models[options_from_flags(recipe, values).model].row == trains
    assert "Published accuracy" in script.usage


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", ["cifar100_first/resnet20/theirs", "latency", "__main__", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match=rf"such as 'cifar.*vegfru292.*received '{name}'"):
        find(name)


@pytest.mark.tensorflow_only
def test_first_set_is_the_published_protocol():
    for recipe in (
        recipes_of("cifar100_mobilenetv3")["first"],
        *recipes_of("cifar100_resnet").values(),
        *recipes_of("cifar100_wide_resnet").values(),
    ):
        optimizer = recipe.optimizer(recipe.learning_rate)
        assert type(optimizer) is SGD
        assert (optimizer.momentum, optimizer.nesterov, optimizer.l2_regularization) == (0.9, False, 1e-4)
        assert optimizer.clipvalue is None
        assert (recipe.epochs, recipe.batch_size, recipe.image_size) == (200, 128, (32, 32))
        assert (recipe.mean, recipe.std) == ((0, 0, 0), (1, 1, 1))  # the networks have a batch norm for it
        assert recipe.augmentation == CROP_AND_FLIP
        assert rates(recipe, (0, 99, 100, 149, 150, 179, 180, 199)) == pytest.approx(
            [0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001]
        )


@pytest.mark.tensorflow_only
def test_second_set_is_the_published_protocol():
    names = ("parc_mobilenetv2", "ghostnet", "shufflenetv2", "ablation", "efficientformer_downsampling")
    for recipe in (
        recipes_of("cifar100_mobilenetv3")["second"],
        *(recipes_of(f"cifar100_{name}")[""] for name in names),
    ):
        optimizer = recipe.optimizer(recipe.learning_rate)
        assert type(optimizer) is SGD
        assert (optimizer.momentum, optimizer.nesterov, optimizer.l2_regularization) == (0.9, True, 1e-4)
        assert (recipe.epochs, recipe.batch_size, recipe.image_size) == (300, 64, (32, 32))
        assert (recipe.mean, recipe.std) == (SECOND_MEAN, SECOND_STD)
        assert recipe.augmentation == CROP_AND_FLIP
        expected = [0.03 * ((1 + math.cos(math.pi * epoch / 300)) / 2 * 0.9 + 0.1) for epoch in (0, 77, 150, 299)]
        assert rates(recipe, (0, 77, 150, 299)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.tensorflow_only
def test_efficient_resnet_is_the_published_protocol():
    recipes = recipes_of("cifar10_efficient_resnet")
    optimizer = recipes["published"].optimizer(0.1)
    assert type(optimizer) is Lookahead
    assert (optimizer.sync_period, optimizer.slow_step_size) == (5, 0.5)
    inner = optimizer.inner_optimizer
    assert (inner.momentum, inner.nesterov, inner.l2_regularization, inner.clipvalue) == (0.9, False, 5e-4, 0.1)
    assert recipes["published"].augmentation == CROP_AND_FLIP
    assert recipes["published"].mean == (0.4914, 0.4822, 0.4465)
    assert recipes["published"].std == (0.2023, 0.1994, 0.2010)
    baseline = recipes["baseline"].optimizer(0.1)
    assert (type(baseline), baseline.l2_regularization, baseline.clipvalue) == (SGD, 5e-4, None)
    assert recipes["baseline"].augmentation == Augmentation()
    assert (recipes["baseline"].mean, recipes["baseline"].std) == ((0, 0, 0), (1, 1, 1))
    for recipe in recipes.values():
        assert (recipe.epochs, recipe.batch_size, recipe.image_size) == (200, 128, (32, 32))
        expected = [0.1 * (1 + math.cos(math.pi * epoch / 200)) / 2 for epoch in (0, 50, 199)]
        assert rates(recipe, (0, 50, 199)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.tensorflow_only
def test_sports_is_the_published_protocol():
    (recipe,) = recipes_of("sports100_carnet").values()
    optimizer = recipe.optimizer(recipe.learning_rate)
    assert isinstance(optimizer, keras.optimizers.Adam)
    config = optimizer.get_config()
    assert config["learning_rate"] == pytest.approx(5e-4)
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.999, 1e-8)
    assert config["weight_decay"] is None
    assert (recipe.epochs, recipe.batch_size, recipe.image_size) == (50, 16, (244, 244))
    assert (recipe.mean, recipe.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert recipe.augmentation == Augmentation(brightness=0.2, horizontal_flip=True, rotation=15.0)


@pytest.mark.tensorflow_only
def test_large_images_are_the_published_protocols():
    (vegfru,) = recipes_of("vegfru292").values()
    optimizer = vegfru.optimizer(vegfru.learning_rate)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.l2_regularization) == (0.9, True, 1e-4)
    assert (vegfru.epochs, vegfru.batch_size, vegfru.image_size) == (100, 64, (224, 224))
    assert (vegfru.mean, vegfru.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert rates(vegfru, (29, 30, 60, 89, 90)) == pytest.approx([0.1, 0.01, 0.001, 0.001, 0.0001])
    (dogs,) = recipes_of("stanford_dogs_mobilenetv3").values()
    assert (dogs.epochs, dogs.batch_size, dogs.image_size) == (200, 128, (224, 224))
    assert dogs.augmentation == Augmentation(crop=RandomCrop(), horizontal_flip=True, brightness=0.4)
    # To 256 x 256 whatever the shape, then 224 x 224.
    assert dogs.preprocessing().geometry == ImageGeometry((224, 224), (256, 256), keep_aspect=False)
    assert vegfru.augmentation.crop == RandomResizedCrop(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))
    assert vegfru.preprocessing().geometry == ImageGeometry((224, 224), (256, 256))


def smoke_cases():
    """On PyTorch `make test` runs two, on JAX, which compiles them long, one."""
    for name in MODULES:
        quick = name in QUICK and (keras.backend.backend() == "tensorflow" or name in ON_ALL_BACKENDS)
        marks = [pytest.mark.slow_on_jax] if name == "sports100_carnet" else []
        yield pytest.param(name, quick, id=name, marks=marks if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("name", "quick"), smoke_cases())
def test_smoke_writes_every_file(name, quick, tmp_path, capfd, monkeypatch):
    if keras.backend.backend() != "tensorflow" and name not in ON_ALL_BACKENDS:
        pytest.skip("runs on TensorFlow")
    if quick and keras.backend.backend() == "tensorflow" and name != COMPILED:
        compile_model = keras.Model.compile
        eager = {"run_eagerly": True, "jit_compile": False, "steps_per_execution": 1}
        monkeypatch.setattr(keras.Model, "compile", lambda self, *a, **k: compile_model(self, *a, **k | eager))
    recipes = recipes_of(name)
    arguments = ["--smoke", "--batch_size", "4", "--output_dir", str(tmp_path), *ON_ALL_BACKENDS.get(name, ())]
    with pytest.raises(SystemExit) as stopped:
        run_recipe(recipes, name, arguments)
    printed = capfd.readouterr()
    assert stopped.value.code == 0, printed.err
    assert "published: " in printed.out
    for file in ("best.weights.h5", "last.weights.h5", "model.keras", "model.json", "curves.png", "resume.npz"):
        assert (tmp_path / file).stat().st_size > 0
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["smoke"] is True
    assert result["published"]["accuracy"] == published.get(result["row"]).published["accuracy"]
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["backend"] == keras.backend.backend()
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["flags"]["model"] == result["model"]
    assert len(config["class_names"]) == 10


@pytest.mark.tensorflow_only
def test_script_runs_by_itself(run_script, quick_environment):
    finished = run_script("recipes/cifar100_resnet.py", "--help", env=quick_environment)
    assert finished.returncode == 0, finished.stderr
    assert "schedule_epochs" in finished.stdout
