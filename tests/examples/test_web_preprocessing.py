"""The web page's own preprocessing, run in Node, beside the package's in Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checks.odd_photos import write_odd_photos
from checks.web_runs import missing_for_node, modules_of, prepare_in_node, run_script
from keras_lite.data import Preprocessing
from keras_lite.data.images import open_photo
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.pipelines.web import PAGE
from keras_lite.runtime.litert_worker import to_model_type

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(bool(missing_for_node()), reason=missing_for_node()),
]
# Widths and heights: smaller and larger than the input, primes, exact, lines of one pixel, tall ones, which Pillow
# scales in another order, and one of more pixels than the page reads at once.
SIZES = [
    (1, 1), (2, 3), (7, 5), (31, 33), (33, 31), (48, 32), (53, 47), (61, 101), (113, 29), (1, 90), (140, 3),
    (199, 67), (333, 250), (401, 97), (96, 144), (427, 640), (60, 900), (150, 1200), (300, 400), (1301, 907),
]  # fmt: skip
TENSOR = {"dtype": "uint8", "scale": 0.018658, "zero_point": 114}


def pictures():
    """Noise, where every weight of a filter shows; every fifth is transparent in places."""
    rng = np.random.default_rng(0)
    for index, (width, height) in enumerate(SIZES):
        pixels = rng.integers(0, 256, (height, width, 4), dtype="uint8")
        if index % 5 != 4:
            pixels[..., 3] = 255
        yield pixels


def on_white(pixels):
    image = Image.fromarray(pixels)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def test_levels_and_inputs_equal_pythons(tmp_path):
    preprocessings = [
        Preprocessing((32, 48)),
        Preprocessing((29, 31), (0.5,), (0.25,)),
        Preprocessing((64, 64), (0.5, 0.4, 0.3), (0.02, 0.5, 1.0)),  # beyond the ends of uint8
        *[
            Preprocessing((49, 33), resize=(57, 42), keep_aspect=keep_aspect, interpolation=interpolation)
            for interpolation in INTERPOLATIONS
            for keep_aspect in (True, False)
        ],
    ]
    photos = list(pictures())
    found = prepare_in_node(photos, preprocessings, TENSOR, tmp_path)
    details = {"dtype": "uint8", "quantization": (TENSOR["scale"], TENSOR["zero_point"])}
    for preprocessing, results in zip(preprocessings, found, strict=True):
        for pixels, (levels, inputs) in zip(photos, results, strict=True):
            photo = on_white(pixels)
            expected = preprocessing.geometry.center(photo)
            values = preprocessing(expected[None])[0]
            if preprocessing.channels == 1:
                expected = np.asarray(Image.fromarray(expected).convert("L"))[..., None]
            case = f"{preprocessing} of {photo.size}"
            np.testing.assert_array_equal(levels, expected, err_msg=case)
            np.testing.assert_array_equal(inputs, to_model_type(values, details), err_msg=case)


def test_inputs_of_floats_equal_pythons(tmp_path):
    preprocessing = Preprocessing((16, 16), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    levels = np.arange(256, dtype="uint8").reshape(16, 16)
    photo = np.stack([levels, levels.T, levels[::-1], np.full_like(levels, 255)], -1)
    [[(_, inputs)]] = prepare_in_node([photo], [preprocessing], {"dtype": "float32"}, tmp_path)
    np.testing.assert_array_equal(inputs, preprocessing(photo[None, ..., :3])[0])


def test_profiles_are_taken_out_and_nothing_else(tmp_path):
    photos = write_odd_photos(tmp_path / "photos")
    broken = tmp_path / "photos" / "cut.png"
    broken.write_bytes(photos["png in Display P3"].read_bytes()[:-700])
    turned = tmp_path / "photos" / "turned.jpg"
    with Image.open(photos["jpeg in Display P3"]) as wide, Image.open(photos["jpeg turned by EXIF 6"]) as other:
        # Of so many bytes that it takes several segments.
        other.save(turned, exif=other.getexif(), icc_profile=wide.info["icc_profile"] * 200)
    files = [*photos.values(), broken, turned]
    run_script(
        Path(__file__).with_name("run_profile.mjs"),
        {"modules": str(modules_of(PAGE, tmp_path / "modules")), "files": list(map(str, files))},
    )
    changed = set()
    for file in files:
        plain = Path(f"{file}.plain")
        if plain.read_bytes() == file.read_bytes():
            continue
        changed.add(file)
        if file == broken:
            continue
        with Image.open(file) as before, Image.open(plain) as after:
            assert "icc_profile" not in after.info
            assert "gamma" not in after.info
            assert after.getexif() == before.getexif()
        np.testing.assert_array_equal(np.asarray(open_photo(plain)), np.asarray(open_photo(file)))
    named = ("jpeg in Display P3", "png in Display P3", "jpeg in CMYK with a profile", "png with a gamma of 1")
    assert changed == {turned, broken, *(photos[name] for name in named)}
