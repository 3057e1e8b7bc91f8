"""A recipe's command line: what a user gets wrong is said in one line before any long work."""

import dataclasses
import resource
from pathlib import Path

import pytest
import tiny

from keras_lite.cli.train import run_recipe
from keras_lite.pipelines import train


@dataclasses.dataclass
class Finished:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capfd):
    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            run_recipe(tiny.RECIPE, "A tiny recipe.", [str(argument) for argument in arguments])
        return Finished(stopped.value.code, *capfd.readouterr())

    return run


def test_help_names_every_flag_with_its_default(run):
    finished = run("--help")
    assert finished.returncode == 0
    for text in ("A tiny recipe.", "--model", "--data_dir", "--epochs", "(default: 3)", "--smoke", "--output_dir"):
        assert text in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["--data_dir"]),
        (["--data_dir", "nowhere"], ["nowhere"]),
        (["--model", "resnet"], ["--model", "tiny"]),
        (["--epochs", "0"], ["epochs"]),
        (["--epochs", "many"], ["epochs"]),
        (["--smoke", "--image_size", "big"], ["--image_size", "big"]),
        (["--smoke", "--learning_rate", "-1"], ["learning_rate"]),
        (["--smoke", "photos"], ["photos"]),
        (["--no_such_flag"], ["no_such_flag"]),
        (["--smoke", "--seed", str(2**40)], ["seed"]),
    ],
)
def test_wrong_flag_is_one_line(run, assert_one_line_error, tmp_path, arguments, expected):
    finished = run(*arguments, "--output_dir", tmp_path / "run")
    assert_one_line_error(finished, *expected)
    assert not (tmp_path / "run" / "config.json").exists()


def test_output_folder_that_cannot_be_written_is_one_line(run, assert_one_line_error, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert_one_line_error(run("--smoke", "--output_dir", tmp_path / "file" / "run"), "--output_dir", "file/run")


def test_text_file_named_jpg_is_one_line_that_names_it(run, assert_one_line_error, tmp_path):
    for split in ("train", "valid"):
        for name in ("cats", "dogs"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            (folder / "fine.jpg").write_text("not a picture")
    finished = run("--data_dir", tmp_path / "photos", "--output_dir", tmp_path / "run")
    assert_one_line_error(finished, "fine.jpg")


def test_other_flags_than_the_run_has_are_an_error_that_names_them(run, assert_one_line_error, tmp_path):
    flags = ["--smoke", "--epochs", "1", "--image_size", "16", "--output_dir", tmp_path]
    first = run(*flags, "--seed", "1")
    assert first.returncode == 0, first.stderr
    assert "test accuracy" in first.stdout
    assert_one_line_error(run(*flags, "--seed", "2"), "--seed 1", "received --seed 2", tmp_path)
    # The same again: done already. Flags without effect on the result may differ.
    again = run(*flags, "--seed", "1", "--workers", "1")
    assert again.returncode == 0
    assert "is finished" in again.stdout


def test_full_disk_is_one_line_without_partial_file(run, assert_one_line_error, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "open_data", lambda *arguments, **options: tiny.data())
    flags = ["--data_dir", "photos", "--epochs", "1", "--output_dir"]
    assert run(*flags, tmp_path / "whole").returncode == 0
    # In the order in which they are written.
    names = ["resume.npz", "last.weights.h5", "best.weights.h5", "curves.png", "model.keras"]
    sizes = {name: (tmp_path / "whole" / name).stat().st_size for name in names}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = set()
    for name, size in sizes.items():
        output_dir = tmp_path / name
        # The state's size differs by the digits of the time spent.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 500, hard))
        try:
            finished = run(*flags, output_dir)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert_one_line_error(finished, output_dir)
        failing = Path(finished.stderr.strip().splitlines()[-1]).name
        assert sizes[failing] > size - 1000
        failed.add(failing)
        left = {path.name for path in output_dir.iterdir()}
        assert not left & {failing, f".partial-{failing}", "result.json"}
    assert failed >= {"resume.npz", "last.weights.h5"}
