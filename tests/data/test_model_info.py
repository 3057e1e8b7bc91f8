import json

import pytest

from keras_lite.data import ModelInfo, Preprocessing, model_info_path, read_model_info, write_model_info
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

INFO = ModelInfo("a model", ["Katze", "Hündin"], Preprocessing((96, 64)), "logits")


def test_lies_beside_the_model_and_comes_back(tmp_path):
    model = tmp_path / "model.int8.tflite"
    path = write_model_info(model, INFO, input_scale=0.5)
    assert path == tmp_path / "model.int8.json" == model_info_path(model)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "name": "a model",
        "class_names": ["Katze", "Hündin"],
        "preprocessing": INFO.preprocessing.to_dict(),
        "output": "logits",
        "input_scale": 0.5,
    }
    assert read_model_info(model) == INFO


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model\.json, which does not exist"):
        read_model_info(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": "ab"}, "class_names"),
        ({"class_names": []}, "class_names"),
        ({"name": 3}, "name"),
        ({"output": "softmax"}, "output"),
        ({"preprocessing": {}}, "preprocessing"),
    ],
)
def test_bad_content_is_refused_by_file_name(tmp_path, change, message):
    path = write_model_info(tmp_path / "model.keras", INFO)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        read_model_info(tmp_path / "model.keras")
    assert "model.json" in str(caught.value)


@pytest.mark.parametrize("content", ["", "[1]", '{"name": "a"}', "not json"])
def test_other_content_is_refused_by_file_name(tmp_path, content):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match=r"model\.json"):
        read_model_info(tmp_path / "model.keras")
