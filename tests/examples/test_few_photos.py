"""The example that compares fine-tuning with training from nothing."""

import importlib.util
from pathlib import Path

import pytest
from cifar_files import write_cifar10

from keras_lite.data import open_data
from keras_lite.files import read_json

pytestmark = pytest.mark.tensorflow_only


SCRIPT = Path(__file__).parents[2] / "examples" / "few_photos.py"


@pytest.fixture(scope="module")
def few_photos():
    found = importlib.util.spec_from_file_location("few_photos", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def names_of(photos):
    return {
        split: sorted(path.name for path in (photos / split).glob("*/*.png")) for split in ("train", "valid", "test")
    }


def assert_chosen(names):
    assert {split: len(each) for split, each in names.items()} == {"train": 200, "valid": 50, "test": 60}
    assert not set(names["train"]) & set(names["valid"])


def test_a_seed_chooses_the_photos(few_photos, tmp_path):
    write_cifar10(tmp_path, per_file=60)
    data = open_data(str(tmp_path), (32, 32))
    chosen = []
    for seed in (3, 4):
        few_photos.write_photos(tmp_path / f"photos-{seed}", data, seed)
        chosen.append(names_of(tmp_path / f"photos-{seed}"))
        assert_chosen(chosen[-1])
    assert chosen[0]["test"] == chosen[1]["test"]
    assert chosen[0]["train"] != chosen[1]["train"]


@pytest.mark.slow
def test_both_ways_see_the_same_photos_for_as_many_steps(run_tool, few_photos, tmp_path):
    data, root, page = tmp_path / "cifar", tmp_path / "few", tmp_path / "page.md"
    data.mkdir()
    write_cifar10(data, per_file=60)
    flags = ("--data_dir", data, "--output_dir", root, "--seeds", "3", "--page", page)
    finished = run_tool(few_photos, *flags, "--epochs_head", "1", "--epochs", "1")
    assert finished.returncode == 0, finished.stderr
    assert_chosen(names_of(root / "photos-3"))
    runs = [read_json(root / name / "result.json") for name in ("CIFAR-100-weights-3", "nothing-3")]
    assert [run["epochs"] for run in runs] == [2, 2]
    for run in runs:
        assert f"{run['test']['accuracy']:.2%}" in page.read_text()


def test_a_seed_that_is_no_number(run_tool, few_photos, tmp_path, assert_one_line_error):
    finished = run_tool(few_photos, "--seeds", "0,many", "--output_dir", tmp_path / "few")
    assert_one_line_error(finished, "whole numbers", "many")
    assert not (tmp_path / "few").exists()
