"""What the example app reads from a model's JSON file is there, under the same names."""

import json
import re
from pathlib import Path

import pytest
from small_classifier import CLASSES, SIZE, carnet_like, color_images, scramble

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.data.model_info import OUTPUTS
from keras_lite.export import to_tflite

pytestmark = pytest.mark.tensorflow_only
JAVA = Path(__file__).parents[2] / "examples/android/src/main/java/com/example/keraslite/ImageClassifier.java"
KINDS = {"JSONObject": dict, "JSONArray": list, "String": str, "Double": float, "Int": int, "Boolean": bool}


def test_the_app_and_export_know_the_same_keys(tmp_path):
    preprocessing = Preprocessing((SIZE, SIZE), resize=(40, 40), keep_aspect=False, interpolation="bicubic")
    images, _ = color_images(8, seed=0)
    info = ModelInfo("small", CLASSES, preprocessing, "logits")
    to_tflite(scramble(carnet_like()), tmp_path / "model.tflite", "int8", calibration=images, info=info)
    metadata = json.loads((tmp_path / "model.json").read_text())

    source = JAVA.read_text()
    scopes = {"metadata": metadata}
    for name, key in re.findall(r'JSONObject (\w+) = metadata\.getJSONObject\("(\w+)"\)', source):
        scopes[name] = metadata[key]
    reads = re.findall(r'\b(\w+)\.(?:get|opt)(\w+)\("(\w+)"', source)
    assert len(reads) >= 14
    for scope, kind, key in reads:
        assert isinstance(scopes[scope][key], KINDS[kind]), (scope, key)
    # An entry of the preprocessing that the app passes over would be done wrong there.
    assert {key for scope, _, key in reads if scope == "preprocessing"} == set(metadata["preprocessing"])
    # The files hold only what the app tells apart.
    assert {metadata["input_tensor"]["dtype"], metadata["output_tensor"]["dtype"]} == {"int8"}
    assert '.equals("int8")' in source
    # What the app does with the numbers, for every kind of output that is one row of them.
    outputs = JAVA.with_name("ModelOutputs.java").read_text()
    assert metadata["output"] == "logits"
    assert set(re.findall(r'output\.equals\("(\w+)"\)', outputs)) == set(OUTPUTS) - {
        "probabilities",
        "image",
        "several",
    }
