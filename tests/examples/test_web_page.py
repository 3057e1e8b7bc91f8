"""The web page in headless Chromium: photo in, class out, equal to Python's to the bit."""

import base64
import json

import numpy as np
import pytest
from PIL import Image
from small_classifier import CLASSES, PREPROCESSING, color_images, scramble, tiny

from checks.odd_photos import write_odd_photos
from checks.web_runs import browse, missing_for_browser
from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.data.images import open_photo
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.inference import Classifier
from keras_lite.pipelines import make_web_page
from keras_lite.pipelines.web import WebOptions
from keras_lite.runtime import examine
from keras_lite.runtime.litert_js import litert_js

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The uint8 input"),
    pytest.mark.skipif(bool(missing_for_browser()), reason=missing_for_browser()),
]
# Chromium's decoder and Pillow's differ by a level here: they round inks and 16 bits in other ways.
OTHER_DECODER = {"jpeg in CMYK", "jpeg in CMYK with a profile", "gray png of 16 bits"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    try:
        litert_js()
    except InputError as error:
        pytest.skip(str(error))
    file = tmp_path_factory.mktemp("model") / "small model.tflite"
    images, _ = color_images(24, seed=0)
    info = ModelInfo("small model", CLASSES, PREPROCESSING, "logits")
    to_tflite(scramble(tiny(None)), file, "int8", calibration=images, info=info, ends="uint8")
    return make_web_page(WebOptions(file))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_odd_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def photo(photos):
    return str(photos["jpeg turned by EXIF 6"])


@pytest.fixture(scope="module")
def expected(page, photo):
    """The photo's outputs in Python."""
    return outputs_of(page, [photo])[0]


def outputs_of(page, photos):
    preprocessing = PREPROCESSING
    levels = np.stack([preprocessing.geometry.center(open_photo(path)) for path in photos])
    return examine(page / "model.tflite", images=preprocessing(levels)).outputs


def test_odd_photos_become_pythons_levels(page, photos, tmp_path):
    preprocessings = [Preprocessing((40, 48), resize=(45, 56), interpolation=name) for name in INTERPOLATIONS]
    fields = [preprocessing.to_dict() for preprocessing in preprocessings]
    output = tmp_path / "levels.json"
    paths = [str(path) for path in photos.values()]
    browse(page, "levels", photos=paths, preprocessings=fields, output=str(output))
    for (name, path), results in zip(photos.items(), json.loads(output.read_text()), strict=True):
        assert isinstance(results, list), (name, results)
        for preprocessing, text in zip(preprocessings, results, strict=True):
            levels = np.frombuffer(base64.b64decode(text), "uint8").reshape(40, 48, 3).astype(int)
            apart = np.abs(levels - preprocessing.geometry.center(open_photo(path))).max()
            # Where bicubic overshoots, a level of the decoder may become two.
            allowed = (2 if preprocessing.interpolation == "bicubic" else 1) if name in OTHER_DECODER else 0
            assert apart <= allowed, (name, preprocessing.interpolation)


def test_photo_in_class_out_equal_to_python(page, photos):
    names = [name for name in photos if name not in OTHER_DECODER][::4]
    paths = [photos[name] for name in names]
    found = browse(page, "answers", photos=[str(path) for path in paths])
    np.testing.assert_array_equal(np.array(found["numbers"], "float32"), outputs_of(page, paths))
    classifier = Classifier(page / "model.tflite")
    shares = classifier.predict(PREPROCESSING.geometry.center(open_photo(paths[-1]))[None])[0]
    best = np.argsort(-shares)
    assert found["sentence"] == f"{CLASSES[best[0]]}, {shares[best[0]]:.1%}"
    assert found["classes"] == [f"{CLASSES[index]}{shares[index]:.1%}" for index in best]
    assert "ms in the model" in found["latency"]
    assert found["outside"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_works_with_the_keyboard_on_a_narrow_screen(page, photo, expected, tmp_path, scheme):
    picture = tmp_path / "page.png"
    options = {"colorScheme": scheme}
    found = browse(page, "keyboard", photos=[photo], options=options, screenshot=str(picture))
    np.testing.assert_array_equal(np.array(found["numbers"], "float32"), expected)
    assert found["order"] == ["take", "choose", "camera"]
    assert (found["focused"], found["outline"]) == ("choose", "solid")
    assert found["names"] == ["Take a photo", "Choose a photo", "Live camera"]
    assert found["width"] == 360
    with Image.open(picture) as image:
        corner = np.array(image.convert("L").getpixel((2, 2)))
        assert image.width == 360
    assert corner > 240 if scheme == "light" else corner < 40


def test_it_works_without_a_connection(page, photo, expected):
    found = browse(page, "offline", photos=[photo])
    np.testing.assert_array_equal(np.array(found["numbers"], "float32"), expected)
    assert found["models"] == 1  # the model came over the wire once, for now and for later


def test_by_plain_http_photos_work_and_the_page_says_what_does_not(page, photo, expected):
    found = browse(page, "insecure", host="phone.test", photos=[photo])
    np.testing.assert_array_equal(np.array(found["numbers"], "float32"), expected)
    assert found["note"]
    assert not found["camera"]


def test_the_camera_runs_stops_and_may_be_missing(page, photo, expected):
    found = browse(page, "camera", photos=[photo])
    assert (found["pressed"], found["hidden"]) == ("true", True)
    np.testing.assert_array_equal(np.array(found["photo"], "float32"), expected)
    assert found["problem"] == "This device has no camera."


def test_what_is_missing_or_wrong_is_one_plain_sentence(page, tmp_path):
    information = json.loads((page / "model.json").read_text())
    files = {
        "text.txt": b"no photo",
        "other.json": json.dumps(information | {"class_names": ["a"]}).encode(),
        "int8.json": json.dumps(
            information | {"input_tensor": information["input_tensor"] | {"dtype": "int8"}}
        ).encode(),
        "map.json": json.dumps(
            information | {"output_tensor": information["output_tensor"] | {"shape": [1, 8, 8, 3]}}
        ).encode(),
        "same_length.tflite": bytes(information["bytes"]),
    }
    paths = {name: tmp_path / name for name in files}
    for name, content in files.items():
        paths[name].write_bytes(content)
    problems = {
        "no json": {"url": "**/model.json", "status": 404},
        "no model": {"url": "**/model.tflite", "status": 404},
        "no runtime": {"url": "**/*.wasm.gz", "status": 404},
        "no script": {"url": "**/classifier.js", "status": 404},
        "no loader": {"url": "**/litert_wasm*.js", "status": 404},
        "wrong json": {"url": "**/model.json", "path": str(paths["text.txt"])},
        "other json": {"url": "**/model.json", "path": str(paths["other.json"])},
        "int8": {"url": "**/model.json", "path": str(paths["int8.json"])},
        "map": {"url": "**/model.json", "path": str(paths["map.json"])},
        "wrong model": {"url": "**/model.tflite", "path": str(paths["same_length.tflite"])},
        "no WebAssembly": {"script": "delete globalThis.WebAssembly"},
        "no photo": {"photo": str(paths["text.txt"])},
    }
    assert browse(page, "problems", problems=problems, photos=[]) == {
        "no json": "model.json can't be loaded: the server answered 404.",
        "no model": "model.tflite can't be loaded: the server answered 404.",
        "no runtime": "litert/litert_wasm_internal.wasm.gz can't be loaded: the server answered 404.",
        "no script": "A file of this page is missing, or this browser is too old for it (it needs import maps).",
        "no loader": "litert/litert_wasm_internal.js can't be run in this browser.",
        "wrong json": "model.json is no JSON file.",
        "other json": "model.json names 1 classes, but the model returns 3 numbers.",
        "int8": "Browsers need a model with uint8 or float32 at its ends; this one has int8 and uint8.",
        "map": "This page shows models that return a row of numbers for a photo, no maps or images.",
        "wrong model": "model.tflite is not the file that model.json describes: copy both again.",
        "no WebAssembly": "This browser has no WebAssembly (or it is switched off), which running a model needs.",
        "no photo": "text.txt is no photo that this browser can read.",
    }
