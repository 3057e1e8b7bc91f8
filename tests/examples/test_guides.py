"""The guides run as a newcomer copies them: each from its first block to its last, in an empty folder."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
from example_stand_ins import no_network

from keras_lite import cli
from keras_lite.inference import Classifier

REPOSITORY = Path(__file__).parents[2]
GUIDES = REPOSITORY / "guides"
# What makes a command short; the last of equal flags counts.
SHORTER = {
    "finetune": ["--epochs_head", "1", "--epochs", "1", "--quantize_epochs", "0"],
    "quantize": ["--epochs", "0", "--image_limit", "32", "--calibration_images", "32"],
}


def run_lines(code):
    """Run commands as a shell would; what installs is compared with what there is to install."""
    for line in code.splitlines():
        program, *arguments = shlex.split(line)
        if program == "pip":
            [extras] = re.findall(r"^keras-lite\[(.*)\]$", arguments[-1])
            known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert arguments[:-1] == ["install"]
            assert set(extras.split(",")) <= set(known)
        elif program == "export":
            assert arguments[0].removeprefix("KERAS_BACKEND=") in ("jax", "torch")
        else:
            assert program == "keras-lite"
            with pytest.raises(SystemExit) as ended:
                cli.main([*arguments, *SHORTER.get(arguments[0], [])])
            assert not ended.value.code, line


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Return what runs the blocks of a guide, and gives the names that its Python left."""

    def run(name, without=()):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("keras_lite.cli.web.serve_web_page", lambda *_, **__: None)
        no_network(monkeypatch, tmp_path / "fetched")
        for module in without:
            monkeypatch.setitem(sys.modules, module, None)  # to import it fails
        names = {"__name__": "__main__"}
        text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
        for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if language == "python":
                exec(compile(code, f"{name}.md", "exec"), names)
            else:
                assert language == "console"
                run_lines(code)
        return names

    return run


def test_every_guide_is_followed_and_in_the_readme():
    names = {path.stem for path in GUIDES.iterdir()}
    assert names == {"bring_a_keras_model", "photos_to_web_and_android", "train_without_tensorflow"}
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f"(guides/{name}.md)" in readme for name in names)


def test_links_lead_somewhere():
    for path in GUIDES.iterdir():
        for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            assert (GUIDES / target).exists(), (path.name, target)


@pytest.mark.tensorflow_only
def test_bring_a_keras_model(follow, tmp_path):
    names = follow("bring_a_keras_model")
    photos, labels = names["photos"], names["labels"]
    predicted = Classifier(tmp_path / "shapes_int8.tflite").predict(photos)
    assert np.mean(predicted.argmax(1) == labels) > 0.8
    assert (tmp_path / "quantized" / "shapes_int8.tflite").is_file()


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="it is written for JAX and PyTorch")
@pytest.mark.slow_on_jax
def test_train_without_tensorflow(follow, tmp_path):
    follow("train_without_tensorflow", ("tensorflow", "tf_keras"))
    for name in ("shapes_int8", "aware_int8", "runs/shapes_int8"):
        assert (tmp_path / f"{name}.tflite").is_file()


@pytest.mark.slow
@pytest.mark.tensorflow_only
def test_photos_to_web_and_android(follow, tmp_path):
    follow("photos_to_web_and_android")
    web, android = tmp_path / "runs/photos/web", tmp_path / "runs/photos/android"
    assert {"index.html", "model.tflite", "model.json"} <= {path.name for path in web.iterdir()}
    assert {path.name for path in android.iterdir()} == {"model.tflite", "model.json", "model.labels.txt"}
    classifier = Classifier(android / "model.tflite")
    assert classifier.info.class_names == sorted(path.name for path in (tmp_path / "photos").iterdir())
