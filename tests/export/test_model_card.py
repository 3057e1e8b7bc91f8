import hashlib
import json

import numpy as np
import pytest
from small_classifier import color_source, preactivation, scramble

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.errors import InputError
from keras_lite.export import model_card_path, to_tflite, write_model_card

pytestmark = pytest.mark.tensorflow_only
CLASSES = ["cat|dog", "*b*", "c"]


@pytest.fixture(scope="module")
def model():
    return scramble(preactivation(activation=None))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """An int8 file, its JSON and its card."""
    path = tmp_path_factory.mktemp("card") / "model.tflite"
    preprocessing = Preprocessing((32, 32), (0.5, 0.25, 0.125), (0.5, 0.25, 0.25), resize=(40, 36))
    images = preprocessing(color_source(60, seed=0).images(np.arange(60)))
    to_tflite(model, path, "int8", calibration=images, info=ModelInfo("small", CLASSES, preprocessing, "logits"))
    return path, json.loads(path.with_suffix(".json").read_text()), path.with_suffix(".md").read_text()


def test_card_says_what_the_file_is(exported, model):
    path, entries, card = exported
    assert card.startswith("# small\n")
    assert f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`" in card
    assert f"| Size | {path.stat().st_size:,} bytes |" in card
    assert "| Precision | int8 (post-training) |" in card
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert entries["parameters"] == trainable
    assert f"| Parameters | {trainable:,} |" in card
    # 32 x 32: 3x3 to 8 twice over, then 8 to 16 with stride 2: two 3x3, and 1x1 for the shortcut; dense to 3.
    macs = 32 * 32 * 9 * 8 * (3 + 8 + 8) + 16 * 16 * 16 * (9 * 8 + 9 * 16 + 8) + 16 * 3
    assert entries["macs"] == macs
    assert f"| Multiply-accumulates | {macs:,} for one image |" in card
    assert "- tensorflow 2." in card
    assert "CONV_2D int8" in card
    assert "Accuracy" not in card  # nothing was measured yet
    # The verdict: what the file is equal to, and what that keeps of the float model.
    assert "Run in LiteRT on 60 images. All outputs are equal to the quantized model's, computed in" in card
    found = entries["verification"]["float_closeness"]
    assert (
        f"Compared with the float model: divergence {found['divergence']:.5f} ± {found['standard_error']:.5f}, same "
        f"top-1 class {found['agreement']:.2%}."
    ) in card


def test_card_says_how_to_feed_the_file(exported):
    _, entries, card = exported
    assert "int8 of shape (1, 32, 32, 3)" in card
    assert "just covers 40 x 36 pixels" in card
    assert "middle of 32 x 32" in card
    assert "mean (0.5, 0.25, 0.125) and std (0.5, 0.25, 0.25)" in card
    tensor = entries["input_tensor"]
    sign = "+" if tensor["zero_point"] >= 0 else "-"
    assert f"`round(value / {tensor['scale']}) {sign} {abs(tensor['zero_point'])}`" in card
    assert "3, in the order of the output: `cat|dog`, `*b*`, `c`\n" in card
    assert "logits; a softmax" in card


def test_what_becomes_known_later_is_added(exported):
    path, entries, card = exported
    rows = [{"title": "TFLite int8", "top1": 0.875, "agreement": 0.95}]
    assert write_model_card(path, row="table/model/ours") == model_card_path(path)
    write_model_card(path, accuracy={"split": "test", "images": 1234, "rows": rows})

    now = json.loads(path.with_suffix(".json").read_text())
    added = {"row": "table/model/ours", "accuracy": {"split": "test", "images": 1234, "rows": rows}}
    assert now == entries | added
    text = path.with_suffix(".md").read_text()
    assert "| Published row | `table/model/ours` |" in text
    assert "On the 1,234 images of the test split" in text
    assert "| TFLite int8 | 87.50% | 95.00% |" in text
    assert set(card.splitlines()) < set(text.splitlines())


def test_many_classes_are_left_to_the_labels_file(exported, tmp_path):
    _, entries, _ = exported
    path = tmp_path / "many.tflite"
    path.with_suffix(".json").write_text(json.dumps(entries | {"class_names": [f"class {i}" for i in range(200)]}))
    write_model_card(path)
    text = path.with_suffix(".md").read_text()
    assert "200, in the order of the output: `class 0`, " in text
    assert "... (all in `many.labels.txt`)" in text
    assert "`class 150`" not in text


def test_file_without_metadata_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        write_model_card(tmp_path / "none.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("interpolation", "words"),
    [("bilinear", "antialiased bilinear"), ("bicubic", "antialiased bicubic"),
     ("bilinear_no_antialias", "bilinear without antialiasing"), ("nearest", "nearest"), ("box", "mean of those")],
)  # fmt: skip
def test_card_says_how_photos_are_scaled(exported, tmp_path, interpolation, words):
    _, entries, _ = exported
    preprocessing = Preprocessing((32, 32), interpolation=interpolation).to_dict()
    (tmp_path / "small.json").write_text(json.dumps(entries | {"preprocessing": preprocessing}))
    write_model_card(tmp_path / "small.tflite")
    assert f"is scaled ({words}" in (tmp_path / "small.md").read_text().replace("each pixel the ", "")
